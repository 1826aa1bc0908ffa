# Scans of ivf that are read to the end with little memory: each row once, in order, whatever is dropped on the way; and
# what LIMIT tells a scan changes nothing but how much it reads.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_random at_stop);

my $node = new_node('ivf_stream', "work_mem = 64kB\n");
sub sql { return $node->safe_psql('postgres', $_[0]); }
my $by_index = 'SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off;';

my $all_lists = 'SET ivf.probes = 100000;';

# With all lists read before the first row comes, and bounds that hold, rows are in the order of an exact sort.
sub is_complete
{
	my ($name, $table) = @_;
	is(sql(qq{$by_index $all_lists SET ivf.epsilon = 5;
WITH found AS MATERIALIZED (SELECT id, v <-> (SELECT v FROM query) AS d FROM $table ORDER BY v <-> (SELECT v FROM query)),
  numbered AS (SELECT id, d, row_number() OVER () AS n FROM found)
SELECT (SELECT count(*) FROM ${table}_sorted) - count(*), count(*) - count(DISTINCT numbered.id), count(*) FILTER (WHERE abs(numbered.d - s.d) > 1e-5)
FROM numbered JOIN ${table}_sorted s USING (n)}),
		'0|0|0', "$name: every row once, in order");
	return;
}

sub sort_exactly
{
	my ($table) = @_;
	sql(qq{
VACUUM ANALYZE $table;
CREATE TABLE ${table}_sorted AS SELECT id, d, row_number() OVER (ORDER BY d) AS n
  FROM (SELECT id, v <-> (SELECT v FROM query) AS d FROM $table) s});
	return;
}

sql(q{
CREATE TABLE query AS SELECT '[0.1,0,0.2,0,0.1,0,0,0.3]'::vector(8) AS v;
SELECT setseed(.3);
CREATE TABLE many AS SELECT i AS id, random_vector(8)::vector(8) AS v FROM generate_series(1, 100000) i});
sort_exactly('many');
sql('CREATE INDEX many_v ON many USING ivf (v vector_l2_ops)');
is_complete('100,000 rows', 'many');

# One list that memory cannot hold; rows that are all alike; rows that are dead.
sql(q{
CREATE TABLE alike AS SELECT id, CASE WHEN id % 2 = 0 THEN '[1,1,1,1,1,1,1,1]'::vector(8) ELSE v END AS v FROM many WHERE id <= 12000;
DELETE FROM alike WHERE id % 7 = 0});
sort_exactly('alike');
sql('INSERT INTO alike SELECT 20000 + id, v FROM many WHERE id < 1000');
for my $options ('', 'rerank = heap', 'quantizer = sq8', 'quantizer = pq', 'quantizer = pq, rerank = index', 'quantizer = flat', 'lists = 1', 'lists = 1, quantizer = flat')
{
	sql("DROP INDEX IF EXISTS alike_v; CREATE INDEX alike_v ON alike USING ivf (v vector_l2_ops)" . ($options ? " WITH ($options)" : '') . "; DELETE FROM alike WHERE id > 20000");
	is_complete($options || 'rabitq', 'alike');
	is(sql("$by_index SELECT lacking, again FROM lost('alike', '<->', (SELECT v FROM query))"), '0|0', 'by and by: every row once');
}
is(sql("$by_index SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM alike ORDER BY v <-> NULL) s"),
	sql('SELECT count(*), count(*) FROM alike'), 'a query without distances: every row once');

# `off`: the rows of the first lists, with any memory.
sql('DROP INDEX alike_v; CREATE INDEX alike_v ON alike USING ivf (v vector_l2_ops)');
my $off = "$by_index SET ivf.iterative_scan = off; SET ivf.probes = 200;";
my $rows = 'SELECT count(*), md5(string_agg(id::text, \',\' ORDER BY id)) FROM (SELECT id FROM alike ORDER BY v <-> (SELECT v FROM query)) s';
my $first = sql("$off SET work_mem = '64MB'; $rows");
is(sql("$off $rows"), $first, 'iterative_scan = off: the same rows with little memory');
unlike($first, qr/^(0|@{[ sql('SELECT count(*) FROM alike') ]})\|/, 'iterative_scan = off: some rows, not all');

# Lists are trained anew when the scan is about to read them again.
my $said = at_stop($node, 'scan.again', 2, sub {
		sql(q{SELECT ann_retrain('alike_v')});
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'holder%'});
	},
	"$by_index $all_lists SELECT lacking, again FROM lost('alike', '<->', (SELECT v FROM query))");
like($said, qr/^0\|0$/m, 'retrained before lists are read again: every row once');

# What a scan reads for 200 rows: less if it knows of the 200, wherever they are told. A filter hides them.
sub pages
{
	my ($query) = @_;
	sql("$by_index SET ivf.probes = 20; $query");
	my $plan = sql("$by_index SET ivf.probes = 20; SET work_mem = '4MB'; EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF) $query");
	# The top node comes first.
	my ($hit) = $plan =~ /Buffers: shared hit=(\d+)/;
	return $hit;
}
my $order = 'ORDER BY v <-> (SELECT v FROM query)';
my $filtered = pages("SELECT id FROM many WHERE id > 0 $order LIMIT 200");
my $limited = pages("SELECT id FROM many $order LIMIT 200");
cmp_ok($limited, '<', 0.9 * $filtered, "LIMIT 200: $limited pages, unknown: $filtered");
for my $query (
	"SELECT id FROM many $order OFFSET 100 LIMIT 100",
	"SELECT id FROM (SELECT id, v FROM many $order LIMIT 200) s",
	"SELECT s.id FROM query, LATERAL (SELECT id FROM many ORDER BY many.v <-> query.v LIMIT 200) s",
	"SELECT id FROM (SELECT * FROM many $order) s LIMIT 200")
{
	my $pages = pages($query);
	cmp_ok($pages, '<', 0.9 * $filtered, "$query: $pages pages");
}

# Whoever asks, and whatever goes on meanwhile, gets the nearest.
sub nearest { return "SELECT string_agg(id::text, ',') FROM (SELECT id FROM many ORDER BY v <-> $_[0] LIMIT $_[1]) s"; }
my $q = '(SELECT v FROM query)';
my ($five, $forty) = map { sql("SET enable_indexscan = off; " . nearest($q, $_)) } (5, 40);
sql(q{
CREATE FUNCTION nearest_ids(q vector, k int) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT string_agg(id::text, ',') FROM (SELECT id FROM many ORDER BY v <-> q LIMIT k) s $$;
CREATE FUNCTION fails(q vector) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 / (id - id) FROM many ORDER BY v <-> q LIMIT 3;
  RETURN 'no error';
EXCEPTION WHEN division_by_zero THEN RETURN nearest_ids(q, 5);
END $$});
my $setup = "$by_index $all_lists SET ivf.epsilon = 5;";
is(sql("$setup SELECT nearest_ids($q, 5), nearest_ids($q, 40)"), "$five|$forty", 'in a function');
is(sql("$setup SELECT fails($q), nearest_ids($q, 40)"), "$five|$forty", 'after an error inside');
is(sql("$setup SELECT (SELECT nearest_ids($q, 5)) FROM many $order LIMIT 1"), $five, 'in a function of a row');
is(sql("$setup SELECT string_agg((SELECT string_agg(id::text, ',') FROM (SELECT id FROM many ORDER BY v <-> $q LIMIT k) s), '|') FROM (VALUES (5), (40)) w(k)"),
	"$five|$forty", 'another LIMIT each time');
is(sql("$setup PREPARE p(int) AS SELECT id FROM many $order LIMIT \$1; SELECT 1; EXECUTE p(5); EXECUTE p(40)"),
	join("\n", 1, split(/,/, "$five,$forty")), 'LIMIT as a parameter');
is(sql("$setup BEGIN; DECLARE c CURSOR FOR SELECT id FROM many $order LIMIT 40; FETCH 5 FROM c; FETCH ALL FROM c; COMMIT"),
	join("\n", split(/,/, $forty)), 'by a cursor');
is(sql("$setup SELECT string_agg(id::text, ',') FROM (SELECT id FROM many $order FETCH FIRST 5 ROWS WITH TIES) s"), $five, 'WITH TIES');
is(sql("$setup SELECT string_agg(id::text, ',') FROM (SELECT id FROM many WHERE id % 5 <> 0 $order LIMIT 5) s"),
	sql("SET enable_indexscan = off; SELECT string_agg(id::text, ',') FROM (SELECT id FROM many WHERE id % 5 <> 0 $order LIMIT 5) s"), 'with a filter');

$node->stop;
done_testing();
