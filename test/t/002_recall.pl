# With nothing set, an index over real embeddings finds at least 95 of 100 nearest neighbours, for each
# metric, and returns them in order.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall unordered is_intact);

my $node = new_node('recall');
load_base($node, 0, 10000);
load_queries($node, 200);
$node->safe_psql('postgres', 'VACUUM ANALYZE base');

my %operators = (l2 => '<->', ip => '<#>', cosine => '<=>', l1 => '<+>');
for my $metric (qw(l2 ip cosine l1))
{
	$node->safe_psql('postgres', "CREATE INDEX base_v ON base USING hnsw (v vector_${metric}_ops)");
	my $recall = recall($node, 'base', $operators{$metric}, 10);
	cmp_ok($recall, '>=', 0.95, "$metric: recall\@10 $recall");
	$recall = recall($node, 'base', $operators{$metric}, 100);
	cmp_ok($recall, '>=', 0.9, "$metric: recall\@100 $recall");
	is(unordered($node, 'base', $operators{$metric}, 50), 0, "$metric: rows in order");
	is_intact($node, 'base_v', "$metric: intact");
	$node->safe_psql('postgres', 'DROP INDEX base_v');
}

# The signs of the same rows: an index of bits finds those of the least Hamming (Jaccard) distance, and 200 of them, put into order by
# their vectors, hold the nearest vectors.
$node->safe_psql('postgres', q{
CREATE TABLE signs AS SELECT id, v, binary_quantize(v)::bit(384) AS s FROM base;
CREATE TABLE sign_query AS SELECT v, binary_quantize(v)::bit(384) AS s FROM query WHERE id < 100;
VACUUM ANALYZE signs});
for my $case ([ 'hnsw', 'hamming', '<~>' ], [ 'hnsw', 'jaccard', '<%>' ], [ 'ivf', 'hamming', '<~>' ])
{
	my ($method, $metric, $op) = @$case;
	$node->safe_psql('postgres', "CREATE INDEX signs_s ON signs USING $method (s bit_${metric}_ops)");
	my $of_bits = $node->safe_psql('postgres', qq{
SET enable_seqscan = off;
SELECT avg((SELECT count(*) FROM (SELECT s $op q.s AS d FROM signs ORDER BY s $op q.s LIMIT 10) n
  WHERE d <= (SELECT max(d) FROM (SELECT s $op q.s AS d FROM signs ORDER BY (s $op q.s) + 0 LIMIT 10) e))) / 10 FROM sign_query q});
	cmp_ok($of_bits, '>=', 0.95, "$method on bits, $metric: recall\@10 $of_bits");
	my $of_vectors = $node->safe_psql('postgres', qq{
SET enable_seqscan = off;
SELECT avg((SELECT count(*) FROM (SELECT v <=> q.v AS d FROM (SELECT v FROM signs ORDER BY s $op q.s LIMIT 200) c ORDER BY 1 LIMIT 10) n
  WHERE d <= (SELECT max(d) FROM (SELECT v <=> q.v AS d FROM signs ORDER BY 1 LIMIT 10) e))) / 10 FROM sign_query q});
	cmp_ok($of_vectors, '>=', 0.95, "$method on bits, $metric: recall\@10 of vectors $of_vectors");
	is_intact($node, 'signs_s', "$method on bits, $metric: intact");
	$node->safe_psql('postgres', 'DROP INDEX signs_s');
}

# The same rows as halves; and sparse, the 24 largest numbers of each, but one row in 25 whole: more than the codes of an index have
# room for. Such rows must not come out nearer to all others than they are, or links lead to nothing else; and inner products are largest with them.
$node->safe_psql('postgres', q{
CREATE FUNCTION sparse_of(v vector, n int) RETURNS sparsevec LANGUAGE sql IMMUTABLE AS $$
  SELECT format('{%s}/384', string_agg(format('%s:%s', i, x), ','))::sparsevec FROM
    (SELECT i, x FROM unnest(v::real[]) WITH ORDINALITY u(x, i) WHERE x <> 0 ORDER BY abs(x) DESC, i LIMIT n) t $$;
CREATE TABLE halves AS SELECT id, v::halfvec(384) AS v FROM base;
CREATE TABLE sparse AS SELECT id, sparse_of(v, CASE WHEN id % 25 = 0 THEN 384 ELSE 24 END)::sparsevec(384) AS v FROM base;
CREATE TABLE halves_query AS SELECT v::halfvec(384) FROM query WHERE id < 100;
CREATE TABLE sparse_query AS SELECT sparse_of(v, 24)::sparsevec(384) AS v FROM query WHERE id < 100;
VACUUM ANALYZE halves; VACUUM ANALYZE sparse});
for my $case ([ 'halves', 'halfvec_l2', '<->' ], [ 'halves', 'halfvec_cosine', '<=>' ], map { [ 'sparse', "sparsevec_$_", $operators{$_} ] } qw(l2 ip cosine l1))
{
	my ($table, $class, $op) = @$case;
	$node->safe_psql('postgres', "CREATE INDEX typed_v ON $table USING hnsw (v ${class}_ops)");
	my $found = $node->safe_psql('postgres', qq{
SET enable_seqscan = off;
SELECT avg((SELECT count(*) FROM (SELECT v $op q.v AS d FROM $table ORDER BY v $op q.v LIMIT 10) n
  WHERE d <= (SELECT max(d) FROM (SELECT v $op q.v AS d FROM $table ORDER BY (v $op q.v) + 0 LIMIT 10) e))) / 10 FROM ${table}_query q});
	# Inner products are largest with rows that are cut: .95, and .8 if codes have room for 19 in 20 rows alone.
	cmp_ok($found, '>=', $class eq 'sparsevec_ip' ? 0.93 : 0.95, "$class: recall\@10 $found");
	my $lost = $node->safe_psql('postgres', q{SELECT unreachable FROM ann_index_stats('typed_v')});
	cmp_ok($lost, '<=', 100, "$class: walks miss $lost of 10,000 nodes");
	is_intact($node, 'typed_v', "$class: intact");
	$node->safe_psql('postgres', 'DROP INDEX typed_v');
}

# Rows that came one by one are found as well as those that were there first.
$node->safe_psql('postgres', q{
CREATE TABLE later (LIKE base);
CREATE INDEX later_v ON later USING hnsw (v vector_cosine_ops);
INSERT INTO later SELECT * FROM base WHERE id < 4000});
my $recall = recall($node, 'later', '<=>', 10);
cmp_ok($recall, '>=', 0.95, "from an empty table: recall\@10 $recall");
is(unordered($node, 'later', '<=>', 50), 0, 'from an empty table: rows in order');
is_intact($node, 'later_v', 'from an empty table: intact');

# 10,000 copies of one vector stand in nobody's way: neither by inserts nor by a build.
$node->safe_psql('postgres', q{
INSERT INTO later SELECT 100000 + i, (SELECT v FROM base WHERE id = 17) FROM generate_series(1, 10000) i});
for my $how ('inserted', 'built')
{
	$recall = recall($node, 'later', '<=>', 10);
	cmp_ok($recall, '>=', 0.95, "10,000 copies $how: recall\@10 $recall");
	is($node->safe_psql('postgres', q{SELECT count(*) || ' ' || count(DISTINCT id) || ' ' || max(distance)::numeric(4, 3)
FROM nearest('later', '<=>', (SELECT v FROM base WHERE id = 17), 10001)}), '10001 10001 0.000', "10,000 copies $how: all are found, each once");
	is_intact($node, 'later_v', "10,000 copies $how: intact");
	$node->safe_psql('postgres', 'REINDEX INDEX later_v') if $how eq 'inserted';
}

# The whole set that test/data is drawn from, where ANN_TEST_FULL_DATA names a folder with base.npy and
# query.npy.
SKIP:
{
	my $full = $ENV{ANN_TEST_FULL_DATA} or skip('ANN_TEST_FULL_DATA names no whole data set', 2);
	$node->safe_psql('postgres', 'DROP TABLE base, later, query');
	my $rows = load_base($node, 0, undef, 384, $full);
	load_queries($node, 200, 384, $full);
	$node->safe_psql('postgres', 'CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops)');
	$recall = recall($node, 'base', '<=>', 10);
	cmp_ok($recall, '>=', 0.95, "$rows rows: recall\@10 $recall");
	is(unordered($node, 'base', '<=>', 50), 0, "$rows rows: in order");
}

$node->stop;
done_testing();
