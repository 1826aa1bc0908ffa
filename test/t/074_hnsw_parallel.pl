# An hnsw index that several processes have linked together answers like one that one has; workers that die, or are no
# longer wanted, end the build, and leave nothing.
use strict;
use warnings;
use IPC::Run;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall is_intact no_crash orphans);
use PostgreSQL::Test::Utils;

# Workers come for any table, and there are always some to be had.
my $node = new_node('parallel', "max_worker_processes = 32\nmax_parallel_workers = 24\nmin_parallel_table_scan_size = 0\nmaintenance_work_mem = '256MB'\n");
load_base($node, 0, 5000, 64);
load_queries($node, 50, 64);
$node->safe_psql('postgres', q{
ALTER TABLE base SET (parallel_workers = 4);
-- dead rows, updated ones in new places, copies, and NULL
DELETE FROM base WHERE id % 50 = 7;
UPDATE base SET v = v WHERE id % 40 = 3;
INSERT INTO base SELECT 100000 + id, v FROM base WHERE id % 100 = 1;
INSERT INTO base SELECT 200000 + i, NULL FROM generate_series(1, 20) i});

# Starts statements in a session of its own; `said` gets what it says.
sub start_session
{
	my ($said, @statements) = @_;
	$$said = '';
	return IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' application_name=builder', map { ('-c', $_) } @statements ],
		'>', $said, '2>', $said);
}

my $holder = $node->background_psql('postgres');
sub hold { $holder->query_safe(join '; ', map { "SELECT pg_advisory_lock($_)" } @_); return; }
sub release { $holder->query_safe("SELECT pg_advisory_unlock($_[0])"); return; }

# Waits until so many processes wait at the stop point of lock `key`.
sub wait_at
{
	my ($key, $count) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) = $count FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $key")
	  or die "$count processes do not come to stop point $key";
	return;
}

# All workers are there when linking begins, and the leader.
sub build_together
{
	my ($workers, $create, @settings) = @_;
	hold(11, 12);
	my $session = start_session(\my $said,
		"SET max_parallel_maintenance_workers = $workers; SET client_min_messages = debug1",
		@settings, "SET ann.stop_at = 'build.linking=11,build.joined=12'", $create);
	wait_at(11, 1);
	wait_at(12, $workers);
	release(12);
	release(11);
	$session->finish;
	like($said, qr/: @{[ $workers + 1 ]} processes have linked the nodes/, "$create: $workers workers have");
	return;
}

# --- as good an index

$node->safe_psql('postgres', 'SET max_parallel_maintenance_workers = 0; CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops)');
my $alone = recall($node, 'base', '<->', 10);
cmp_ok($alone, '>=', 0.95, "alone: recall\@10 $alone");
$node->safe_psql('postgres', 'DROP INDEX base_v');
for my $case ([ 1, '' ], [ 2, '' ], [ 4, '' ], [ 2, ' CONCURRENTLY' ])
{
	my ($workers, $concurrently) = @$case;
	build_together($workers, "CREATE INDEX$concurrently base_v ON base USING hnsw (v vector_l2_ops)");
	is_intact($node, 'base_v', "$workers workers$concurrently: intact");
	my $recall = recall($node, 'base', '<->', 10);
	cmp_ok($recall, '>=', $alone - 0.02, "$workers workers$concurrently: recall\@10 $recall");
	is($node->safe_psql('postgres', q{SELECT reltuples = (SELECT count(v) FROM base) FROM pg_class WHERE relname = 'base_v'}), 't', 'rows are counted')
	  if !$concurrently;
	$node->safe_psql('postgres', 'DROP INDEX base_v') unless $concurrently;
}
build_together(1, 'REINDEX INDEX CONCURRENTLY base_v');
is_intact($node, 'base_v', 'REINDEX CONCURRENTLY: intact');
$node->safe_psql('postgres', 'DROP INDEX base_v');

# Other codes, attributes, and an inner product.
for my $what (
	'(v vector_ip_ops)',
	'(v vector_l1_ops)',
	'(v vector_cosine_ops, id)',
	'((v::halfvec(64)) halfvec_l2_ops)',
	'((binary_quantize(v)::bit(64)) bit_hamming_ops)',
	'((v::sparsevec(64)) sparsevec_l2_ops)')
{
	build_together(2, "CREATE INDEX base_v ON base USING hnsw $what");
	is_intact($node, 'base_v', "$what: intact");
	$node->safe_psql('postgres', 'DROP INDEX base_v');
}

# What has room in maintenance_work_mem is linked together, the rest is inserted.
build_together(1, 'CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops)', q{SET maintenance_work_mem = '64MB'});
is_intact($node, 'base_v', 'one worker for 64 MB: intact');
$node->safe_psql('postgres', 'DROP INDEX base_v');

# The server has no worker to spare.
$node->safe_psql('postgres', 'SET max_parallel_maintenance_workers = 2; SET max_parallel_workers = 0; CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops)');
is_intact($node, 'base_v', 'no worker to be had: intact');
my $recall = recall($node, 'base', '<->', 10);
is($recall, $alone, 'and the index is that of one process');
$node->safe_psql('postgres', 'DROP INDEX base_v');

# --- ends before the end

my $broken = 'CREATE INDEX broken ON base USING hnsw (v vector_l2_ops)';

sub nobody_left
{
	my ($name) = @_;
	ok( $node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'builder')}), "$name: nobody is left");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'broken'}), 0, "$name: no index");
	$node->safe_psql('postgres', 'CHECKPOINT');
	is(orphans($node, 'postgres'), '', "$name: no file");
	return;
}

# The leader waits for its worker, who is at work.
for my $case (
	[ 'a cancelled build', 'pg_cancel_backend', 'client backend', qr/canceling statement due to user request/ ],
	[ 'a terminated session', 'pg_terminate_backend', 'client backend', qr/terminating connection/ ],
	[ 'a worker that dies', 'pg_terminate_backend', 'parallel worker', qr/(ERROR|FATAL):.*(terminating|lost connection)/ ])
{
	my ($name, $signal, $whom, $expected) = @$case;
	hold(21, 22);
	my $session = start_session(\my $said, 'SET max_parallel_maintenance_workers = 1',
		q{SET ann.stop_at = 'build.linking=21,build.joined=22'}, $broken);
	wait_at(21, 1);
	wait_at(22, 1);
	release(21);
	$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'builder'
AND backend_type = 'client backend' AND wait_event = 'ParallelCreateIndexScan')}) or die 'the leader does not wait';
	$node->safe_psql('postgres', "SELECT $signal(pid) FROM pg_stat_activity WHERE application_name = 'builder' AND backend_type = '$whom'");
	$session->finish;
	like($said, $expected, "$name: ends");
	nobody_left($name);
	release(22);
}
$node->safe_psql('postgres', 'CREATE INDEX base_v ON base USING hnsw (v vector_l2_ops)');
is_intact($node, 'base_v', 'afterwards an index is built');

$holder->quit;
no_crash($node, 'no crash');
done_testing();
