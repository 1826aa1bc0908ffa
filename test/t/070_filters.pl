# A thousand random conjunctions over real rows with their real attributes: each gives as many rows as there are, up
# to the limit, and the right ones; from an index that was built, and from one that inserts, updates and
# vacuums have made.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries is_intact);

my $node = new_node('filters', "shared_buffers = 128MB\nmaintenance_work_mem = 256MB\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

# Attributes from test/data, by the rows' numbers.
sub load_attributes
{
	open(my $in, '<:raw', "$ENV{ANN_TREE}/test/data/attributes.npy") or die "cannot open attributes.npy: $!";
	read($in, my $head, 10);
	my ($magic, $major, $header_bytes) = unpack('a6 C x v', $head);
	read($in, my $header, $header_bytes);
	$header =~ /'descr':\s*'<i4'.*'fortran_order':\s*False.*'shape':\s*\(10000, 15\)/ or die "header not understood: $header";
	my $file = $PostgreSQL::Test::Utils::tmp_check . '/attributes.copy';
	open(my $out, '>', $file) or die "cannot write $file: $!";
	for my $id (0 .. 9999)
	{
		read($in, my $row, 60) == 60 or die 'attributes.npy is too short';
		my ($section, $kb, $depends, @tags) = unpack('l<*', $row);
		print $out join("\t", $id, $section, $kb, $depends, '{' . join(',', grep { $_ >= 0 } @tags) . '}'), "\n";
	}
	close($out);
	sql('CREATE TABLE attributes (id int PRIMARY KEY, section int, kb int, depends int2, tags int[])');
	sql("\\copy attributes from '$file'");
	unlink($file);
	return;
}

# Cut short, so that rows hold their vectors and truth is quickly found.
load_base($node, 0, undef, 128);
load_queries($node, 200, 128);
load_attributes();
sql(q{
CREATE TABLE items AS SELECT id, v, 'section ' || section AS section, kb, depends, (SELECT coalesce(array_agg('tag ' || t), '{}') FROM unnest(tags) t) AS tags,
    kb / 100.0 AS price, timestamptz '2024-01-01' + kb % 4000 * interval '1 hour' AS made, kb % 3 = 0 AS even
  FROM base JOIN attributes USING (id);
UPDATE items SET section = NULL WHERE id % 41 = 0;
UPDATE items SET kb = NULL, price = NULL WHERE id % 37 = 0;
VACUUM (FULL, ANALYZE) items;
CREATE TABLE whole AS SELECT row_number() OVER (ORDER BY id) - 1 AS number, items.* FROM items WHERE section IS NOT NULL AND kb IS NOT NULL;
ALTER TABLE whole ADD PRIMARY KEY (number);

-- a condition that some row meets, with that row's values
CREATE FUNCTION condition() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r whole;
  other whole;
  dice int := floor(random() * 16);
  n int := (SELECT count(*) FROM whole);
  a int := floor(random() * n);
  b int := floor(random() * n);
BEGIN
  SELECT * INTO STRICT r FROM whole WHERE number = a;
  SELECT * INTO STRICT other FROM whole WHERE number = b;
  RETURN CASE dice
    WHEN 0 THEN format('section = %L', r.section) WHEN 1 THEN format('section IN (%L, %L)', r.section, other.section)
    WHEN 2 THEN format('kb BETWEEN %s AND %s', least(r.kb, other.kb), greatest(r.kb, other.kb)) WHEN 3 THEN format('kb < %s', r.kb)
    WHEN 4 THEN format('depends >= %s', r.depends) WHEN 5 THEN format('depends = %s', r.depends)
    WHEN 6 THEN format('tags && %L', other.tags || r.tags[1:1]) WHEN 7 THEN format('tags @> %L', r.tags[1:2])
    WHEN 8 THEN format('price > %s', r.price) WHEN 9 THEN format('made >= %L AND made < %L', r.made, r.made + interval '30 days')
    WHEN 10 THEN 'section IS NOT NULL' WHEN 11 THEN 'kb IS NULL' WHEN 12 THEN CASE WHEN a % 2 = 0 THEN 'even' ELSE 'NOT even' END
    WHEN 13 THEN format('kb <> %s', r.kb)
    WHEN 14 THEN CASE WHEN a % 3 = 0 THEN format('kb IN (%s, %s)', r.kb, other.kb) ELSE format('kb = %s', r.kb) END ELSE format('kb > %s::int8', other.kb) END;
END $$;
CREATE FUNCTION conjunction() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(condition(), ' AND ') FROM generate_series(1, 1 + floor(random() * 3)::int) $$;

-- what is found of the k nearest rows that meet the conditions
CREATE FUNCTION judge(conditions text, q vector, k int, OUT wanted int, OUT given int, OUT hits int, OUT passing int) LANGUAGE plpgsql AS $$
DECLARE
  farthest float8;
BEGIN
  PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'off', true);
  EXECUTE format('WITH near AS MATERIALIZED (SELECT v <=> $1 AS d FROM items WHERE %s)
    SELECT count(*), max(d), (SELECT count(*) FROM near) FROM (SELECT d FROM near ORDER BY d LIMIT $2) n', conditions) INTO wanted, farthest, passing USING q, k;
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true), set_config('enable_indexscan', 'on', true);
  EXECUTE format('SELECT count(DISTINCT id), count(*) FILTER (WHERE d <= $3 + 1e-6)
    FROM (SELECT id, v <=> $1 AS d FROM items WHERE %s ORDER BY v <=> $1 LIMIT $2) n', conditions) INTO given, hits USING q, k, farthest;
END $$});

# The first has many values: hnsw posts its rows.
my $columns = 'v vector_cosine_ops, kb, section, depends, tags, price, made, even';

# So many conjunctions, each with a query.
sub judge
{
	my ($name, $n, $seed) = @_;
	my ($figures, @bad) = split /\n/, sql(qq{
DO 'BEGIN PERFORM setseed($seed); END';
CREATE TEMP TABLE asked AS SELECT i, conjunction() AS conditions FROM generate_series(1, $n) i;
CREATE TEMP TABLE judged AS SELECT a.i, conditions, j.* FROM asked a JOIN query ON query.id = a.i % 200 CROSS JOIN LATERAL judge(conditions, query.v, 10) j;
SELECT count(*), count(*) FILTER (WHERE given <> wanted), sum(hits)::float8 / greatest(sum(wanted), 1),
  count(*) FILTER (WHERE hits < 0.6 * wanted), count(*) FILTER (WHERE passing BETWEEN 1 AND 100) FROM judged;
SELECT format('%s of %s: %s', given, wanted, conditions) FROM judged WHERE given <> wanted OR hits < 0.6 * wanted LIMIT 10});
	diag($_) for @bad;
	my ($asked, $short, $recall, $poor, $few) = split /\|/, $figures;
	is($asked, $n, "$name: $n conjunctions, $few of which 1 to 100 rows meet");
	is($short, 0, "$name: none gives too few rows");
	cmp_ok($recall, '>=', 0.95, "$name: recall $recall");
	cmp_ok($poor, '<=', $n / 100, "$name: $poor find less than six of ten");
	return;
}

my @methods = split /\n/, sql(q{SELECT amname FROM pg_am WHERE amname IN ('hnsw', 'ivf') AND pg_indexam_has_property(oid, 'can_multi_col') ORDER BY 1});
for my $method (@methods)
{
	sql("CREATE INDEX items_v ON items USING $method ($columns)");
	is_intact($node, 'items_v', "$method: intact");
	like(sql("SET enable_seqscan = off; EXPLAIN SELECT id FROM items WHERE section = 'section 3' AND kb < 100 ORDER BY v <=> (SELECT v FROM query WHERE id = 1)"),
		qr/Index Cond: \(\(kb < .*AND \(section = /, "$method: by the index");
	judge("$method, built", 1000, 0.1);

	# Attributes change, rows come and go; then all that was dead is vacuumed.
	sql("UPDATE items SET kb = kb + 7, depends = depends + 1 WHERE id % 3 = 0");
	sql("UPDATE items SET section = 'section ' || id % 30, even = NOT even WHERE id % 4 = 0");
	sql('CREATE TABLE again AS SELECT * FROM items WHERE id % 5 = 2');
	sql('DELETE FROM items WHERE id % 5 = 2');
	judge("$method, changed", 100, 0.2);
	sql('VACUUM (INDEX_CLEANUP ON) items');
	is_intact($node, 'items_v', "$method: intact after a vacuum");
	sql('INSERT INTO items SELECT * FROM again; DROP TABLE again');
	is_intact($node, 'items_v', "$method: intact after inserts");
	judge("$method, vacuumed and filled again", 200, 0.3);
	sql('DROP INDEX items_v');
}

# --- searches made of searches (RECIPES.md) --------------------------------------------------------------------
# Words are what packages are tagged with, a category is a section.
sql(q{
ALTER TABLE items ADD COLUMN words tsvector;
UPDATE items SET words = to_tsvector('simple', array_to_string(tags, ' '));
CREATE INDEX items_v ON items USING hnsw (v vector_cosine_ops, section);
CREATE INDEX items_words ON items USING gin (words);
VACUUM ANALYZE items;
CREATE TABLE words AS SELECT ndoc, word, row_number() OVER (ORDER BY ndoc DESC, word) - 1 AS n FROM ts_stat('SELECT words FROM items') WHERE word <> 'tag' AND ndoc >= 20;
CREATE TABLE categories AS SELECT DISTINCT section FROM items WHERE section IS NOT NULL;
CREATE FUNCTION hybrid(q vector, wanted text) RETURNS TABLE (id int, score float8) LANGUAGE sql VOLATILE AS $$
WITH near AS (
  SELECT id, row_number() OVER (ORDER BY distance, id) AS rank
    FROM (SELECT id, v <=> q AS distance FROM items ORDER BY v <=> q LIMIT 50) n),
matching AS (
  SELECT id, row_number() OVER (ORDER BY relevance DESC, id) AS rank
    FROM (SELECT id, ts_rank_cd(words, query) AS relevance FROM items, plainto_tsquery('simple', wanted) query
           WHERE words @@ query ORDER BY relevance DESC, id LIMIT 50) m)
SELECT id, sum(rrf_score(rank)) AS score
  FROM (SELECT * FROM near UNION ALL SELECT * FROM matching) found
 GROUP BY id ORDER BY score DESC, id LIMIT 10 $$;
CREATE FUNCTION best_of_each(q vector) RETURNS TABLE (section text, id int) LANGUAGE sql VOLATILE AS $$
SELECT c.section, near.id FROM categories c CROSS JOIN LATERAL
  (SELECT id FROM items WHERE section = c.section ORDER BY v <=> q LIMIT 3) near $$});
my $exactly = 'SET enable_indexscan = off; SET enable_bitmapscan = off;';

# Answers of both as (query, place, id, score), by the indexes, again by another plan, and exactly.
my $asked = 'FROM query q, words w, LATERAL hybrid(q.v, w.word) WITH ORDINALITY h (id, score, place) WHERE q.id < 40 AND w.n = q.id % (SELECT count(*) FROM words)';
sql("CREATE TABLE fused AS SELECT q.id AS query, h.* $asked; $exactly CREATE TABLE fused_truth AS SELECT q.id AS query, h.* $asked");
is(sql("SET enable_hashagg = off; SET enable_hashjoin = off; SELECT count(*) FROM fused FULL JOIN (SELECT q.id AS query, h.* $asked) again USING (query, id, score, place) WHERE fused IS NULL OR again IS NULL"),
	0, 'hybrid search: the same by another plan');
my ($fused, $ordered, $both) = split /\|/, sql(q{SELECT count(*), count(*) FILTER (WHERE score < before OR (score = before AND id > id_before)), count(*) FILTER (WHERE score > 1 / 61.0)
FROM (SELECT *, lag(score, 1, 9) OVER w AS before, lag(id, 1, -1) OVER w AS id_before FROM fused WINDOW w AS (PARTITION BY query ORDER BY place)) f});
is("$fused $ordered", '400 400', 'hybrid search: ten rows each, by score, equal scores by key');
cmp_ok($both, '>', 0, "hybrid search: $both rows are in both lists");
my $common = sql('SELECT count(*) / 400.0 FROM fused JOIN fused_truth USING (query, id)');
cmp_ok($common, '>=', 0.95, "hybrid search: $common of the rows that exact lists give");
cmp_ok(sql('SELECT count(*) FROM (SELECT query, score FROM fused GROUP BY 1, 2 HAVING count(*) > 1) ties'), '>', 0, 'hybrid search: some scores are equal');

my $each = 'FROM query q, LATERAL best_of_each(q.v) b WHERE q.id < 20';
like(sql("EXPLAIN (COSTS OFF) SELECT c.section, near.id FROM categories c CROSS JOIN LATERAL
  (SELECT id FROM items WHERE section = c.section ORDER BY v <=> (SELECT v FROM query WHERE id = 1) LIMIT 3) near"),
	qr/Nested Loop.*Seq Scan on categories.*Index Scan using items_v on items\s+Index Cond: \(section = c.section\)/s, 'best of each category: a search for each');
sql("CREATE TABLE best AS SELECT q.id AS query, b.* $each; $exactly CREATE TABLE best_truth AS SELECT q.id AS query, b.* $each");
is(sql('SELECT count(*) FROM (SELECT query, section, count(*) AS n FROM best GROUP BY 1, 2) b JOIN (SELECT query, section, count(*) AS n FROM best_truth GROUP BY 1, 2) t USING (query, section) WHERE b.n = t.n'),
	sql('SELECT 20 * count(*) FROM categories'), 'best of each category: as many as there are, in each');
$common = sql('SELECT count(*)::float8 / (SELECT count(*) FROM best_truth) FROM best JOIN best_truth USING (query, section, id)');
cmp_ok($common, '>=', 0.95, "best of each category: $common are the right ones");
# Of rows at the same distance it may be another.
is(sql("$exactly SELECT count(*) FROM (SELECT DISTINCT ON (query, section) query, section, d FROM (SELECT q.id AS query, i.section, i.id, i.v <=> q.v AS d FROM query q, items i WHERE q.id < 20 AND i.section IS NOT NULL) a ORDER BY query, section, d, id) first
WHERE NOT EXISTS (SELECT FROM best_truth b JOIN items i USING (id) JOIN query q ON q.id = b.query WHERE b.query = first.query AND b.section = first.section AND i.v <=> q.v = d)"), 0, 'best of each category: DISTINCT ON gives the first of these');

# --- plans with defaults, with the attribute in the vector's index and in one of its own ------------------------
sql('DROP INDEX items_v; ALTER TABLE items ADD COLUMN place int, ADD COLUMN beside int; UPDATE items SET place = id * 7919 % 10000, beside = id * 7919 % 10000;
CREATE INDEX items_beside ON items (beside); VACUUM (FULL, ANALYZE) items');
for my $method (@methods)
{
	sql("CREATE INDEX items_v ON items USING $method (v vector_cosine_ops, place); ANALYZE items");
	for my $rows (10000, 1000, 100, 10, 1)
	{
		my $plan_of = sub { return sql("EXPLAIN (COSTS OFF) SELECT id FROM items WHERE $_[0] < $rows ORDER BY v <=> (SELECT v FROM query WHERE id = 1) LIMIT 10") };
		my $share = $rows / 100;
		my ($inside, $beside) = ($plan_of->('place'), $plan_of->('beside'));
		if ($rows >= 100) { like($inside, qr/Index Scan using items_v/, "$method, $share %, in the vector's index: that is used"); }
		else { unlike($inside, qr/Seq Scan on items/, "$method, $share %, in the vector's index: not all is read"); }
		if ($rows == 10000) { like($beside, qr/Index Scan using items_v/, "$method, $share %, in another: the vector's index"); }
		elsif ($rows <= 10) { like($beside, qr/Sort.*Scan (on|using) items_beside/s, "$method, $share %, in another: its rows are sorted"); }
		else { unlike($beside, qr/Seq Scan on items/, "$method, $share %, in another: not all is read"); }
	}
	sql('DROP INDEX items_v');
}
$node->stop;
done_testing();
