# What a backend keeps of ivf indexes from one statement to the next: no more than it may, nothing of an index that is
# gone or built anew, and whatever the transaction under way has used, whoever else wants memory or raises errors.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_random at_stop);

my $node = new_node('ivf_cache');
load_random($node, 'pool', 1000, 32);
sub sql { return $node->safe_psql('postgres', "SET enable_seqscan = off;\nSET enable_sort = off;\n$_[0]"); }
sql(q{
CREATE TABLE t (id int, v vector(32));
INSERT INTO t SELECT * FROM pool;
CREATE TABLE other AS TABLE pool;
CREATE INDEX t_l2 ON t USING ivf (v vector_l2_ops) WITH (lists = 200);
CREATE INDEX t_ip ON t USING ivf (v vector_ip_ops) WITH (lists = 200);
CREATE INDEX t_cosine ON t USING ivf (v vector_cosine_ops) WITH (lists = 200);
-- frames in memory, and their kB
CREATE VIEW kept AS SELECT count(*) AS frames, coalesce(sum(total_bytes), 0)::bigint / 1024 AS kb
  FROM pg_backend_memory_contexts WHERE name = 'ann ivf lists';
CREATE FUNCTION search(op text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  n int;
BEGIN
  EXECUTE format('SELECT count(*) FROM (SELECT id FROM t ORDER BY v %s (SELECT v FROM pool WHERE id = 7) LIMIT 20) x', op) INTO n;
  RETURN n;
END $$});

is(sql(q{SELECT search('<->'); SELECT search('<->'); SELECT frames FROM kept}), "20\n20\n1", 'one frame for two searches');
my $kb = sql(q{DO $$ BEGIN PERFORM search('<->'); END $$; SELECT kb FROM kept});
cmp_ok($kb, '>=', 200 * 32 * 4 / 1024, "a frame takes $kb kB");

# Dropped, built anew, changed.
is(sql(q{DO $$ BEGIN PERFORM search('<->'), search('<#>'); END $$; SELECT frames FROM kept; DROP INDEX t_ip; SELECT frames FROM kept;
CREATE INDEX t_ip ON t USING ivf (v vector_ip_ops) WITH (lists = 200); SELECT search('<#>'); SELECT frames FROM kept;
REINDEX INDEX t_ip; SELECT frames FROM kept; SELECT search('<#>'); SELECT frames FROM kept;
SELECT ann_retrain('t_ip'); SELECT search('<#>'); SELECT frames FROM kept}),
	"2\n1\n20\n2\n1\n20\n2\n\n20\n2", 'nothing is kept of an index that was dropped, built anew, or has other lists');
is(sql(q{BEGIN; SELECT search('<#>'); DROP INDEX t_ip; SELECT frames FROM kept; ROLLBACK; SELECT frames FROM kept; SELECT search('<#>')}),
	"20\n1\n0\n20", 'dropped and rolled back: searched again');
is(sql(q{SELECT search('<#>'); TRUNCATE t; SELECT search('<#>'); INSERT INTO t SELECT * FROM pool; SELECT search('<#>'); REINDEX TABLE t; SELECT search('<#>'), (SELECT frames FROM kept)}),
	"20\n0\n20\n20|1", 'truncated and filled again');

# Memory: the limit holds at the end of each transaction; the latest stay.
my $two = 2 * $kb + int($kb / 2);
is(sql(qq{SET ann.cache_kb = $two; SELECT search('<->'); SELECT search('<#>'); SELECT search('<=>'); SELECT frames, kb <= $two FROM kept;
BEGIN; SELECT search('<->'), search('<#>'), search('<=>'); SELECT frames FROM kept; COMMIT; SELECT frames FROM kept}),
	"20\n20\n20\n2|t\n20|20|20\n3\n2", 'two of three frames fit: a transaction has them all, and leaves two');
my $less = int($kb / 2);
is(sql(qq{SET ann.cache_kb = $less; SELECT search('<->'); SELECT frames FROM kept;
BEGIN; SELECT search('<->'); SELECT search('<->'); SELECT frames FROM kept; INSERT INTO t SELECT * FROM pool; SELECT frames FROM kept; ROLLBACK; SELECT frames FROM kept;
SET ann.cache_kb = 0; SELECT search('<#>'); SET ann.cache_kb = $less; BEGIN; SELECT search('<->'); SELECT frames FROM kept; COMMIT; SELECT frames FROM kept}),
	"20\n0\n20\n20\n1\n3\n0\n20\n20\n1\n0", 'a frame beyond the limit lives as long as its transaction');

# A cursor goes on, whatever is wanted, fails or is rolled back beside it.
my $rows = q{SELECT string_agg(id::text, ' ') FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 7) LIMIT 12) x};
my $expected = join("\n", split(' ', sql($rows)));
for my $limit (0, $less)
{
	my $found = sql(qq{SET ann.cache_kb = $limit;
CREATE TEMP TABLE got (n serial, id int);
CREATE FUNCTION pg_temp.take(c refcursor, k int) RETURNS void LANGUAGE plpgsql AS \$\$
DECLARE i int;
BEGIN
  FOR n IN 1 .. k LOOP FETCH c INTO i; INSERT INTO got (id) VALUES (i); END LOOP;
END \$\$;
CREATE FUNCTION pg_temp.fail() RETURNS void LANGUAGE plpgsql AS \$\$
BEGIN
  PERFORM search('<#>'), search('<->');
  RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN
  PERFORM search('<=>');
END \$\$;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 7);
DO \$\$ BEGIN PERFORM pg_temp.take('c', 2); PERFORM pg_temp.fail(); PERFORM pg_temp.take('c', 2); END \$\$;
SAVEPOINT s;
DO \$\$ BEGIN PERFORM search('<#>'), search('<=>'); END \$\$;
INSERT INTO t SELECT id + 5000, v FROM pool LIMIT 50;
ROLLBACK TO s;
ANALYZE t;
DO \$\$ BEGIN PERFORM pg_temp.take('c', 4); END \$\$;
SAVEPOINT s2;
CREATE INDEX another ON other USING ivf (v vector_l2_ops);
DO \$\$ BEGIN PERFORM id FROM other ORDER BY v <-> (SELECT v FROM pool WHERE id = 7) LIMIT 20; END \$\$;
DO \$\$ BEGIN PERFORM search('<->'); END \$\$;
RELEASE s2;
DO \$\$ BEGIN PERFORM pg_temp.take('c', 4); END \$\$;
COMMIT;
SELECT id FROM got ORDER BY n;
DROP INDEX another});
	is($found, $expected, "ann.cache_kb = $limit: a cursor beside errors, savepoints and other indexes");
}

# A cursor that is kept beyond its transaction.
is(sql(qq{SET ann.cache_kb = $less; BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 7) LIMIT 12; FETCH 2 FROM c; COMMIT; FETCH 20 FROM c}),
	$expected, 'a cursor that outlives its transaction');
# A procedure that commits while it reads.
is(sql(qq{SET ann.cache_kb = $less; DO \$\$
DECLARE r record; found text := '';
BEGIN
  FOR r IN SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 7) LIMIT 12 LOOP found := found || E'\\n' || r.id; COMMIT; END LOOP;
  ASSERT found = E'\\n' || '$expected', found;
END \$\$; SELECT 'read'}), 'read', 'a procedure that commits while it reads');

# Lists that are being filled are the writers' affair.
my ($reads, $writes);
at_stop($node, 'retrain.begun', 1, sub {
		$reads = sql(q{SELECT search('<->'); SELECT search('<->'); SELECT frames FROM kept});
		$writes = sql(q{BEGIN; INSERT INTO t VALUES (9999, (SELECT v FROM pool WHERE id = 1)); SELECT search('<#>'); SELECT frames FROM kept; COMMIT});
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'});
	}, q{SELECT ann_retrain('t_l2')});
is($reads, "20\n20\n1", 'beside a retraining: a search reads the lists in use');
is($writes, "20\n4", 'an insert those of all three indexes and the ones being filled');
is(sql(q{SELECT ann_index_check('t_l2'), ann_index_check('t_ip'), ann_index_check('t_cosine')}), '||', 'all are intact');

$node->stop;
done_testing();
