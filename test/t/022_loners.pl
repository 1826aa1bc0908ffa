# Rows inserted while thousands of dead nodes lie between them and the living: the search for their
# neighbours meets dead ones only. The vacuum that frees these links them.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node is_intact no_crash);

my $node = new_node('loners');
sub sql { return $node->safe_psql('postgres', $_[0]); }

# The dead lie around 0, the living far off.
sql(q{
CREATE TABLE t (id int, v vector(8));
INSERT INTO t SELECT i, random_vector(8 + 0 * i) FROM generate_series(1, 9000) i;
INSERT INTO t SELECT 10000 + i, random_vector(8 + 0 * i) + array_fill(10::real, ARRAY[8])::vector FROM generate_series(1, 300) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 6, ef_construction = 16);
DELETE FROM t WHERE id <= 9000});

# A vacuum is cancelled when it has marked them.
my $holder = $node->background_psql('postgres');
$holder->query_safe('SELECT pg_advisory_lock(7)');
my ($out, $err) = ('', '');
my $vacuum = IPC::Run::start(
	[ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', q{SET ann.stop_at = 'vacuum.marked=7'}, '-c', 'VACUUM (INDEX_CLEANUP ON) t' ],
	'>', \$out, '2>', \$err);
$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)}) or die 'the vacuum does not stop';
sql(q{SELECT pg_cancel_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted});
$vacuum->finish;
$holder->quit;
like($err, qr/canceling/, 'the vacuum is cancelled');
is(sql(q{SELECT dead_slots FROM ann_index_stats('t_v')}), 9000, 'it has marked the dead');

sql('INSERT INTO t SELECT 20000 + i, (random_vector(8 + 0 * i)::real[])::vector FROM generate_series(1, 40) i');
is_intact($node, 't_v', 'inserted among the dead: intact');
cmp_ok(sql(q{SELECT unreachable FROM ann_index_stats('t_v')}), '>', 0, 'some found no neighbours');
sql('VACUUM (INDEX_CLEANUP ON) t');
is(sql(q{SELECT dead_slots, unreachable FROM ann_index_stats('t_v')}), '0|0', 'the next vacuum links them');
is_intact($node, 't_v', 'vacuumed: intact');
is(sql(q{
SET enable_seqscan = off;
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 100;
SELECT count(*) FILTER (WHERE id > 20000) FROM (SELECT id FROM t ORDER BY v <-> array_fill(0::real, ARRAY[8])::vector LIMIT 40) r}), 40, 'one walk finds all of them');

no_crash($node, 'no backend died');
$node->stop;
done_testing();
