# Vacuum takes dead rows out of chains and graph, leaves an index that finds all others as well as a
# fresh one does, gives space back, and may be interrupted or crash at any point. A standby follows it.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use AnnTest qw(new_node new_standby load_base load_queries recall unordered is_intact no_crash cancel_at);

my $node = new_node('vacuum', "wal_consistency_checking = 'generic'\nmin_parallel_index_scan_size = 0\n",
	allows_streaming => 1);
my $standby = new_standby($node, 'vacuum_standby');

sub sql { return $node->safe_psql('postgres', $_[0]); }
# What VACUUM VERBOSE says of a table.
sub verbose
{
	my ($table) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "SET maintenance_work_mem = '1MB'; VACUUM (VERBOSE, INDEX_CLEANUP ON) $table");
	is($rc, 0, "$table is vacuumed");
	return $err;
}
sub stat_of { return sql("SELECT $_[1] FROM ann_index_stats('$_[0]')"); }

# Passes when a search without end gives the table's rows, each once.
sub is_complete
{
	my ($server, $table, $name) = @_;
	return is($server->safe_psql('postgres', "SELECT lacking, again FROM lost('$table', '<=>', (SELECT v FROM query WHERE id = 3))"),
		'0|0', "$name: all rows are found, and once");
}

sub is_sound
{
	my ($table, $name) = @_;
	is_intact($node, "${table}_v", "$name: intact");
	is_complete($node, $table, $name);
	return;
}

load_queries($node, 200);
load_base($node, 0, 10000);
sql(q{
ALTER TABLE base RENAME TO pool;
-- 600 queries: 200 leave a standard error of half the difference that counts here.
INSERT INTO query SELECT id, v FROM pool WHERE id >= 9600;
CREATE TABLE base (id int PRIMARY KEY, v vector(384));
INSERT INTO base SELECT * FROM pool WHERE id < 4000;
CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops)});

# --- half of the rows, all but one, all ----------------------------------------------------------------
sql('DELETE FROM base WHERE id % 2 = 0; VACUUM (INDEX_CLEANUP ON) base');
is_sound('base', 'half deleted');
is(stat_of('base_v', 'dead_slots'), 0, 'half deleted: no node is left dead');
is(stat_of('base_v', 'rows'), sql('SELECT count(*) FROM base'), 'half deleted: the index holds what the table holds');
sql('CREATE TABLE fresh AS TABLE base; CREATE INDEX fresh_v ON fresh USING hnsw (v vector_cosine_ops)');
# A small ef shows what the lists are worth: at the default a vacuum that puts nobody in the places of the dead costs .009.
my ($after, $fresh) = map { sql("SET hnsw.ef_search = 20; SELECT recall('$_', '<=>', 10)") } 'base', 'fresh';
cmp_ok($after, '>=', $fresh - 0.01, "half deleted: recall\@10 $after, fresh $fresh");

sql('DELETE FROM base WHERE id > 9 AND id < 3990; VACUUM (INDEX_CLEANUP ON) base');
is_sound('base', 'ten left');
sql('DELETE FROM base WHERE id <> 5; VACUUM (INDEX_CLEANUP ON) base');
is_sound('base', 'one left');
sql('DELETE FROM base');
my $report = verbose('base');
is_sound('base', 'none left');
my $node_pages = stat_of('base_v', 'node_pages');
like($report, qr/index "base_v": pages: \d+ in total, 1 newly deleted, $node_pages currently deleted, $node_pages reusable/,
	'none left: a page was emptied now, all are free to be used');
is(stat_of('base_v', 'nodes, rows, dead_slots, upper_records, chain_chunks, levels'), '0|0|0|0|0|0', 'none left: nothing is in use');
my $size = sql(q{SELECT pg_relation_size('base_v')});
sql('INSERT INTO base SELECT * FROM pool WHERE id < 4000');
is_sound('base', 'filled again');
my $refilled = sql(q{SELECT pg_relation_size('base_v')});
cmp_ok($refilled, '<=', 1.01 * $size, "filled again: in the same pages ($refilled bytes, $size before)");

# --- short lists: a deletion cuts many nodes off from all others ------------------------------------------------
sql(q{
CREATE TABLE sparse (id int PRIMARY KEY, v vector(384));
INSERT INTO sparse SELECT * FROM pool WHERE id < 1500;
CREATE INDEX sparse_v ON sparse USING hnsw (v vector_cosine_ops) WITH (m = 2, ef_construction = 16)});
for my $step ([ 'half', 'id % 2 = 0' ], [ 'four of five that were left', 'id % 10 <> 1' ])
{
	sql("DELETE FROM sparse WHERE $step->[1]; VACUUM (INDEX_CLEANUP ON) sparse");
	is(stat_of('sparse_v', 'unreachable'), 0, "sparse, $step->[0] deleted: walks reach every node");
	is_sound('sparse', "sparse, $step->[0] deleted");
}

# --- space is used again ----------------------------------------------------------------------------------
sql('REINDEX INDEX base_v');
$size = sql(q{SELECT pg_relation_size('base_v')});
for my $round (0 .. 9)
{
	sql(qq{
DELETE FROM base WHERE id % 5 = $round % 5;
VACUUM (INDEX_CLEANUP ON) base;
INSERT INTO base SELECT id + 10000 * $round, v FROM pool WHERE id < 4000 AND NOT EXISTS (SELECT FROM base b WHERE b.id % 10000 = pool.id)});
}
my $later = sql(q{SELECT pg_relation_size('base_v')});
cmp_ok($later, '<', 1.1 * $size, "ten rounds of a fifth: $later bytes, $size before");
is_sound('base', 'ten rounds of a fifth');
sql('DROP TABLE fresh; CREATE TABLE fresh AS TABLE base; CREATE INDEX fresh_v ON fresh USING hnsw (v vector_cosine_ops)');
($after, $fresh) = (recall($node, 'base', '<=>', 10), recall($node, 'fresh', '<=>', 10));
# Each row has been inserted twice by now: the graph is one made of inserts.
cmp_ok($after, '>=', $fresh - 0.01, "ten rounds of a fifth: recall\@10 $after, fresh $fresh");
# At ef 20 it is .958 of .970; a vacuum that puts nobody in the places of the dead leaves .949.
($after, $fresh) = map { sql("SET hnsw.ef_search = 20; SELECT recall('$_', '<=>', 10)") } 'base', 'fresh';
cmp_ok($after, '>=', $fresh - 0.016, "ten rounds of a fifth: recall\@10 at ef 20 $after, fresh $fresh");

# --- chains: 10,000 rows of one vector among others ---------------------------------------------------------
sql(q{
CREATE TABLE copies (id int PRIMARY KEY, v vector(384));
INSERT INTO copies SELECT DISTINCT ON (v) * FROM pool WHERE id < 500;
INSERT INTO copies SELECT 1000 + i, (SELECT v FROM pool WHERE id = 700) FROM generate_series(1, 5000) i;
CREATE INDEX copies_v ON copies USING hnsw (v vector_cosine_ops);
INSERT INTO copies SELECT 10000 + i, (SELECT v FROM pool WHERE id = 700) FROM generate_series(1, 5000) i});
is_sound('copies', '10,000 copies');
my ($nodes, $chunks) = split /\|/, stat_of('copies_v', 'nodes, chain_chunks');
for my $step (
	[ 'every seventh', 'id % 7 = 0' ],
	[ 'a run', 'id BETWEEN 2000 AND 4000' ],
	[ 'the first ones', 'id BETWEEN 1000 AND 1500' ],
	[ 'the last ones', 'id > 14000' ],
	[ 'all but nine', 'id > 1000 AND id NOT BETWEEN 12000 AND 12009' ])
{
	sql("DELETE FROM copies WHERE id > 1000 AND ($step->[1]); VACUUM (INDEX_CLEANUP ON) copies");
	is_sound('copies', "copies, $step->[0] deleted");
	my ($now, $now_chunks) = split /\|/, stat_of('copies_v', 'nodes, chain_chunks');
	is($now, $nodes, "copies, $step->[0] deleted: their node stays");
	cmp_ok($now_chunks, '<=', $chunks, "copies, $step->[0] deleted: $now_chunks chunks");
	$chunks = $now_chunks;
}
# Each chunk that is left keeps at least one of them.
cmp_ok($chunks, '<=', 9, 'chunks without rows are free');
sql('DELETE FROM copies WHERE id > 1000; VACUUM (INDEX_CLEANUP ON) copies');
is_sound('copies', 'copies, all deleted');
is(stat_of('copies_v', 'nodes, chain_chunks'), ($nodes - 1) . '|0', 'copies, all deleted: node and chain are free');
my $pages = stat_of('copies_v', 'chain_pages');
sql('INSERT INTO copies SELECT 10000 + i, (SELECT v FROM pool WHERE id = 700) FROM generate_series(1, 9000) i');
is_sound('copies', 'copies again');
is(stat_of('copies_v', 'chain_pages'), $pages, 'copies again: in the same pages');

# --- more dead rows than maintenance_work_mem holds: the index is passed through twice ------------------------
# 10,000 vectors, each of 19 rows; 9,000 of them die, some in each of the two, the others lose half of their rows.
sql(q{
CREATE TABLE many (id int, v vector(3));
INSERT INTO many SELECT i, ARRAY[hashint4(i % 10000), hashint4(i % 10000 + 10000), hashint4(i % 10000 + 20000)]::vector
  FROM generate_series(0, 189999) i;
CREATE INDEX many_v ON many USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 16);
DELETE FROM many WHERE id % 10000 < 9000 OR id % 20000 < 10000});
$report = verbose('many');
# From 17 on the server keeps dead TIDs in less memory.
like($report, qr/index scans: 2/, 'many dead rows: two passes') if sql('SHOW server_version_num') < 170000;
is_intact($node, 'many_v', 'many dead rows: intact');
is(stat_of('many_v', 'nodes, rows, dead_slots'), '1000|9000|0', 'many dead rows: nodes and rows that are left');
is(sql(q{SELECT reltuples FROM pg_class WHERE relname = 'many_v'}), 9000, 'many dead rows: the server knows how many are left');
is(sql(q{
SET enable_seqscan = off;
WITH found AS MATERIALIZED (SELECT id FROM many ORDER BY v <-> '[1,2,3]' LIMIT 1000000)
SELECT count(*), count(DISTINCT id), bool_and(id % 10000 >= 9000 AND id % 20000 >= 10000) FROM found}),
	'9000|9000|t', 'many dead rows: the others are found');

# --- standby --------------------------------------------------------------------------------------------------
$node->wait_for_catchup($standby, 'replay', $node->lsn('insert'));
is_complete($standby, $_, "standby, $_") for 'base', 'copies';
is($standby->psql('postgres', "SELECT ann_index_check('${_}_v')"), 0, "standby, $_: intact") for 'base', 'copies';

# --- interrupted ----------------------------------------------------------------------------------------------
# Before and within each pass: reads and chains, lists, the entry point, free nodes.
my $round = 0;
sub interrupt
{
	my ($table, $point, $times, $dead_left) = @_;
	my $name = "$table, vacuum cancelled at $point, time $times";
	$round++;
	sql("DELETE FROM $table WHERE id % 17 = $round");
	cancel_at($node, $point, $times, $name, "VACUUM (INDEX_CLEANUP ON, TRUNCATE OFF) $table");
	cmp_ok(stat_of("${table}_v", 'dead_slots'), '>', 0, "$name: dead nodes are left") if $dead_left;
	is_sound($table, $name);
	sql("INSERT INTO $table SELECT id + 200000 + 100000 * $round, v FROM pool WHERE id % 100 = $round");
	is_sound($table, "$name, rows inserted");
	return;
}

interrupt('base', @$_)
  for [ 'vacuum.read', 1 ], [ 'vacuum.read', 9, 1 ], [ 'vacuum.marked', 1, 1 ], [ 'vacuum.chosen', 1, 1 ], [ 'vacuum.chosen', 4, 1 ],
  [ 'vacuum.repaired', 1, 1 ], [ 'vacuum.freeing', 4, 1 ];
interrupt('copies', @$_) for [ 'vacuum.chunk', 1 ], [ 'vacuum.chunk', 3 ], [ 'vacuum.marked', 1 ], [ 'vacuum.freeing', 1, 1 ];
# What the last one leaves is there, so a crash finds it. Recovery need not begin at the very beginning.
sql('CHECKPOINT');
interrupt('base', 'vacuum.repaired', 1, 1);
$node->stop('immediate');
$node->start;
is_sound($_, "$_, crash after an interrupted vacuum") for 'base', 'copies';
sql('VACUUM (INDEX_CLEANUP ON) base; VACUUM (INDEX_CLEANUP ON) copies');
for my $table ('base', 'copies')
{
	is_sound($table, "$table, vacuumed to the end");
	is(stat_of("${table}_v", 'dead_slots'), 0, "$table, vacuumed to the end: no node is left dead");
}

# --- blank pages at the end of the file, as a crash leaves them when it comes before their first WAL record ----------
my %file = map { $_ => $node->data_dir . '/' . sql("SELECT pg_relation_filepath('${_}_v')") } 'base', 'copies';
$node->stop('fast');
for my $table (keys %file)
{
	open(my $handle, '>>:raw', $file{$table}) or die "cannot open $file{$table}: $!";
	print $handle "\0" x (5 * 8192);
	close($handle);
}
$node->start;
for my $table ('base', 'copies')
{
	is_sound($table, "$table, blank pages");
	sql("DELETE FROM $table WHERE id % 10 = 1; VACUUM (INDEX_CLEANUP ON) $table");
	is_sound($table, "$table, blank pages, vacuumed");
	sql("INSERT INTO $table SELECT id + 10000000, v FROM pool WHERE id < 3000");
	is_sound($table, "$table, blank pages, used");
}

# --- two indexes by two workers; CREATE INDEX CONCURRENTLY, which asks vacuum for every row -----------------------
sql(q{
CREATE INDEX base_l2 ON base USING hnsw (v vector_l2_ops) WITH (m = 4);
DELETE FROM base WHERE id % 4 = 1});
sql('VACUUM (PARALLEL 2) base');
is_sound('base', 'vacuumed by two');
is_intact($node, 'base_l2', 'vacuumed by two: the other one intact');
sql(q{
DELETE FROM copies WHERE id % 4 = 1;
UPDATE copies SET id = id + 1000000 WHERE id % 4 = 2;
DROP INDEX copies_v;
CREATE INDEX CONCURRENTLY copies_v ON copies USING hnsw (v vector_cosine_ops)});
is_sound('copies', 'built concurrently');
sql('INSERT INTO copies SELECT id + 3000000, v FROM pool WHERE id < 100; REINDEX INDEX CONCURRENTLY copies_v');
is_sound('copies', 'rebuilt concurrently');

no_crash($_, 'no backend of ' . $_->name . ' died') for $node, $standby;
$standby->stop;
$node->stop;
done_testing();
