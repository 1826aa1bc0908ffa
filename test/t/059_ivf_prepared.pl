# Transactions in two phases, over a crash and beside vacuum and retraining; a dump that is restored; what EXPLAIN counts.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_random is_intact no_crash);

my $node = new_node('ivf_prepared', "max_prepared_transactions = 10\n");
load_random($node, 'pool', 600, 24);
load_random($node, 'query', 5, 24);
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql(q{
CREATE TABLE t AS SELECT id, v FROM pool WHERE id <= 400;
CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH (lists = 12);
CREATE INDEX t_flat ON t USING ivfflat (v vector_cosine_ops) WITH (lists = 6);
ALTER DATABASE postgres SET ivfflat.iterative_scan = strict_order});

# The check waits for who may still write, so for what is prepared, too.
sub rows_are
{
	my ($expected, $when, $settled) = @_;
	for my $case ([ '<->', 't_v' ], [ '<=>', 't_flat' ])
	{
		my ($op, $index) = @$case;
		is(sql("SELECT count(*) || ' ' || lacking || ' ' || again FROM t, lost('t', '$op', (SELECT v FROM query WHERE id = 1)) GROUP BY lacking, again"),
			"$expected 0 0", "$when: $index finds each of $expected rows once");
		is_intact($node, $index, "$when: $index is intact") if $settled;
	}
	return;
}

# --- two phases ----------------------------------------------------------------------------------------------
sql(q{
BEGIN; INSERT INTO t SELECT * FROM pool WHERE id BETWEEN 401 AND 450; PREPARE TRANSACTION 'comes';
BEGIN; INSERT INTO t SELECT * FROM pool WHERE id BETWEEN 451 AND 500; PREPARE TRANSACTION 'never';
BEGIN; DELETE FROM t WHERE id <= 50; PREPARE TRANSACTION 'goes';
BEGIN; UPDATE t SET v = v WHERE id BETWEEN 51 AND 60; PREPARE TRANSACTION 'moves'});
rows_are(400, 'prepared');
$node->stop('immediate');
$node->start;
rows_are(400, 'after a crash');
sql(q{VACUUM t});
sql(q{SELECT ann_retrain('t_v'), ann_retrain('t_flat')});
rows_are(400, 'vacuumed and trained anew');
sql(q{COMMIT PREPARED 'comes'});
rows_are(450, 'rows that came are there');
sql(q{ROLLBACK PREPARED 'never'});
sql(q{COMMIT PREPARED 'goes'});
sql(q{COMMIT PREPARED 'moves'});
rows_are(400, 'rows that went are gone', 1);
sql(q{VACUUM t});
sql(q{INSERT INTO t SELECT * FROM pool WHERE id > 550});
rows_are(450, 'vacuumed', 1);
is(sql(q{SELECT rows FROM ann_index_stats('t_v')}), 450, 'and counted');

# --- a dump ----------------------------------------------------------------------------------------------------
my $definitions = q{SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 't'::regclass ORDER BY 1};
my $file = $node->basedir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $file, 'postgres' ], 'it is dumped');
sql('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', 'restored', '-f', $file ], 'and restored');
is($node->safe_psql('restored', $definitions), sql($definitions), 'with the same indexes');
like(sql($definitions), qr/USING ivf \(v vector_l2_ops\) WITH \(lists='12'\)/, 'of the same options');
is($node->safe_psql('restored', q{SELECT lacking, again FROM lost('t', '<->', (SELECT v FROM query WHERE id = 1))}), '0|0', 'every row is found once');

# --- ANALYZE, EXPLAIN --------------------------------------------------------------------------------------------
sql('ANALYZE t');
like(sql(q{SET enable_seqscan = off; EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) SELECT id FROM t ORDER BY v <-> (SELECT v FROM query WHERE id = 2) LIMIT 7}),
	qr/Index Scan using t_v on t \(actual rows=7 loops=1\).*Buffers: shared hit=\d+/s, 'EXPLAIN counts rows and buffers');
my $before = sql(q{SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 't_flat'});
sql(q{SELECT lost('t', '<=>', (SELECT v FROM query WHERE id = 3))});
ok($node->poll_query_until('postgres', "SELECT idx_scan > $before FROM pg_stat_user_indexes WHERE indexrelname = 't_flat'"), 'scans are counted');
no_crash($node, 'no backend died');
$node->stop;
done_testing();
