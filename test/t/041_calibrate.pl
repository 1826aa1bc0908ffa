# What an index is searched with while nobody has set hnsw.ef_search: found when it is built, and again when it
# has grown, by inserts while it is small and by vacuum at any size, and when its owner says so.
use strict;
use warnings;
use Test::More;
use IPC::Run;
use PostgreSQL::Test::Utils qw(append_to_file);
use AnnTest qw(new_node load_base load_queries recall is_intact no_crash at_stop cancel_at new_standby);

my $node = new_node('calibrate', "wal_consistency_checking = 'generic'\n", allows_streaming => 1);
load_base($node, 0, 4000);
load_queries($node, 60);

sub sql { return $node->safe_psql('postgres', $_[0]); }
sub default_ef { return sql("SELECT default_ef FROM ann_index_stats('$_[0]')"); }

# A graph of so few links that it needs a wide beam.
my $poor = 'WITH (m = 4, ef_construction = 16)';

sql("CREATE TABLE t (LIKE base); CREATE INDEX t_v ON t USING hnsw (v vector_cosine_ops) $poor");
is(default_ef('t_v'), 80, 'nothing is known of an empty index');
sql('INSERT INTO t SELECT * FROM base WHERE id < 600');
is(default_ef('t_v'), 80, 'nor of one of 600 rows');
sql('VACUUM t');
is(default_ef('t_v'), 80, 'for a vacuum, either');
sql('INSERT INTO t SELECT * FROM base WHERE id BETWEEN 600 AND 1100');
my $first = default_ef('t_v');
cmp_ok($first, '>', 80, "an insert finds $first");
sql('INSERT INTO t SELECT * FROM base WHERE id BETWEEN 1101 AND 1700; VACUUM t');
is(default_ef('t_v'), $first, 'not again before it has doubled');
sql('INSERT INTO t SELECT * FROM base WHERE id > 1700');
is(default_ef('t_v'), $first, 'nor by inserts before it has grown tenfold');
my $before = recall($node, 't', '<=>', 10);
sql('VACUUM t');
my $grown = default_ef('t_v');
cmp_ok($grown, '>', $first, "a vacuum finds $grown for 4,000");
my $after = recall($node, 't', '<=>', 10);
cmp_ok($after, '>=', $before, "recall\@10 $after, of the one before $before");
is_intact($node, 't_v', 'intact');
sql('SET ann.recentre_rows = 1; VACUUM t');
is(default_ef('t_v'), $grown, 'and no other by a second');

# An index made when the size of its calibration was not noted: these two bytes were always zero.
my $path = $node->data_dir . '/' . sql(q{SELECT pg_relation_filepath('t_v')});
sub patch
{
	my ($ef, $size) = @_;
	sql('CHECKPOINT');
	$node->stop;
	open(my $file, '+<:raw', $path) or die "cannot open $path: $!";
	seek($file, 24 + 84, 0);
	print $file pack('vv', $ef, $size);
	close($file);
	$node->start;
	return;
}
patch(96, 0);
is(default_ef('t_v'), 96, 'an index without a size is read as ever');
is_intact($node, 't_v', 'and is intact');
sql('VACUUM t');
is(default_ef('t_v'), $grown, 'the next vacuum calibrates it');

# Cancelled while it is calibrated: a vacuum has done nothing, the next one does it; an insert has been the only
# one to try.
patch(96, 0);
cancel_at($node, 'calibrate.measured', 1, 'a vacuum is cancelled', 'VACUUM t');
is(default_ef('t_v'), 96, 'it has changed nothing');
sql('VACUUM t');
is(default_ef('t_v'), $grown, 'the next one has done it');
patch(96, 0);
cancel_at($node, 'calibrate.measured', 1, 'an insert is cancelled', 'INSERT INTO t SELECT 10000, v + v FROM base WHERE id = 1');
sql('INSERT INTO t SELECT 10001, v + v FROM base WHERE id = 2');
is(default_ef('t_v'), 96, 'no other insert is held up by that');
is_intact($node, 't_v', 'intact');

# At once, by its owner's hand: others read and write, only maintenance waits; cancelled it has changed nothing.
my $again = q{SELECT ann_recalibrate('t_v')};
patch(96, 0);
cancel_at($node, 'calibrate.measured', 1, 'ann_recalibrate is cancelled', $again);
is(default_ef('t_v'), 96, 'it has changed nothing');
my $go_on = q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'};
my ($others, $second);
my $said = at_stop($node, 'calibrate.measured', 1, sub {
		$others = sql(q{
SET lock_timeout = '60s';
INSERT INTO t SELECT 20000 + id, v + v FROM base WHERE id < 50;
UPDATE t SET v = v WHERE id = 20001;
DELETE FROM t WHERE id >= 20000;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <=> (SELECT v FROM query WHERE id = 1) LIMIT 10) s});
		(undef, undef, $second) = $node->psql('postgres', "SET lock_timeout = '10ms'; $again");
		sql($go_on);
	}, $again);
is($others, 10, 'others read and write beside it');
like($second, qr/canceling statement due to lock timeout/, 'a second one waits');
is($said, "$grown\n", "it finds $grown, as a vacuum did");
is(default_ef('t_v'), $grown, 'and keeps it');
sql('CREATE SEQUENCE others START 30000');
my $script = $node->basedir . '/insert.sql';
append_to_file($script, "\\set i random(0, 3999)\nINSERT INTO t SELECT nextval('others'), v + v FROM base WHERE id = :i;\n");
my $inserts = IPC::Run::start([ 'pgbench', '-n', '-c', 2, '-t', 300, '-f', $script, $node->connstr('postgres') ], '>', \my $bench, '2>', \my $noise);
my %found;
my $runs = 0;
do { $found{ sql($again) } = 1 } while (++$runs < 3 || sql(q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pgbench')}) eq 't');
ok($inserts->finish, "$runs times beside inserts") or diag($noise);
is(scalar(grep { $_ < $first } keys %found), 0, 'each finds enough: ' . join(' ', sort keys %found));
is(sql('SELECT count(*) FROM t WHERE id >= 30000'), 600, 'all rows are there');
is(sql(q{SELECT lacking, again FROM lost('t', '<=>', (SELECT v FROM query WHERE id = 1))}), '0|0', 'and found once');
is_intact($node, 't_v', 'intact');
# One that was interrupted while it was being centred anew.
sql(q{CREATE TABLE c (LIKE base); CREATE INDEX c_v ON c USING hnsw (v vector_l2_ops)});
sql('SET ann.recentre_rows = 1000000; INSERT INTO c SELECT * FROM base WHERE id < 2000');
cancel_at($node, 'recentre.coded', 3, 'a re-centring is cancelled', 'VACUUM c');
is(sql(q{SELECT recentring FROM ann_index_stats('c_v')}), 't', 'and is under way');
sql(q{SELECT ann_recalibrate('c_v')});
is(sql(q{SELECT recentring FROM ann_index_stats('c_v')}), 'f', 'it is ended first');
is_intact($node, 'c_v', 'intact');
# A standby has what its primary found, and finds nothing itself.
my $standby = new_standby($node, 'calibrate_standby');
(undef, undef, my $refused) = $standby->psql('postgres', $again);
like($refused, qr/cannot execute ann_recalibrate\(\) during recovery/, 'a standby refuses');
sql($again);
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is($standby->safe_psql('postgres', q{SELECT default_ef FROM ann_index_stats('t_v')}), default_ef('t_v'), 'it has what was found');
$standby->stop;
# A temporary table of another session.
at_stop($node, 'insert.opened', 1, sub {
		(undef, undef, $refused) = $node->psql('postgres', q{SELECT ann_recalibrate(oid) FROM pg_class WHERE relname = 'own_v'});
		sql($go_on);
	}, q{CREATE TEMP TABLE own (LIKE base)}, q{CREATE INDEX own_v ON own USING hnsw (v vector_l2_ops)}, q{INSERT INTO own SELECT * FROM base WHERE id = 1});
like($refused, qr/cannot read index "own_v"/, 'that of another session: refused');

# Codes too coarse to be centred anew; what a build of little memory adds to its graph; other metrics.
my %operators = (l2 => '<->', ip => '<#>', l1 => '<+>');
for my $metric (sort keys %operators)
{
	sql(qq{
CREATE TABLE other (LIKE base); CREATE INDEX other_v ON other USING hnsw (v vector_${metric}_ops) WITH (m = 4, ef_construction = 16, code_bits = 4);
INSERT INTO other SELECT * FROM base WHERE id < 3000;
VACUUM other});
	cmp_ok(default_ef('other_v'), '>', 80, "$metric: calibrated");
	my $recall = recall($node, 'other', $operators{$metric}, 10);
	cmp_ok($recall, '>=', 0.9, "$metric: recall\@10 $recall");
	sql('DROP TABLE other');
}
sql("SET client_min_messages = error; SET maintenance_work_mem = '1MB'; CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops) $poor");
my $built = default_ef('base_v');
sql('VACUUM base');
is(default_ef('base_v'), $built, "a build of little memory knows its size: $built");
cmp_ok($built, '>', $first, 'and not that of what fitted memory');

no_crash($node, 'no backend died');
$node->stop;
done_testing();
