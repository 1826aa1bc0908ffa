# What an index is searched with while nobody has set hnsw.ef_search: found when it is built, and again when it
# has grown, by inserts while it is small and by vacuum at any size.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall is_intact no_crash cancel_at);

my $node = new_node('calibrate', "wal_consistency_checking = 'generic'\n");
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
