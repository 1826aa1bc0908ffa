# An ivf index is the same, byte for byte, whoever has built it: one process, or several that share the work. Workers
# that fail, die or are no longer wanted end the build, and leave nothing.
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);
use IPC::Run;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall is_intact no_crash orphans);
use PostgreSQL::Test::Utils;

# Workers come for any table, and there are always some to be had.
my $node = new_node('parallel', "max_worker_processes = 32\nmax_parallel_workers = 24\nmin_parallel_table_scan_size = 0\nmaintenance_work_mem = '256MB'\n");
load_base($node, 0, 6000, 64);
load_queries($node, 20, 64);
$node->safe_psql('postgres', q{
ALTER TABLE base SET (parallel_workers = 4);
-- dead rows, updated ones in new places, and NULL
DELETE FROM base WHERE id % 50 = 7;
UPDATE base SET v = v WHERE id % 40 = 3;
INSERT INTO base SELECT 100000 + i, NULL FROM generate_series(1, 20) i;
-- raises an error in a process of that kind
CREATE FUNCTION raises(int, vector, text) RETURNS vector IMMUTABLE PARALLEL SAFE LANGUAGE plpgsql AS $$
BEGIN
  IF $1 = 5001 AND (SELECT backend_type FROM pg_stat_activity WHERE pid = pg_backend_pid()) = $3 THEN
    RAISE EXCEPTION 'no vector for %', $1;
  END IF;
  RETURN $2;
END $$});

# The bytes of an index but for LSNs, checksums and the stamp that tells it from others.
sub contents
{
	my ($index) = @_;
	$node->safe_psql('postgres', 'CHECKPOINT');
	my $bytes = slurp_file($node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$index')"));
	substr($bytes, $_ * 8192, 10) = "\0" x 10 for 0 .. length($bytes) / 8192 - 1;
	substr($bytes, 24 + 56, 8) = "\0" x 8;
	return length($bytes) . ' ' . md5_hex($bytes);
}

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

sub nobody_left
{
	my ($name) = @_;
	ok( $node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'builder')}), "$name: nobody is left");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname = 'broken'}), 0, "$name: no index");
	$node->safe_psql('postgres', 'CHECKPOINT');
	is(orphans($node, 'postgres'), '', "$name: no file");
	return;
}

# Lets the workers go on from a stop point, and waits until they have done what there was to do.
sub let_work
{
	my ($key, $workers) = @_;
	release($key);
	$node->poll_query_until('postgres', qq{SELECT count(*) = $workers FROM pg_stat_activity WHERE application_name = 'builder'
AND backend_type = 'parallel worker' AND wait_event = 'ParallelCreateIndexScan'}) or die 'the workers do not end';
	return;
}

# How workers are made to work: the leader waits in a job that it has posted until its workers have done it.
sub build_together
{
	my ($workers, $create, @settings) = @_;
	hold(11, 12, 13, 14);
	my $session = start_session(\my $said,
		"SET max_parallel_maintenance_workers = $workers; SET client_min_messages = debug1",
		@settings,
		"SET ann.stop_at = 'build.posted=11,build.helping=12,build.placing=13,build.reading=14'", $create);
	wait_at(11, 1);
	wait_at(12, $workers);
	let_work(12, $workers);
	release(11);
	wait_at(13, 1);
	wait_at(14, $workers);
	let_work(14, $workers);
	release(13);
	$session->finish;
	like($said, qr/: @{[ $workers + 1 ]} processes have read the table/, "$create: $workers workers have");
	return;
}

# --- the same index

for my $case (
	[ 'rabitq', '(v vector_l2_ops)' ],
	[ 'pq', '(v vector_cosine_ops) WITH (quantizer = pq, lists = 30)' ],
	[ 'flat partial', '(v vector_ip_ops) WITH (quantizer = flat) WHERE id % 5 = 2' ],
	[ 'sq8 of an expression', '(((v + v)::vector(64)) vector_l2_ops) WITH (quantizer = sq8)' ])
{
	my ($name, $what) = @$case;
	my %contents;
	for my $workers (0 .. 2)
	{
		my $create = "CREATE INDEX base_v ON base USING ivf $what";
		if ($workers == 0)
		{
			$node->safe_psql('postgres', "SET max_parallel_maintenance_workers = 0; $create");
		}
		else
		{
			build_together($workers, $create);
		}
		is_intact($node, 'base_v', "$name, $workers workers: intact");
		$contents{ contents('base_v') } = 1;
		$node->safe_psql('postgres', 'DROP INDEX base_v');
	}
	is(scalar keys %contents, 1, "$name: the same index");
}

# In little memory: runs of the sort go to disk, and the sample is small.
my ($alone, $together);
$node->safe_psql('postgres', q{SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '1MB'; CREATE INDEX base_v ON base USING ivf (v vector_l2_ops)});
$alone = contents('base_v');
$node->safe_psql('postgres', 'DROP INDEX base_v');
build_together(2, 'CREATE INDEX base_v ON base USING ivf (v vector_l2_ops)', q{SET maintenance_work_mem = '1MB'});
is(contents('base_v'), $alone, 'in little memory: the same index');
$node->safe_psql('postgres', 'DROP INDEX base_v');

# Beside writers; and REINDEX of either kind.
$node->safe_psql('postgres', 'SET max_parallel_maintenance_workers = 0; CREATE INDEX CONCURRENTLY base_v ON base USING ivf (v vector_l2_ops)');
$alone = contents('base_v');
$node->safe_psql('postgres', 'DROP INDEX base_v');
build_together(2, 'CREATE INDEX CONCURRENTLY base_v ON base USING ivf (v vector_l2_ops)');
is(contents('base_v'), $alone, 'concurrently: the same index');
build_together(1, 'REINDEX INDEX CONCURRENTLY base_v');
is(contents('base_v'), $alone, 'REINDEX CONCURRENTLY: the same index');
build_together(1, 'REINDEX INDEX base_v');
is(contents('base_v'), $alone, 'REINDEX: the same index');
is($node->safe_psql('postgres', q{SELECT reltuples = (SELECT count(v) FROM base) FROM pg_class WHERE relname = 'base_v'}), 't', 'rows are counted, all processes\' together');
my $recall = recall($node, 'base', '<->', 10);
cmp_ok($recall, '>=', 0.95, "recall\@10 $recall");
$node->safe_psql('postgres', 'DROP INDEX base_v');

# --- the sample

# 1,200 rows in 8 blocks of some 3,000: enough of them are looked for.
$node->safe_psql('postgres', q{
CREATE TABLE sparse (id int, v vector(3), filler text);
INSERT INTO sparse SELECT i, NULL, repeat('x', 1900) FROM generate_series(1, 12000) i;
INSERT INTO sparse SELECT 12000 + i, random_vector(3 + 0 * i) FROM generate_series(1, 1200) i;
SET max_parallel_maintenance_workers = 0;
CREATE INDEX sparse_v ON sparse USING ivf (v vector_l2_ops) WHERE id > 12000});
is($node->safe_psql('postgres', q{SELECT lists FROM ann_index_stats('sparse_v')}), 138, 'a sparse partial index: 4 times the root of its rows');

# --- ends before the end

# [ name, where the leader waits, what is reported there, where its worker waits; a build that is cancelled there ]
my $broken = 'CREATE INDEX broken ON base USING ivf (v vector_l2_ops)';
for my $case (
	[ 'while a worker clusters', 'posted', 'finding centroids', 'helping' ],
	[ 'while a worker reads the table', 'placing', 'assigning rows\|0\|5\d{3}', 'reading' ],
	[ 'before sorting', 'assigned', 'assigning rows\|5\d{3}\|5\d{3}' ],
	[ 'before writing', 'sorted', 'sorting rows' ])
{
	my ($name, $leader, $phase, $worker) = @$case;
	for my $signal ('cancel', 'terminate')
	{
		hold(21, 22);
		my $session = start_session(\my $said, 'SET max_parallel_maintenance_workers = 1',
			"SET ann.stop_at = 'build.$leader=21" . ($worker ? ",build.$worker=22" : '') . q{'}, $broken);
		wait_at(21, 1);
		like($node->safe_psql('postgres', 'SELECT phase, tuples_done, tuples_total FROM pg_stat_progress_create_index'), qr/$phase/, "$name: progress");
		if ($worker)
		{
			# The leader waits for the worker, who is at work.
			wait_at(22, 1);
			release(21);
			$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'builder'
AND backend_type = 'client backend' AND wait_event = 'ParallelCreateIndexScan')}) or die 'the leader does not wait';
		}
		$node->safe_psql('postgres', qq{SELECT pg_${signal}_backend(pid) FROM pg_stat_activity WHERE application_name = 'builder' AND backend_type = 'client backend'});
		$session->finish;
		like($said, $signal eq 'cancel' ? qr/canceling statement due to user request/ : qr/terminating connection/, "$signal $name");
		nobody_left("$signal $name");
		release(21) unless $worker;
		release(22);
	}
}

# A worker dies.
hold(21, 22);
my $session = start_session(\my $said, 'SET max_parallel_maintenance_workers = 1', q{SET ann.stop_at = 'build.placing=21,build.reading=22'}, $broken);
wait_at(21, 1);
wait_at(22, 1);
release(21);
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'builder' AND backend_type = 'parallel worker'});
$session->finish;
like($said, qr/(ERROR|FATAL):.*(terminating|lost connection)/, 'a worker that dies ends the build');
nobody_left('death of a worker');
release(22);

# A worker raises an error, while the leader waits.
hold(21);
$session = start_session(\$said, 'SET max_parallel_maintenance_workers = 1', q{SET ann.stop_at = 'build.placing=21'},
	'CREATE INDEX broken ON base USING ivf ((raises(id, v, $$parallel worker$$)::vector(64)) vector_l2_ops)');
$session->finish;
is(() = $said =~ /no vector for 5001/g, 1, 'an error of a worker is told once');
nobody_left('error of a worker');
release(21);

# An error that is caught leaves a transaction that can go on building.
$node->safe_psql('postgres', q{
SET max_parallel_maintenance_workers = 2;
DO $$ BEGIN
  BEGIN
    CREATE INDEX broken ON base USING ivf ((raises(id, v, 'client backend')::vector(64)) vector_l2_ops);
  EXCEPTION WHEN raise_exception THEN NULL;
  END;
  CREATE INDEX base_v ON base USING ivf (v vector_l2_ops);
END $$});
is_intact($node, 'base_v', 'after an error that was caught: intact');
$recall = recall($node, 'base', '<->', 10);
cmp_ok($recall, '>=', 0.95, "after an error that was caught: recall\@10 $recall");

$holder->quit;
no_crash($node, 'no crash');
done_testing();
