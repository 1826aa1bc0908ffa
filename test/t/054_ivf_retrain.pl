# Retraining beside others: a statement that began to insert before it goes on while it copies and after it has
# switched, a scan goes on across the switch, and one that is cancelled anywhere leaves an index that the next vacuum
# puts in order.
use strict;
use warnings;
use Test::More;
use IPC::Run;
use AnnTest qw(new_node new_standby load_random at_stop cancel_at is_intact no_crash);

my $node = new_node('ivf_retrain', '', allows_streaming => 1);
load_random($node, 'pool', 1000, 32);
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql(q{
CREATE TABLE t (id int, v vector(32));
INSERT INTO t SELECT * FROM pool WHERE id <= 500;
CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH (lists = 20);
-- Waits while somebody holds advisory lock 2.
CREATE FUNCTION wait_for(wanted bool) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  IF wanted THEN PERFORM pg_advisory_lock_shared(2); PERFORM pg_advisory_unlock_shared(2); END IF;
  RETURN true;
END $$});

my $every_row = q{SELECT lacking, again FROM lost('t', '<->', (SELECT v FROM pool WHERE id = 1))};

sub in_background
{
	my ($on, $out, @statements) = @_;
	return IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $on->connstr('postgres') . ' application_name=beside', map { ('-c', $_) } @statements ],
		'>', $out, '2>', $out);
}

sub wait_for_lock
{
	my ($granted) = @_;
	return $node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted = $granted)");
}

# Runs `statements` up to where they wait, retrains up to `point`, lets them go on to their end, then the retraining.
sub beside
{
	my ($point, @statements) = @_;
	my ($held, $out) = ('', '');
	my $holder = in_background($node, \$held, 'SELECT pg_advisory_lock(2)', 'SELECT pg_sleep(10000)');
	wait_for_lock('true');
	my $session = in_background($node, \$out, 'SET enable_seqscan = off; SET enable_sort = off', @statements);
	wait_for_lock('false');
	my $said = at_stop($node, $point, 1, sub {
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted});
			$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'beside')});
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'});
		}, q{SELECT ann_retrain('t_v')});
	$session->finish;
	$holder->finish;
	return "$said$out";
}

for my $point ('retrain.begun', 'retrain.copied', 'retrain.switched')
{
	sql('DELETE FROM t WHERE id > 500; VACUUM t');
	is(beside($point, 'INSERT INTO t SELECT id, v FROM pool WHERE id > 500 AND wait_for(id = 600)'), "\n", "an insert, $point");
	is(sql('SELECT count(*) FROM t'), 1000, "$point: all rows are there");
	is(sql($every_row), '0|0', "$point: every row is found once");
	is_intact($node, 't_v', "$point: intact");
	is(beside($point, q{SELECT count(*), count(DISTINCT id) FROM (SELECT id, wait_for(row_number() OVER () = 300) FROM
	  (SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 1)) a) b}), "\n1000|1000\n", "a scan, $point");
}

for my $point ('retrain.begun', 'retrain.copied', 'retrain.switched')
{
	cancel_at($node, $point, 1, "cancelled: $point", q{SELECT ann_retrain('t_v')});
	is_intact($node, 't_v', "cancelled at $point: intact");
	is(sql($every_row), '0|0', "cancelled at $point: every row is found once");
	sql('DELETE FROM t WHERE id = 1000; VACUUM (INDEX_CLEANUP ON) t; INSERT INTO t SELECT * FROM pool WHERE id = 1000');
	is(sql(q{SELECT recentring FROM ann_index_stats('t_v')}), 'f', "cancelled at $point: the vacuum discards what there is");
	is_intact($node, 't_v', "cancelled at $point: intact after the vacuum");
	is(sql($every_row), '0|0', "cancelled at $point: every row is found once after it");
}

# Pages of lists that are no use any more, and of a training that came to nothing, are found by any vacuum: so the file
# does not grow by them. One that has nothing to look for changes nothing.
sql(q{
CREATE TABLE tidy (id int, v vector(32));
INSERT INTO tidy SELECT i, random_vector(32 + 0 * i) FROM generate_series(1, 5000) i;
CREATE INDEX tidy_v ON tidy USING ivf (v vector_l2_ops) WITH (lists = 4, quantizer = flat);
SELECT ann_retrain('tidy_v')});
my $pages = q{SELECT pg_relation_size('tidy_v') / 8192};
my $set = sql(q{SELECT code_pages FROM ann_index_stats('tidy_v')});
my $size = sql($pages);
for my $point ('retrain.switched', 'free.lists', 'retrain.coded')
{
	cancel_at($node, $point, 1, "cancelled: $point", q{SELECT ann_retrain('tidy_v')});
	sql('VACUUM tidy');
	my (undef, undef, $units) = $node->psql('postgres', 'SET ann.trace_units = on; VACUUM tidy');
	is($units, '', "$point: another vacuum has nothing to do");
}
sql(q{SELECT ann_retrain('tidy_v')});
# A frame is written to new pages each time.
cmp_ok(sql($pages) - $size, '<', $set / 2, 'four retrainings, three of them cancelled, take the pages that were free');
is_intact($node, 'tidy_v', 'intact');

# Whoever calls it, functions of the index run as the table's owner, and what they set is gone afterwards.
sql(q{
CREATE ROLE keeper;
GRANT CREATE ON SCHEMA public TO keeper;
GRANT SELECT ON pool TO keeper;
SET ROLE keeper;
CREATE FUNCTION told(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  RAISE WARNING 'told by %', current_user;
  PERFORM set_config('ivf.probes', '7', false);
  RETURN v;
END $$;
CREATE TABLE kept AS SELECT v FROM pool LIMIT 10;
CREATE INDEX kept_v ON kept USING ivf ((told(v)::vector(32)) vector_l2_ops) WHERE told(v) IS NOT NULL;
});
$node->psql('postgres', q{SELECT ann_retrain('kept_v'); SELECT 'after', current_setting('ivf.probes'), current_user}, stdout => \my $out, stderr => \my $said);
like($said, qr/told by keeper/, 'functions of the index run as the owner of the table');
unlike($said, qr/told by (?!keeper)|ERROR/, '... and as nobody else');
like($out, qr/^after\|-1\|(?!keeper)/m, '... and leave the session as it was');

# An index gets other lists when it has grown, not when the table has, nor because there are no more lists to be found.
sql(q{
CREATE TABLE g (id int, v vector(8));
INSERT INTO g SELECT i, random_vector(8 + 0 * i) FROM generate_series(1, 3000) i;
CREATE INDEX g_few ON g USING ivf (v vector_l2_ops) WHERE id <= 200;
CREATE INDEX g_same ON g USING ivf (((v - v)::vector(8)) vector_l2_ops) WITH (lists = 50);
CREATE INDEX g_fixed ON g USING ivf (v vector_l2_ops) WITH (lists = 50) WHERE id <= 40});
my $epochs = q{SELECT string_agg((ann_index_stats(oid)).epoch::text, ' ' ORDER BY relname) FROM pg_class WHERE relname LIKE 'g\_%'};
sql('VACUUM g');
sql('DELETE FROM g WHERE id % 100 = 0; VACUUM (INDEX_CLEANUP ON) g');
is(sql($epochs), '1 1 1', 'nothing has grown');
sql('INSERT INTO g SELECT i % 30, random_vector(8 + 0 * i) FROM generate_series(1, 1500) i; VACUUM g; VACUUM g');
is(sql($epochs), '2 2 1', 'those that have grown have other lists');
is_intact($node, $_, "$_ is intact") for 'g_few', 'g_fixed', 'g_same';

# Rows that only a snapshot on a standby sees are in the new lists, too. Its pages are not so full that reading prunes
# them: replay would wait for the snapshot's end.
my $standby = new_standby($node, 'ivf_retrain_standby');
$standby->append_conf('postgresql.conf', "hot_standby_feedback = off\nmax_standby_streaming_delay = -1\n");
$standby->reload;
sql(q{
CREATE TABLE old (id int, v vector(32), much text) WITH (autovacuum_enabled = off);
ALTER TABLE old ALTER v SET STORAGE PLAIN, ALTER much SET STORAGE PLAIN;
INSERT INTO old SELECT id, v, repeat('x', 2250) FROM pool WHERE id <= 300;
CREATE INDEX old_v ON old USING ivf (v vector_l2_ops) WITH (lists = 5)});
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
my $found = '';
my $reader = in_background($standby, \$found, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM old',
	q{DO $$ BEGIN WHILE (SELECT epoch FROM ann_index_stats('old_v')) < 2 LOOP PERFORM pg_sleep(0.01); END LOOP; END $$},
	q{SELECT lacking, again FROM lost('old', '<->', (SELECT v FROM pool WHERE id = 1))});
ok($standby->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'beside' AND query LIKE '%ann_index_stats%')}),
	'a transaction on the standby has its snapshot');
sql(q{DELETE FROM old WHERE id % 10 = 0; SELECT ann_retrain('old_v')});
$reader->finish;
is($found, "300\n0|0\n", '... and finds what it sees in lists that were made without it');
$standby->stop;

# A row that is rolled back while it is being read: what of it lies out of line is gone then. Its code says enough.
sql(q{
CREATE TABLE wide (id int, v vector(1000), w vector(8));
ALTER TABLE wide ALTER v SET STORAGE EXTERNAL;
INSERT INTO wide SELECT i, random_vector(1000 + 0 * i), random_vector(8 + 0 * i) FROM generate_series(1, 100) i;
CREATE INDEX wide_v ON wide USING ivf (v vector_l2_ops) WITH (lists = 5);
CREATE INDEX wide_w ON wide USING ivf (w vector_l2_ops) WITH (lists = 5)});
my $toast = sql(q{SELECT reltoastrelid::regclass FROM pg_class WHERE relname = 'wide'});
for my $index ('wide_v', 'wide_w')
{
	my ($held, $inserted) = ('', '');
	my $holder = in_background($node, \$held, 'SELECT pg_advisory_lock(2)', 'SELECT pg_sleep(10000)');
	wait_for_lock('true');
	my $writer = in_background($node, \$inserted, 'BEGIN', q{INSERT INTO wide SELECT 101, random_vector(1000), random_vector(8)},
		'SELECT pg_advisory_lock_shared(2)', 'ROLLBACK');
	wait_for_lock('false');
	my $told = at_stop($node, 'rows.uncommitted', 1, sub {
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted AND mode = 'ExclusiveLock'});
			$writer->finish;
			sql("VACUUM $toast");
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'});
		}, "SELECT ann_retrain('$index')");
	$holder->finish;
	is($told, "\n", "$index: a row that is rolled back while it is read");
	is(sql("SELECT rows FROM ann_index_stats('$index')"), 101, '... is in the new lists until a vacuum comes');
	sql('VACUUM (INDEX_CLEANUP ON) wide');
	is_intact($node, $index, "$index: intact");
}
is(sql("SELECT count(*) FROM $toast WHERE chunk_seq = 0"), 100, 'nothing of it was left out of line');

# Options that came later and do not fit the dimensions are REINDEX's affair.
sql('ALTER INDEX t_v SET (quantizer = pq, pq_segments = 100)');
is($node->psql('postgres', 'DELETE FROM t WHERE id < 10; VACUUM (INDEX_CLEANUP ON) t'), 0, 'a vacuum does not mind options for the next build');
is($node->psql('postgres', q{SELECT ann_retrain('t_v')}), 0, '... nor does a retraining');
is_intact($node, 't_v', 'intact');
no_crash($node, 'no crash');

$node->stop;
done_testing();
