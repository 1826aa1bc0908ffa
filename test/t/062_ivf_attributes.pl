# Filters on attributes of ivf indexes give what a sequential scan gives, whatever the quantizer and wherever codes lie: after
# a build, with rows that came, changed and went, after lists have moved, been split and been trained anew; and beside writers.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node new_standby is_intact no_crash);

my $node = new_node('ivf_attributes', "max_parallel_maintenance_workers = 2\nmin_parallel_table_scan_size = 0\n", allows_streaming => 1);
my $standby = new_standby($node, 'ivf_attributes_standby');
sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q{
SELECT setseed(0.5);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE pool AS SELECT i AS id, random_vector(24 + 0 * i)::vector(24) AS v, (random() * 30)::int AS a, CASE WHEN i % 5 <> 0 THEN (random() * 1e6)::int8 - 500000 END AS b,
  CASE WHEN i % 11 <> 0 THEN 'word ' || i % 40 END AS w, ARRAY[i % 10, i % 13] AS tags, (ARRAY['sad', 'ok', 'happy'])[1 + i % 3]::mood AS m, random() * 10 AS f
FROM generate_series(1, 4000) i;
CREATE VIEW wide AS SELECT id, (array_cat(v::real[], array_fill(0.5::real, ARRAY[2976])))::vector(3000) AS v, a, b, w, tags, m, f FROM pool;

-- Of conditions made of the seed: those under which a search by the index gives other rows than a sequential scan.
CREATE FUNCTION wrong(tbl text, conditions int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  parts text[] := ARRAY['a = %s', 'a < %s', 'a BETWEEN %s AND 20', 'b IS NULL', 'b > %s * 10000', 'b <= -100000', 'w = ''word %s''', 'w IS NOT NULL',
    'tags && ARRAY[%s]', 'tags @> ARRAY[%s]', 'm = ''ok''', 'm > ''sad''', 'f >= %s / 4.0', 'a = 5 AND b < 0', 'a >= %s'];
  clause text;
  found int[];
  expected int[];
  bad text := '';
BEGIN
  PERFORM set_config('enable_sort', 'off', true);
  FOR i IN 1 .. conditions LOOP
    clause := replace(parts[1 + i % 15] || ' AND ' || parts[1 + i * 7 % 15], '%s', (i * 13 % 35)::text);
    IF i % 3 = 0 THEN clause := replace(parts[1 + i % 15], '%s', (i % 12)::text); END IF;
    PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_indexscan', 'on', true);
    EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM (SELECT id FROM %s WHERE %s ORDER BY v <-> (SELECT v FROM %1$s LIMIT 1)) r', tbl, clause) INTO found;
    PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
    EXECUTE format('SELECT coalesce(array_agg(id), ''{}'') FROM %s WHERE %s', tbl, clause) INTO expected;
    IF (SELECT array_agg(x ORDER BY x) FROM unnest(found) x) IS DISTINCT FROM (SELECT array_agg(x ORDER BY x) FROM unnest(expected) x) THEN
      bad := bad || format('%s: %s rows, not %s; ', clause, cardinality(found), cardinality(expected));
    END IF;
  END LOOP;
  RETURN bad;
END $$;});

my $attributes = 'a, b, w, tags, m, f';
like(sql("CREATE TABLE s AS TABLE pool; CREATE INDEX ON s USING ivf (v vector_l2_ops, $attributes); SET enable_seqscan = off; SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM s WHERE a = 3 AND w = 'word 3' AND tags && ARRAY[3] AND m > 'sad' ORDER BY v <-> (SELECT v FROM s LIMIT 1)"),
	qr/Index Scan using.*\n\s*Index Cond: .*a = 3.*w = 'word 3'.*tags && .*m > 'sad'/, 'conditions on attributes are the index\'s');

my $number = 0;
for my $case (
	[ 'ivf', '', 'pool', 4000 ], [ 'ivf', 'rerank = heap', 'pool', 4000 ], [ 'ivf', 'quantizer = sq8', 'pool', 2000 ], [ 'ivf', 'quantizer = pq', 'pool', 2000 ],
	[ 'ivf', 'quantizer = pq, pq_bits = 8, rerank = index', 'pool', 2000 ], [ 'ivf', 'quantizer = flat', 'pool', 2000 ], [ 'ivf', 'lists = 10', 'wide', 200 ],
	[ 'ivf', 'lists = 4, quantizer = sq8', 'wide', 200 ], [ 'ivf', 'lists = 4, quantizer = flat', 'wide', 200 ], [ 'ivfflat', 'lists = 8', 'pool', 1000 ])
{
	my ($method, $options, $source, $rows) = @$case;
	my ($table, $name) = ('t' . ++$number, "$method $options, $source");
	my $dims = $source eq 'pool' ? 24 : 3000;
	# ivfflat, as pgvector's, looks at one list unless told otherwise.
	sql("ALTER DATABASE postgres SET ivfflat.iterative_scan = strict_order");
	my $half = $rows / 2;
	sql("CREATE TABLE $table (id int, v vector($dims), a int, b int8, w text, tags int[], m mood, f float8);
INSERT INTO $table SELECT * FROM $source WHERE id <= $half;
CREATE INDEX ${table}_v ON $table USING $method (v vector_l2_ops, $attributes)" . ($options ? " WITH ($options)" : ''));
	is(sql("SELECT wrong('$table', 25)"), '', "$name: built");
	sql("INSERT INTO $table SELECT * FROM $source WHERE id > $half AND id <= $rows;
UPDATE $table SET a = a + 1 WHERE id % 4 = 0;
UPDATE $table SET b = NULL, w = 'word 3' WHERE id % 9 = 0;
DELETE FROM $table WHERE id % 7 = 1");
	is(sql("SELECT wrong('$table', 25)"), '', "$name: rows came, changed and went");
	sql("VACUUM (INDEX_CLEANUP ON) $table");
	is(sql("SELECT wrong('$table', 25)"), '', "$name: vacuumed");
	sql("DELETE FROM $table WHERE id % 3 <> 0; VACUUM (INDEX_CLEANUP ON) $table;
INSERT INTO $table SELECT * FROM $source WHERE id % 3 <> 0 AND id <= $rows; SELECT ann_retrain('${table}_v')");
	is(sql("SELECT wrong('$table', 25)"), '', "$name: lists moved, and trained anew");
	is_intact($node, "${table}_v", "$name: intact");
	next if $number % 3 != 1;
	$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
	is($standby->safe_psql('postgres', "SELECT wrong('$table', 25)"), '', "$name: on a standby");
}

# --- rows that are far off in one list, which is split; lists that lose their rows, which are merged -----------
sql("CREATE TABLE far (LIKE pool); INSERT INTO far SELECT * FROM pool WHERE id <= 400; CREATE INDEX far_v ON far USING ivf (v vector_l2_ops, $attributes) WITH (lists = 8);
INSERT INTO far SELECT id, v + array_fill(5::real, ARRAY[24])::vector, a, b, w, tags, m, f FROM pool WHERE id > 400 AND id < 1600");
sql('VACUUM far');
cmp_ok(sql("SELECT lists FROM ann_index_stats('far_v')"), '>', 8, 'lists were split');
is(sql("SELECT wrong('far', 50)"), '', 'after a split');
sql('DELETE FROM far WHERE id > 410; VACUUM (INDEX_CLEANUP ON) far');
is(sql("SELECT wrong('far', 50)"), '', 'after rows went');
is_intact($node, 'far_v', 'after splits: intact');

# --- no more rows than there are, and no fewer ---------------------------------------------------------------
is(sql("SET enable_seqscan = off; SET enable_sort = off; SELECT count(*) FROM (SELECT id FROM t1 WHERE a = 7 AND w = 'word 3' ORDER BY v <-> (SELECT v FROM t1 LIMIT 1) LIMIT 10) r"),
	sql("SELECT least(10, count(*)) FROM t1 WHERE a = 7 AND w = 'word 3'"), 'a LIMIT is met when rows are few');
is(sql("SET enable_seqscan = off; SET enable_sort = off; SELECT count(*) FROM (SELECT id FROM t1 WHERE a = 7 AND a > 9 ORDER BY v <-> (SELECT v FROM t1 LIMIT 1)) r"), 0, 'conditions that exclude each other');

# --- beside writers ------------------------------------------------------------------------------------------
sql(q{CREATE FUNCTION search(x int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  lacking int;
BEGIN
  -- One statement, one snapshot. By place: two writers who delete and insert an id at once leave two rows of it.
  SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off;
  WITH found AS MATERIALIZED (SELECT ctid AS place FROM t2 WHERE a = x ORDER BY v <-> (SELECT v FROM pool WHERE id = x + 1))
    SELECT (SELECT count(*) FROM t2 WHERE a + 0 = x) - (SELECT count(DISTINCT place) FROM found) INTO lacking;
  IF lacking <> 0 THEN RAISE EXCEPTION 'a search for % lacks % rows', x, lacking; END IF;
END $$;
DELETE FROM t2 a USING t2 b WHERE a.id = b.id AND a.ctid < b.ctid});
my %scripts = (
	write => "\\set id random(1, 4000)\nUPDATE t2 SET a = (a + 7) % 31 WHERE id = :id;\n\\set id random(1, 4000)\nDELETE FROM t2 WHERE id = :id;\n"
	  . "INSERT INTO t2 SELECT * FROM pool WHERE id = :id;\n",
	search => "\\set a random(0, 30)\nSELECT search(:a);\n",
	vacuum => "VACUUM (INDEX_CLEANUP ON) t2;\n",
	retrain => "SELECT ann_retrain('t2_v');\n");
my %clients = (write => [ 2, 300 ], search => [ 2, 100 ], vacuum => [ 1, 8 ], retrain => [ 1, 4 ]);
my @running;
for my $name (sort keys %clients)
{
	my ($clients, $transactions) = @{ $clients{$name} };
	my $file = "$PostgreSQL::Test::Utils::tmp_check/ivf_attributes_$name.sql";
	append_to_file($file, $scripts{$name});
	my $out = '';
	push @running, [ $name, \$out, IPC::Run::start([ 'pgbench', '-n', '-c', $clients, '-t', $transactions, '--max-tries=100', '-f', $file, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \$out, '2>', \$out) ];
}
for my $run (@running)
{
	my ($name, $out, $process) = @$run;
	ok($process->finish, "$name ends well") or diag($$out);
}
is_intact($node, 't2_v', 'after the storm: intact');
is(sql("SELECT wrong('t2', 25)"), '', 'after the storm');
no_crash($node, 'no crash');
$standby->stop;
$node->stop;
done_testing();
