# What the TAP tests share: a server with the extension, real vectors, exact answers, recall.
package AnnTest;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

our @EXPORT_OK = qw(new_node init_node new_standby add_helpers load_base load_queries load_random recall unordered
  answers is_intact no_crash psql_code orphans at_stop cancel_at seed_random random_below wait_for_recovery);

my $data = "$ENV{ANN_TREE}/test/data";

# Programs are stopped with SIGINT, which whoever runs the tests in the background may have had ignored.
$SIG{INT} = 'DEFAULT';

# Cluster::init, of pages without checksums, which 18 has unless told otherwise: tests write to files.
sub init_node
{
	my ($node, %init) = @_;
	push @{ $init{extra} }, '--no-data-checksums' if $node->pg_version >= 18;
	$node->init(%init);
	return;
}

# A started server with one database, the extension and the functions below. `settings`: lines for
# postgresql.conf; other arguments go to Cluster::init. VACUUM leaves the dead rows of a page that another process
# has pinned, and tests count what it leaves: nobody writes pages while they run, unless they ask for it. Sessions
# that have ended count as connections for a while, and streaming would leave but ten.
sub new_node
{
	my ($name, $settings, %init) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	init_node($node, %init);
	# Without streaming init chooses minimal, at which builds write no WAL.
	my $wal_level = $init{allows_streaming} ? '' : "wal_level = replica\n";
	$node->append_conf('postgresql.conf', "autovacuum = off\nbgwriter_lru_maxpages = 0\ncheckpoint_timeout = 1h\nmax_wal_size = 4GB\nmax_connections = 50\n"
		  . $wal_level . ($settings // ''));
	$node->start;
	add_helpers($node);
	return $node;
}

# A started standby of a node that new_node made with allows_streaming. It has a slot: the node must not
# recycle WAL that a standby on a busy machine has not fetched yet.
sub new_standby
{
	my ($node, $name) = @_;
	$node->safe_psql('postgres', "SELECT pg_create_physical_replication_slot('$name')");
	$node->backup($name);
	my $standby = PostgreSQL::Test::Cluster->new($name);
	$standby->init_from_backup($node, $name, has_streaming => 1);
	$standby->append_conf('postgresql.conf', "primary_slot_name = '$name'\n");
	$standby->start;
	return $standby;
}

sub add_helpers
{
	my ($node, $db) = @_;
	$node->safe_psql($db // 'postgres', q{
CREATE EXTENSION ann;
CREATE FUNCTION random_vector(dims int) RETURNS vector LANGUAGE sql VOLATILE AS
  $$ SELECT array_agg(random()::real - 0.5)::vector FROM generate_series(1, dims) $$;

-- k nearest rows of `tbl` (id, v) to q, by index or exactly
CREATE FUNCTION nearest(tbl regclass, op text, q vector, k int, exactly bool DEFAULT false,
  OUT id int, OUT distance float8) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('enable_indexscan', (NOT exactly)::text, true);
  PERFORM set_config('enable_seqscan', exactly::text, true);
  PERFORM set_config('enable_sort', exactly::text, true);
  RETURN QUERY EXECUTE format('SELECT id, v %1$s $1 FROM %2$s ORDER BY v %1$s $1 LIMIT $2', op, tbl)
    USING q, k;
END $$;

-- share of the k rows found for each row of `queries` that are as near as the k-th true neighbour
CREATE FUNCTION recall(tbl regclass, op text, k int, queries text DEFAULT 'query')
  RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  q vector;
  far float8;
  n bigint;
  hits float8 := 0;
  all_hits float8 := 0;
BEGIN
  FOR q IN EXECUTE format('SELECT v FROM %s ORDER BY id', queries) LOOP
    SELECT max(distance), count(*) INTO far, n FROM nearest(tbl, op, q, k, true);
    hits := hits + (SELECT count(*) FROM nearest(tbl, op, q, k) WHERE distance <= far);
    all_hits := all_hits + n;
  END LOOP;
  RETURN hits / all_hits;
END $$;

-- whether the k nearest rows are k, none twice there, in order (but for the rounding of a float)
CREATE FUNCTION in_order(tbl regclass, op text, q vector, k int) RETURNS bool LANGUAGE sql VOLATILE AS $$
  SELECT count(*) = k AND count(DISTINCT id) = k AND bool_and(distance >= before - 1e-6 * greatest(1, abs(before))) FROM
    (SELECT id, distance, lag(distance, 1, -1e30::float8) OVER (ORDER BY position) AS before
     FROM (SELECT id, distance, row_number() OVER () AS position FROM nearest(tbl, op, q, k)) a) b
$$;

-- Of a search for k rows, without k for all: how many it lacks, how many it gives again, and how many are
-- nearer than the one before (but for the rounding of a float). One statement, one snapshot: all are 0
-- whatever else goes on.
CREATE FUNCTION lost(tbl regclass, op text, q vector, k int DEFAULT 1000000,
  OUT lacking bigint, OUT again bigint, OUT backwards bigint) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
  EXECUTE format('WITH found AS MATERIALIZED (SELECT id, v %2$s $1 AS distance FROM %1$s ORDER BY v %2$s $1 LIMIT $2)
    SELECT least($2, (SELECT count(*) FROM %1$s)) - count(DISTINCT id), count(*) - count(DISTINCT id),
      count(*) FILTER (WHERE distance < before - 1e-6 * greatest(1, abs(before)))
    FROM (SELECT id, distance, lag(distance) OVER () AS before FROM found) r', tbl, op)
    INTO lacking, again, backwards USING q, k;
END $$;

-- number of queries whose k rows are not
CREATE FUNCTION unordered(tbl regclass, op text, k int, queries text DEFAULT 'query')
  RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  q vector;
  bad bigint := 0;
BEGIN
  FOR q IN EXECUTE format('SELECT v FROM %s ORDER BY id', queries) LOOP
    bad := bad + (NOT in_order(tbl, op, q, k))::int;
  END LOOP;
  RETURN bad;
END $$;
});
	return;
}

# Numbers from 0 to, not including, the argument: the same after the same seed, on every machine.
my $random_state = 1;
sub seed_random { ($random_state) = @_; return; }

sub random_below
{
	my ($end) = @_;
	$random_state = ($random_state * 1103515245 + 12345) % 2147483648;
	return ($random_state >> 8) % $end;
}

# Half-precision numbers as text, by their 16 bits.
my @halves;

sub make_halves
{
	for my $bits (0 .. 65535)
	{
		my ($exponent, $fraction) = (($bits >> 10) & 31, $bits & 1023);
		my $value =
			$exponent == 0  ? $fraction * 2**-24
		  : $exponent == 31 ? 0
		  :                   (1 + $fraction / 1024) * 2**($exponent - 15);
		$halves[$bits] = sprintf('%.9g', $bits & 32768 ? -$value : $value);
	}
	return;
}

# Fills table `table` (id, v) with rows `from` up to, not including, `to` (undef: all) of an .npy file of
# float16; `dims`: only the first so many; `folder`: other than test/data. Returns the end of the rows.
sub load_npy
{
	my ($node, $table, $name, $from, $to, $dims, $folder) = @_;
	make_halves() unless @halves;
	$folder //= $data;
	open(my $in, '<:raw', "$folder/$name") or die "cannot open $folder/$name: $!";
	read($in, my $head, 10) == 10 or die "$name is too short";
	my ($magic, $major, $header_bytes) = unpack('a6 C x v', $head);
	die "$name is no npy file of version 1" if $magic ne "\x93NUMPY" || $major != 1;
	read($in, my $header, $header_bytes);
	my ($type, $rows, $columns) = $header =~
	  /'descr':\s*'([^']+)'.*'fortran_order':\s*False.*'shape':\s*\((\d+),\s*(\d+)\)/
	  or die "$name: header not understood: $header";
	die "$name: type is $type" if $type ne '<f2';
	$to //= $rows;
	die "$name has $rows rows only" if $to > $rows;
	seek($in, $from * $columns * 2, 1);
	my $file = $PostgreSQL::Test::Utils::tmp_check . "/$table.copy";
	open(my $out, '>', $file) or die "cannot write $file: $!";
	for my $id ($from .. $to - 1)
	{
		read($in, my $row, $columns * 2);
		my @bits = unpack('v*', $row);
		$#bits = $dims - 1 if defined $dims;
		print $out "$id\t[", join(',', @halves[@bits]), "]\n";
	}
	close($out);
	$node->safe_psql('postgres', "\\copy $table (id, v) from '$file'");
	unlink($file);
	return $to;
}

# Table `base` (id, v) with rows of the real data, and more rows into it; table `query`.
sub load_base
{
	my ($node, $from, $to, $dims, $folder) = @_;
	$node->safe_psql('postgres',
		'CREATE TABLE IF NOT EXISTS base (id int PRIMARY KEY, v vector(' . ($dims // 384) . '))');
	return load_npy($node, 'base', 'base.npy', $from, $to, $dims, $folder);
}

sub load_queries
{
	my ($node, $n, $dims, $folder) = @_;
	$node->safe_psql('postgres',
		'CREATE TABLE IF NOT EXISTS query (id int PRIMARY KEY, v vector(' . ($dims // 384) . '))');
	load_npy($node, 'query', 'query.npy', 0, $n, $dims, $folder);
	return;
}

# Table of n random rows.
sub load_random
{
	my ($node, $table, $n, $dims) = @_;
	$node->safe_psql('postgres', qq{
SELECT setseed(0.5);
CREATE TABLE $table (id int PRIMARY KEY, v vector($dims));
INSERT INTO $table SELECT i, random_vector($dims + 0 * i) FROM generate_series(1, $n) i;});
	return;
}

sub recall
{
	my ($node, $table, $op, $k, $queries) = @_;
	$queries //= 'query';
	return $node->safe_psql('postgres', "SELECT recall('$table', '$op', $k, '$queries')");
}

sub unordered
{
	my ($node, $table, $op, $k) = @_;
	return $node->safe_psql('postgres', "SELECT unordered('$table', '$op', $k)");
}

# What the index answers to every query, and how many rows it gives in all.
sub answers
{
	my ($node, $table, $op, $k, $db) = @_;
	return $node->safe_psql($db // 'postgres', qq{
SELECT q.id, (SELECT array_agg(n.id) FROM nearest('$table', '$op', q.v, $k) n) FROM query q ORDER BY 1;
SELECT count(*), count(DISTINCT id) FROM nearest('$table', '$op', (SELECT v FROM query WHERE id = 0), 1000000);
});
}

# Passes when ann_index_check finds nothing wrong.
sub is_intact
{
	my ($node, $index, $name) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', "SELECT ann_index_check('$index')");
	return is("$rc $err", '0 ', $name);
}

# Runs SQL, within the suite's time limit; returns its SQLSTATE ('00000': it worked; '57P02' and the like: the server went away) and
# output.
sub psql_code
{
	my ($node, $sql) = @_;
	my ($rc, $out, $err) = $node->psql('postgres', $sql, extra_params => [ '-v', 'VERBOSITY=verbose' ], timeout => $PostgreSQL::Test::Utils::timeout_default);
	return ('00000', $out) if $rc == 0;
	return ($1, $err) if $err =~ /(?:ERROR|FATAL|PANIC):\s+([0-9A-Z]{5}):/;
	return ('lost', $err);
}

# Runs statements in a session of its own up to stop point `point` (src/pg/README.md, "Hooks of tests"), on to
# where the session comes to it for the `times`th time, and calls `then` while it waits there. Returns what the
# session said.
sub at_stop
{
	my ($node, $point, $times, $then, @statements) = @_;
	my $run = sub {
		my ($name, $out, @sql) = @_;
		return IPC::Run::start(
			[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . " application_name=$name", map { ('-c', $_) } @sql ],
			'>', $out, '2>', $out);
	};
	my $lock = q{FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE locktype = 'advisory' AND application_name};
	my $wait_for = sub {
		my ($condition) = @_;
		$node->poll_query_until('postgres', "SELECT EXISTS (SELECT $lock = $condition)") or die "$point: no lock of $condition";
	};
	my ($said, $session, @out) = ('');
	# A session that ends first never comes to the stop point: told at once, not after the time limit.
	my $wait_at_stop = sub {
		my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
		until ($node->safe_psql('postgres', "SELECT EXISTS (SELECT $lock = 'stopped' AND NOT granted)") eq 't')
		{
			die "a session did not come to $point: $said" if !$session->pumpable || time() > $end;
			$session->pump_nb;
			usleep(10_000);
		}
	};
	my @holders = $run->('holder1', \$out[0], 'SELECT pg_advisory_lock(1)', 'SELECT pg_sleep(10000)');
	$wait_for->("'holder1' AND granted");
	$session = $run->('stopped', \$said, "SET ann.stop_at = '$point'", @statements);
	$wait_at_stop->();
	# The next holder stands in line behind the session, so holds the lock when that comes by again.
	for my $time (2 .. $times)
	{
		push @holders, $run->("holder$time", \$out[ $time - 1 ], 'SELECT pg_advisory_lock(1)', 'SELECT pg_sleep(10000)');
		$wait_for->("'holder$time' AND NOT granted");
		$node->safe_psql('postgres', "SELECT pg_terminate_backend(l.pid) $lock LIKE 'holder%' AND granted");
		$wait_for->("'holder$time' AND granted");
		$wait_at_stop->();
	}
	$then->();
	$session->finish;
	$node->safe_psql('postgres', "SELECT pg_terminate_backend(l.pid) $lock LIKE 'holder%'");
	$_->finish for @holders;
	return $said;
}

# Cancels the statements at a stop point. Passes when they were.
sub cancel_at
{
	my ($node, $point, $times, $name, @statements) = @_;
	my $said = at_stop($node, $point, $times,
		sub { $node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'stopped'}) },
		@statements);
	return like($said, qr/canceling statement due to user request/, $name);
}

# The files of a database, after a checkpoint, that belong to no relation; `folder`: where they lie, when not
# in the default tablespace.
sub orphans
{
	my ($node, $db, $folder) = @_;
	$folder = defined $folder ? "'$folder'" : q{'base/' || (SELECT oid FROM pg_database WHERE datname = current_database())};
	return $node->safe_psql($db, qq{
SELECT string_agg(f, ' ' ORDER BY f) FROM pg_ls_dir($folder) f
WHERE f ~ '^[0-9]+' AND substring(f FROM '^[0-9]+')::oid NOT IN (SELECT pg_relation_filenode(oid) FROM pg_class WHERE pg_relation_filenode(oid) IS NOT NULL)});
}

# Waits until the server has recovered from a SIGKILL of a backend, told by what its log says behind byte `from`: a
# psql that finds no server ends before it reads its statement, over which the test would die of a broken pipe.
sub wait_for_recovery
{
	my ($node, $from) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	while (slurp_file($node->logfile, $from) !~ /terminated by signal 9.*ready to accept connections/s)
	{
		die 'the server does not come back' if time() > $end;
		usleep(10_000);
	}
	return;
}

# Passes when no backend of the server has died since it started.
sub no_crash
{
	my ($node, $name) = @_;
	my $log = slurp_file($node->logfile);
	return unlike($log, qr/terminated by signal|PANIC|TRAP/, $name);
}

1;
