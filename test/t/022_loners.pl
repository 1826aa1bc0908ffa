# Rows inserted while thousands of dead nodes lie between them and the living: the search for their
# neighbours meets dead ones only. The vacuum that frees these links them.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node is_intact no_crash cancel_at);

# Seeded, and the same arithmetic everywhere: two rows that hold each other may be let go by all other lists, so that
# walks find every row is no rule, but a matter of the graph.
my $node = new_node('loners', "ann.simd_target = portable\n");
sub sql { return $node->safe_psql('postgres', $_[0]); }

# The dead lie around 0, the living far off.
sql(q{
SELECT setseed(0.5);
CREATE TABLE t (id int, v vector(8));
INSERT INTO t SELECT i, random_vector(8 + 0 * i) FROM generate_series(1, 9000) i;
INSERT INTO t SELECT 10000 + i, random_vector(8 + 0 * i) + array_fill(10::real, ARRAY[8])::vector FROM generate_series(1, 300) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 6, ef_construction = 16);
DELETE FROM t WHERE id <= 9000});

# A vacuum is cancelled when it has marked them.
cancel_at($node, 'vacuum.marked', 1, 'the vacuum is cancelled', 'VACUUM (INDEX_CLEANUP ON) t');
is(sql(q{SELECT dead_slots FROM ann_index_stats('t_v')}), 9000, 'it has marked the dead');

sql('SELECT setseed(0.25); INSERT INTO t SELECT 20000 + i, (random_vector(8 + 0 * i)::real[])::vector FROM generate_series(1, 40) i');
is_intact($node, 't_v', 'inserted among the dead: intact');
cmp_ok(sql(q{SELECT unreachable FROM ann_index_stats('t_v')}), '>', 0, 'some found no neighbours');
sql('VACUUM (INDEX_CLEANUP ON) t');
is(sql(q{SELECT dead_slots FROM ann_index_stats('t_v')}), 0, 'the next vacuum frees the dead');
is_intact($node, 't_v', 'vacuumed: intact');
is(sql(q{
SET enable_seqscan = off;
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 100;
SELECT count(*) FILTER (WHERE id > 20000) FROM (SELECT id FROM t ORDER BY v <-> array_fill(0::real, ARRAY[8])::vector LIMIT 40) r}), 40, 'one walk finds all of them');
is(sql(q{SELECT unreachable FROM ann_index_stats('t_v')}), 0, 'walks reach the others, too');

no_crash($node, 'no backend died');
$node->stop;
done_testing();
