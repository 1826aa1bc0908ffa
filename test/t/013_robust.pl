# Dead rows around a query, a chain that grows beside a cursor, many first inserts at once, and two kinds
# of damage that once cost rows or the backend.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node psql_code no_crash);

my $node = new_node('robust');
my $set = 'SET seed = 0.5; SET enable_seqscan = off; SET enable_sort = off;';

# The 300 nearest of each query are dead and not vacuumed.
$node->safe_psql('postgres', q{
SELECT setseed(0.5);
CREATE TABLE t AS SELECT i AS id, random_vector(16 + 0 * i)::vector(16) AS v FROM generate_series(1, 8000) i;
CREATE TABLE query AS SELECT i AS id, random_vector(16 + 0 * i)::vector(16) AS v FROM generate_series(1, 5) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
DELETE FROM t WHERE id IN (SELECT n.id FROM query q, LATERAL (SELECT id FROM t ORDER BY (t.v <-> q.v) + 0 LIMIT 300) n)});
my $found = $node->safe_psql('postgres', qq{$set
CREATE TEMP TABLE truth AS SELECT q.v, ARRAY(SELECT id FROM t ORDER BY (t.v <-> q.v) + 0 LIMIT 10) AS ids FROM query q;
SELECT sum((SELECT count(*) FROM (SELECT id FROM t ORDER BY t.v <-> truth.v LIMIT 10) r WHERE id = ANY (ids))) FROM truth});
cmp_ok($found, '>=', 45, "of 50 nearest rows behind dead ones $found are found");

# A chain becomes longer than the index had room for when the cursor was opened.
is($node->safe_psql('postgres', qq{$set
CREATE TABLE d (id serial, v vector(3));
INSERT INTO d (v) VALUES ('[1,2,3]'), ('[2,3,4]'), ('[3,4,5]');
CREATE INDEX d_v ON d USING hnsw (v vector_l2_ops);
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM d ORDER BY v <-> '[1,2,3]';
FETCH 1 FROM c;
INSERT INTO d (v) SELECT v FROM d, generate_series(1, 8000);
FETCH 5 FROM c;
COMMIT}), "1\n2\n3", 'a cursor goes on while chains grow');

# Nodes inserted side by side into an empty index know of each other, and no row is lost. Lists are short: when half of the
# nodes go, others are cut off, until vacuum links them.
$node->safe_psql('postgres', 'CREATE TABLE e (id serial, v vector(16)); CREATE INDEX e_v ON e USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 8)');
my $script = $node->basedir . '/insert.sql';
append_to_file($script, "INSERT INTO e (v) SELECT random_vector(16 + 0 * i) FROM generate_series(1, 30) i;\n");
for (1 .. 8)
{
	$node->safe_psql('postgres', 'TRUNCATE e');
	$node->command_ok([ 'pgbench', '-n', '-c', 8, '-j', 2, '-t', 2, '-f', $script, 'postgres' ], "round $_: eight clients insert");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM e'), 480, "round $_: all rows are there");
	is($node->safe_psql('postgres', q{SELECT lacking, again FROM lost('e', '<->', array_fill(0, ARRAY[16])::vector)}), '0|0', "round $_: and found once");
	$node->safe_psql('postgres', 'DELETE FROM e WHERE id % 2 = 0; VACUUM (INDEX_CLEANUP ON) e');
	is($node->safe_psql('postgres', q{SELECT unreachable FROM ann_index_stats('e_v')}), 0, "round $_: after a vacuum walks reach every node");
}

# [ what, file offset, bytes, statement that must be refused ]
my @damage = (
	[ 'default_ef 0', 24 + 84, "\0\0\0\0", "SELECT id FROM %s ORDER BY v <-> (SELECT v FROM query LIMIT 1) LIMIT 5" ],
	[ 'ef_construction 0', 24 + 12, "\0\0", 'INSERT INTO %s SELECT id, random_vector(16) FROM query' ],
	[ 'pd_lower of a node page', 3 * 8192 + 12, "\x40\0", 'INSERT INTO %s SELECT id, random_vector(16 + 0 * id) FROM t LIMIT 1000' ]);
$node->safe_psql('postgres', join(';', map { "CREATE TABLE x$_ AS TABLE t; CREATE INDEX x${_}_v ON x$_ USING hnsw (v vector_l2_ops)" } 0 .. $#damage) . '; CHECKPOINT');
my @path = map { $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('x${_}_v')") } 0 .. $#damage;
$node->stop('fast');
for my $i (0 .. $#damage)
{
	open(my $file, '+<:raw', $path[$i]) or die "cannot open $path[$i]: $!";
	seek($file, $damage[$i]->[1], 0);
	print $file $damage[$i]->[2];
	close($file);
}
$node->start;
for my $i (0 .. $#damage)
{
	my ($code) = psql_code($node, "$set " . sprintf($damage[$i]->[3], "x$i"));
	is($code, 'XX002', "$damage[$i]->[0]: refused");
}
no_crash($node, 'no backend died');
$node->stop;
done_testing();
