# The server is killed in the middle of a build, of inserts and of a vacuum. After recovery the index
# is intact, knows every committed row, and goes on.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep);
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_base load_queries recall is_intact);

my $node = new_node('crash', "checkpoint_timeout = 1h\nlog_checkpoints = on\n");
load_queries($node, 50);
load_base($node, 0, 6000);
$node->safe_psql('postgres', q{
CREATE TABLE pool AS SELECT * FROM base;
CREATE TABLE progress (n int);
CREATE UNLOGGED TABLE scratch AS SELECT * FROM base WHERE id < 500;
CREATE INDEX scratch_v ON scratch USING hnsw (v vector_l2_ops);
});

# Runs statements in a session of their own, kills the server after `seconds`, and starts it again.
# The session must have been cut off: a statement that is through proves nothing.
sub crash_during
{
	my ($name, $seconds, @statements) = @_;
	my ($out, $err) = ('', '');
	my $session = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), map { ('-c', $_) } @statements ],
		'>', \$out, '2>', \$err);
	sleep($seconds);
	$node->stop('immediate');
	$session->finish;
	like($err, qr/terminating connection|connection to server was lost|server closed/, "$name: killed in the middle");
	$node->start;
	return;
}

sub all_rows_found
{
	my ($name) = @_;
	is($node->safe_psql('postgres', q{SELECT count(DISTINCT id) FROM nearest('base', '<=>', (SELECT v FROM query WHERE id = 0), 1000000)}),
		$node->safe_psql('postgres', 'SELECT count(*) FROM base'),
		"$name: every committed row is returned");
	return;
}

# build
crash_during("build, $_ s", $_, 'CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops) WITH (m = 32, ef_construction = 400)')
  for 0.2, 1;
$node->safe_psql('postgres', 'DROP INDEX IF EXISTS base_v');
$node->safe_psql('postgres', 'CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops)');
$node->stop('immediate');
$node->start;
is_intact($node, 'base_v', 'killed after the build: intact');
all_rows_found('killed after the build');
is($node->safe_psql('postgres', 'SELECT count(*) FROM scratch'), 0, 'an unlogged table is empty after recovery');
is_intact($node, 'scratch_v', 'and its index intact');
$node->safe_psql('postgres', 'INSERT INTO scratch SELECT * FROM base WHERE id < 100');
is($node->safe_psql('postgres', q{SELECT count(*) FROM nearest('scratch', '<->', (SELECT v FROM query WHERE id = 0), 1000)}), 100, 'and ready for rows');

# inserts, each row committed for itself
my $inserts = q{
DO $$ BEGIN FOR i IN 0..200000 LOOP
  INSERT INTO base SELECT 1000000 + (SELECT count(*) FROM base), v FROM pool WHERE id = i % 6000;
  COMMIT;
END LOOP; END $$};
$node->safe_psql('postgres', 'DELETE FROM base WHERE id >= 2000; VACUUM base');
for my $seconds (0.2, 0.5, 1)
{
	crash_during("inserts, $seconds s", $seconds, $inserts);
	is_intact($node, 'base_v', "killed after $seconds s of inserts: intact");
	all_rows_found("killed after $seconds s of inserts");
}
# a checkpoint just before: full-page images matter
$node->safe_psql('postgres', 'CHECKPOINT');
crash_during('inserts after a checkpoint', 0.3, $inserts);
is_intact($node, 'base_v', 'killed soon after a checkpoint: intact');

# vacuum, while it is slowed down
for my $seconds (0.2, 0.5)
{
	$node->safe_psql('postgres', q{INSERT INTO base SELECT 2000000 + id, v FROM pool WHERE id < 3000 ON CONFLICT DO NOTHING});
	$node->safe_psql('postgres', q{DELETE FROM base WHERE id % 2 = 1});
	crash_during("vacuum, $seconds s", $seconds, 'SET vacuum_cost_delay = 10', 'SET vacuum_cost_limit = 20', 'VACUUM base');
	is_intact($node, 'base_v', "killed after $seconds s of vacuum: intact");
	all_rows_found("killed after $seconds s of vacuum");
	$node->safe_psql('postgres', 'VACUUM base');
	is_intact($node, 'base_v', "killed after $seconds s of vacuum: intact after the next one");
	all_rows_found("killed after $seconds s of vacuum, after the next one");
}
my $recall = recall($node, 'base', '<=>', 10);
cmp_ok($recall, '>=', 0.95, "recall\@10 after it all $recall");

# a transaction that never committed leaves nothing to see
crash_during('transaction', 1.5, 'BEGIN; INSERT INTO base SELECT 5000000 + id, v FROM pool WHERE id < 500; SELECT pg_sleep(100)');
all_rows_found('killed within a transaction');
$node->safe_psql('postgres', 'VACUUM base');
is_intact($node, 'base_v', 'killed within a transaction: intact after vacuum');

$node->stop;
done_testing();
