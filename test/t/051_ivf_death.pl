# A backend dies of SIGKILL, or the server at once, right after a change of an ivf index: in a build, an insert,
# a vacuum that moves, splits or merges lists, a retraining, with codes in blocks, in records and in several of them. After recovery the index is
# intact, every committed row is found once, and it goes on, and is retrained. Every line that finishes a change must have had both
# deaths (AnnUnits). UNITS_SEEDS=n: with n sets of vectors, so other lists.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node cancel_at);
use AnnUnits qw(start_units kill_at sweep unproven deaths);

my $node = new_node('ivf_death', "restart_after_crash = on\nshared_buffers = 4MB\nmax_parallel_maintenance_workers = 0\nann.simd_target = portable\n");

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q{
CREATE TABLE pool (id int PRIMARY KEY, v vector(64));
CREATE VIEW wide AS SELECT id, (array_cat(v::real[], array_fill(0.5::real, ARRAY[4936])))::vector(5000) AS v FROM pool;

-- what is wrong with t and its index: '' is nothing
CREATE FUNCTION assess(index text DEFAULT 't_v') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  l record;
  lacking text;
BEGIN
  PERFORM ann_index_check(index::regclass);
  l := lost('t', '<->', (SELECT v FROM t ORDER BY id LIMIT 1));
  SELECT string_agg(id::text, ' ') INTO lacking FROM (
    SELECT id FROM t WHERE id % 7 = 1 EXCEPT SELECT r.id FROM generate_series(1, 7000, 7) AS i,
      LATERAL (SELECT id FROM t WHERE t.id = i ORDER BY v <-> (SELECT v FROM t ORDER BY id LIMIT 1)) r) s;
  RETURN concat_ws(' ', nullif(l.lacking, 0) || ' lacking', nullif(l.again, 0) || ' again', 'lacking under a filter: ' || lacking);
EXCEPTION WHEN index_corrupted THEN
  RETURN SQLERRM;
END $$});

start_units($node, sub {
	my ($scenario) = @_;
	my $pool = $scenario->{pool} // 'pool';
	return qq{
SELECT assess();
INSERT INTO t SELECT 5000 + id, v FROM $pool WHERE id BETWEEN 900 AND 950;
SELECT assess();
DELETE FROM t WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP ON) t;
SELECT assess();
INSERT INTO t SELECT 6000 + id, v FROM $pool WHERE id BETWEEN 900 AND 950;
SELECT assess();
SELECT ann_retrain('t_v');
SELECT assess();};
});

sub with_wal
{
	$node->append_conf('postgresql.conf', "wal_level = $_[0]\n");
	$node->restart;
	return;
}

my $table = 'CREATE TABLE t (id int, v vector(64));';
sub rows { return "INSERT INTO t SELECT id, v FROM pool WHERE id BETWEEN $_[0] AND $_[1];"; }
sub index_with { return "CREATE INDEX t_v ON t USING ivf (v vector_l2_ops, id) WITH ($_[0]);"; }
my $flat = index_with('quantizer = flat, lists = 3');
my $coded = index_with('lists = 3');
# Codes that are records of three pages.
my $apart = 'CREATE TABLE t (id int, v vector(5000)); INSERT INTO t SELECT * FROM wide WHERE id <= 8;' . index_with('quantizer = flat, lists = 2');
my $train = sub { cancel_at($node, 'retrain.copied', 1, 'a training is left', q{SELECT ann_retrain('t_v')}) };

for my $seed (1 .. $ENV{UNITS_SEEDS} // 1)
{
	sql("TRUNCATE pool; SELECT setseed(0.01 * $seed); INSERT INTO pool SELECT i, random_vector(64 + 0 * i) FROM generate_series(1, 1000) i");

	# --- inserts ---------------------------------------------------------------------------------------------
	sweep({ name => 'insert, flat', ends => 1, units => 100, setup => $table . rows(1, 60) . $flat, action => rows(61, 200) });
	sweep({ name => 'insert, codes', ends => 1, units => 200, setup => $table . rows(1, 60) . $coded, action => rows(61, 300) });
	sweep({ name => 'first rows', ends => 1, units => 5, setup => $table . $coded, action => rows(1, 5) });
	sweep({ name => 'insert, records of several pages', ends => 1, units => 20, pool => 'wide', setup => $apart,
		action => 'INSERT INTO t SELECT * FROM wide WHERE id BETWEEN 9 AND 14' });
	sweep({ name => 'insert beside a training', ends => 1, units => 80, setup => $table . rows(1, 60) . $coded, before => $train, action => rows(61, 100) });

	# --- vacuum ----------------------------------------------------------------------------------------------
	sweep({ name => 'vacuum that moves lists', ends => 1, units => 8, setup => $table . rows(1, 400) . $coded . 'DELETE FROM t WHERE id % 4 <> 0',
		action => 'VACUUM (INDEX_CLEANUP ON) t' });
	sweep({ name => 'vacuum, nothing left', ends => 1, units => 4, setup => $table . rows(1, 300) . $coded . 'DELETE FROM t', action => 'VACUUM (INDEX_CLEANUP ON) t' });
	sweep({ name => 'vacuum, records of several pages', ends => 1, units => 8, pool => 'wide', setup => "$apart DELETE FROM t WHERE id > 3",
		action => 'VACUUM (INDEX_CLEANUP ON) t' });
	sweep({ name => 'vacuum that discards a training', ends => 1, units => 3, setup => $table . rows(1, 200) . $coded, before => $train,
		action => 'DELETE FROM t WHERE id = 7; VACUUM (INDEX_CLEANUP ON) t' });
	# Pages that nothing leads to: of a move that did not get far.
	sweep({ name => 'vacuum, lost pages', ends => 1, units => 5, setup => $table . rows(1, 400) . $coded . 'DELETE FROM t WHERE id % 4 <> 0',
		before => sub { kill_at(9, 'VACUUM (INDEX_CLEANUP ON) t') }, action => 'VACUUM (INDEX_CLEANUP ON) t' });

	# Rows far off the others, in one list, which is split; and in lists of their own, which are merged when most are gone.
	my $far = 'INSERT INTO t SELECT 2000 + id, v + array_fill(5::real, ARRAY[64])::vector FROM pool WHERE id <= ';
	sweep({ name => 'vacuum that splits', ends => 1, units => 10, setup => $table . rows(1, 80) . index_with('lists = 8') . "$far 600", action => 'VACUUM t' });
	sweep({ name => 'vacuum that merges', ends => 1, units => 8, setup => $table . rows(1, 400) . "$far 100;" . index_with('lists = 8') . 'DELETE FROM t WHERE id > 2002',
		action => 'VACUUM (INDEX_CLEANUP ON) t' });
	sweep({ name => 'vacuum that looks at lists', ends => 1, units => 2, setup => $table . rows(1, 150) . index_with('quantizer = flat, lists = 2') . rows(151, 600), action => 'VACUUM t' });

	# --- retraining ------------------------------------------------------------------------------------------
	sweep({ name => 'retraining, flat', ends => 1, units => 10, setup => $table . rows(1, 150) . $flat, action => q{SELECT ann_retrain('t_v')} });
	sweep({ name => 'retraining, codes', ends => 1, units => 10, setup => $table . rows(1, 150) . $coded . rows(151, 300), action => q{SELECT ann_retrain('t_v')} });
	sweep({ name => 'retraining, records of several pages', ends => 1, only_new => 1, units => 10, pool => 'wide', setup => $apart, action => q{SELECT ann_retrain('t_v')} });

	# --- builds ----------------------------------------------------------------------------------------------
	sweep({ name => 'build', ends => 1, units => 5, setup => $table . rows(1, 200), action => $coded, after => $coded });
	sweep({ name => 'REINDEX', ends => 1, units => 5, setup => $table . rows(1, 200) . $coded . 'DELETE FROM t WHERE id % 3 = 1', action => 'REINDEX INDEX t_v' });
	sweep({ name => 'build, concurrently', ends => 1, units => 5, setup => $table . rows(1, 200), action => $coded =~ s/INDEX/INDEX CONCURRENTLY/r,
		after => rows(201, 210) . 'VACUUM t; REINDEX INDEX CONCURRENTLY t_v;' });
	sweep({ name => 'REINDEX, concurrently', ends => 1, units => 5, setup => $table . rows(1, 200) . $coded, action => 'REINDEX INDEX CONCURRENTLY t_v',
		after => 'DROP INDEX t_v_ccnew;' });
	# The rows are gone, and what is left of the index with the transaction that made it.
	sweep({ name => 'build, unlogged', ends => 1, units => 5, setup => $table . rows(1, 200) . 'ALTER TABLE t SET UNLOGGED', action => $coded, after => $coded });
	sweep({ name => 'insert, unlogged', ends => 1, units => 20, setup => $table . rows(1, 60) . 'ALTER TABLE t SET UNLOGGED;' . $coded, action => rows(61, 120) });
	# A server that logs no builds: the file is written out when the transaction commits.
	with_wal('minimal');
	sweep({ name => 'build, not logged', ends => 1, units => 5, setup => $table . rows(1, 200), action => $coded, after => $coded });
	with_wal('replica');
}

# --- whatever writes has been died after --------------------------------------------------------------------
is(join(' ', unproven($_, 'ivf/*.{cpp,hpp}')), '', "a $_ has died after every line that finishes a change of an index") for 'backend', 'server';
cmp_ok(deaths(), '>=', 100, deaths() . ' deaths');
$node->stop;
done_testing();
