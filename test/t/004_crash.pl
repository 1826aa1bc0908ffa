# The server is killed in the middle of a build, of inserts and of a vacuum. After recovery the index
# is intact, knows every committed row, and goes on.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_base load_queries recall is_intact at_stop);

my $node = new_node('crash');
load_queries($node, 50);
load_base($node, 0, 6000);
$node->safe_psql('postgres', q{
CREATE TABLE pool AS SELECT * FROM base;
CREATE TABLE progress (n int);
CREATE UNLOGGED TABLE scratch AS SELECT * FROM base WHERE id < 500;
CREATE INDEX scratch_v ON scratch USING hnsw (v vector_l2_ops);
});

# Kills the server and starts it again.
sub crash
{
	$node->stop('immediate');
	$node->start;
	return;
}

# The session must have been cut off: a statement that is through proves nothing.
sub is_cut_off { return like($_[1], qr/terminating connection|connection to server was lost|server closed/, "$_[0]: killed in the middle"); }

# Runs statements in a session of their own, and kills the server as soon as `moment` (a query) says true.
sub crash_during
{
	my ($name, $moment, @statements) = @_;
	my $out = '';
	my $session = IPC::Run::start(
		[
			'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' application_name=victim',
			map { ('-c', $_) } @statements
		],
		'>', \$out, '2>', \$out);
	$node->poll_query_until('postgres', $moment) or die "$name: the moment does not come: $out";
	crash();
	$session->finish;
	return is_cut_off($name, $out);
}

sub crash_at
{
	my ($point, $times, @statements) = @_;
	my $flush_and_crash = sub {
		# A commit takes the WAL of what was done so far to disk.
		$node->safe_psql('postgres', 'INSERT INTO progress VALUES (1)');
		crash();
	};
	return is_cut_off($point, at_stop($node, $point, $times, $flush_and_crash, @statements));
}

# When the victim's statement has got as far as that.
sub active { return "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'victim' AND state = 'active' AND $_[0])"; }

# When so many rows with ids from `first` on are committed.
sub committed
{
	my ($rows, $first) = @_;
	return "SELECT count(*) >= $rows FROM base WHERE id >= $first";
}

sub all_rows_found
{
	my ($name) = @_;
	is($node->safe_psql('postgres', q{SELECT lacking, again FROM lost('base', '<=>', (SELECT v FROM query WHERE id = 0))}), '0|0',
		"$name: every committed row is returned, and once");
	return;
}

# build: while it reads the table, while it links, before it writes
my $build = 'CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops) WITH (m = 32, ef_construction = 400)';
sub building { return "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE $_[0])"; }
crash_during('build, at its beginning', building('true'), $build);
crash_during('build, linking', building(q{phase LIKE '%linking%' AND tuples_done >= 1024}), $build);
crash_at('build.loaded', 1, 'CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops) WITH (m = 8)');
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
my $first = 1002000;
for my $rows (1, 100, 1000)
{
	crash_during("$rows inserts", committed($rows, $first), $inserts);
	is_intact($node, 'base_v', "killed after $rows inserts: intact");
	all_rows_found("killed after $rows inserts");
	$first = 1000000 + $node->safe_psql('postgres', 'SELECT count(*) FROM base');
}
# a checkpoint just before: full-page images matter
$node->safe_psql('postgres', 'CHECKPOINT');
crash_during('inserts after a checkpoint', committed(50, $first), $inserts);
is_intact($node, 'base_v', 'killed soon after a checkpoint: intact');
all_rows_found('killed soon after a checkpoint');

# vacuum: in its first pass, before the other ones and within
my $vacuum = 'VACUUM (INDEX_CLEANUP ON) base';
for my $stop ([ 'vacuum.read', 9 ], [ 'vacuum.marked', 1 ], [ 'vacuum.chosen', 5 ], [ 'vacuum.repaired', 1 ])
{
	my $name = $stop->[0];
	$node->safe_psql('postgres', q{INSERT INTO base SELECT 2000000 + id, v FROM pool WHERE id < 3000 ON CONFLICT DO NOTHING});
	$node->safe_psql('postgres', q{DELETE FROM base WHERE id % 2 = 1});
	crash_at(@$stop, $vacuum);
	is_intact($node, 'base_v', "killed in a vacuum, $name: intact");
	all_rows_found("killed in a vacuum, $name");
	$node->safe_psql('postgres', 'VACUUM base');
	is_intact($node, 'base_v', "killed in a vacuum, $name: intact after the next one");
	all_rows_found("killed in a vacuum, $name, after the next one");
}
my $recall = recall($node, 'base', '<=>', 10);
cmp_ok($recall, '>=', 0.95, "recall\@10 after it all $recall");

# a transaction that never committed leaves nothing to see
crash_during('transaction', active(q{wait_event = 'PgSleep'}), 'BEGIN; INSERT INTO base SELECT 5000000 + id, v FROM pool WHERE id < 500; SELECT pg_sleep(1000)');
all_rows_found('killed within a transaction');
$node->safe_psql('postgres', 'VACUUM base');
is_intact($node, 'base_v', 'killed within a transaction: intact after vacuum');

$node->stop;
done_testing();
