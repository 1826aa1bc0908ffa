# Lists that drift: rows come where there were few, and go where there were many. VACUUM splits and merges lists: every
# row is found once, before, after and meanwhile, by scans and beside inserts that go on across it, on a standby, too.
use strict;
use warnings;
use Test::More;
use IPC::Run;
use AnnTest qw(new_node new_standby at_stop cancel_at is_intact no_crash recall);

my $node = new_node('ivf_drift', "max_parallel_maintenance_workers = 0\n", allows_streaming => 1);
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub lists { my ($index) = @_; return sql("SELECT lists FROM ann_index_stats('$index')"); }
sub longest { my ($index) = @_; return sql("SELECT largest_list FROM ann_index_stats('$index')"); }

# Rows of two regions, the second one (ids from 10000) far off the first.
sql(q{
SELECT setseed(0.25);
CREATE FUNCTION placed(centre float8, dims int) RETURNS vector LANGUAGE sql VOLATILE AS
  $$ SELECT array_agg((centre + random())::real)::vector FROM generate_series(1, dims) $$;
CREATE TABLE pool AS SELECT i AS id, placed(0.1, 16 + 0 * i) AS v FROM generate_series(1, 2000) i
  UNION ALL SELECT 10000 + i, placed(-3, 16 + 0 * i) FROM generate_series(1, 2000) i;
ALTER TABLE pool ADD PRIMARY KEY (id);
CREATE TABLE query AS SELECT id, v FROM pool WHERE id % 50 = 1;
-- Waits while somebody holds advisory lock 2.
CREATE FUNCTION wait_for(wanted bool) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  IF wanted THEN PERFORM pg_advisory_lock_shared(2); PERFORM pg_advisory_unlock_shared(2); END IF;
  RETURN true;
END $$});

sub every_row
{
	my ($op, $name) = @_;
	is_intact($node, 't_v', "$name: intact");
	return is(sql("SELECT lacking, again FROM lost('t', '$op', (SELECT v FROM pool WHERE id = 1))"), '0|0', "$name: every row is found once");
}

# A table whose index wants lists split.
sub crowd
{
	my ($options, $class, $table) = @_;
	$class //= 'vector_l2_ops';
	$table //= '';
	sql(qq{
SET client_min_messages = warning; DROP TABLE IF EXISTS t;
CREATE TABLE t (id int, v vector(16)) $table;
INSERT INTO t SELECT * FROM pool WHERE id <= 2000;
CREATE INDEX t_v ON t USING ivf (v $class) WITH ($options);
INSERT INTO t SELECT * FROM pool WHERE id > 10000});
	return;
}

# --- each quantizer and metric ---------------------------------------------------------------------------------------
for my $variant (
	[ 'lists = 20' ], [ 'lists = 20, rerank = heap' ], [ 'lists = 20, quantizer = sq8' ],
	[ 'lists = 20, quantizer = flat' ], [ 'lists = 20, quantizer = pq, pq_segments = 8' ],
	[ 'lists = 20', 'vector_cosine_ops', '<=>' ], [ 'lists = 20', 'vector_ip_ops', '<#>' ])
{
	my ($options, $class, $op) = (@$variant, 'vector_l2_ops', '<->')[ 0, 1, 2 ];
	($class, $op) = ('vector_l2_ops', '<->') if @$variant == 1;
	my $name = "$options, $op";
	crowd($options, $class);
	my ($initial) = $options =~ /(\d+)/;
	my $before = longest('t_v');
	every_row($op, "$name, before");
	sql('VACUUM t');
	my $lists = lists('t_v');
	cmp_ok($lists, '>', $initial, "$name: lists are split");
	cmp_ok(longest('t_v'), '<', $before, "$name: none is as long as before");
	every_row($op, "$name, split");
	sql('INSERT INTO t SELECT 20000 + id, v FROM pool WHERE id % 10 = 0');
	every_row($op, "$name, inserted into the lists that were split");
	my $of = sub { return sql("SET ivf.probes = 6; SELECT recall('t', '$op', 10)"); };
	my $found = $of->();
	sql("CREATE TABLE fresh AS SELECT * FROM t; CREATE INDEX fresh_v ON fresh USING ivf (v $class) WITH (" . ($options =~ s/lists = \d+/lists = $lists/r) . ')');
	my $fresh = sql("SET ivf.probes = 6; SELECT recall('fresh', '$op', 10)");
	cmp_ok($found, '>', $fresh - 0.08, "$name: recall of $found, a fresh index has $fresh");
	sql('DROP TABLE fresh; VACUUM t');
	cmp_ok(lists('t_v'), '<=', $lists + $lists - $initial + 1, "$name: the next vacuum finds less to do");
	# Most of what was split goes again.
	sql('DELETE FROM t WHERE id > 10000 AND id % 200 <> 0; VACUUM t');
	cmp_ok(lists('t_v'), '<', $lists, "$name: lists are merged");
	every_row($op, "$name, merged");
	sql('INSERT INTO t SELECT 40000 + id, v FROM pool WHERE id > 10000 AND id % 10 = 0');
	every_row($op, "$name, inserted after the merge");
}

# --- beside others ---------------------------------------------------------------------------------------------------
sub in_background
{
	my ($out, @statements) = @_;
	return IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres') . ' application_name=beside', map { ('-c', $_) } @statements ],
		'>', $out, '2>', $out);
}

sub wait_for_lock
{
	my ($granted) = @_;
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted = $granted)") or die 'no lock';
	return;
}

# Runs `statements` up to where they wait, vacuums up to `point`, lets them go on to their end, then the vacuum.
sub beside
{
	my ($point, @statements) = @_;
	my ($held, $out) = ('', '');
	my $holder = in_background(\$held, 'SELECT pg_advisory_lock(2)', 'SELECT pg_sleep(10000)');
	wait_for_lock('true');
	my $session = in_background(\$out, 'SET enable_seqscan = off; SET enable_sort = off; SET ivf.probes = 1', @statements);
	wait_for_lock('false');
	my $said = at_stop($node, $point, 1, sub {
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted});
			$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'beside')}) or die 'it does not end';
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'});
		}, 'VACUUM t');
	$session->finish;
	$holder->finish;
	return "$said$out";
}

my $insert = 'INSERT INTO t SELECT 50000 + id, v FROM pool WHERE id % 20 = 0 AND wait_for(id = 1000)';
sub scan_from
{
	my ($id, $after) = @_;
	$after //= 100;
	return "SELECT count(*) - count(DISTINCT id), count(*) - (SELECT count(*) FROM t) FROM (SELECT id, wait_for(row_number() OVER () = $after) FROM
	  (SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = $id)) a) b";
}

# The statement's plan: what it must say.
for my $point ('split.found', 'split.copied', 'split.switched', 'merge.copied', 'merge.switched')
{
	my $prepare = sub {
		crowd('lists = 20');
		sql('VACUUM t; DELETE FROM t WHERE id > 10000 AND id % 200 <> 0') if $point =~ /merge/;
	};
	$prepare->();
	is(beside($point, $insert), '', "$point: an insert goes on");
	is(sql('SELECT count(*) FROM t WHERE id > 50000'), 200, "$point: it has inserted");
	every_row('<->', "$point, insert");
	for my $id (1, 10001)
	{
		$prepare->();
		is(beside($point, scan_from($id)), "0|0\n", "$point: a scan from row $id gives each row once");
		every_row('<->', "$point, scan from $id");
	}
	$prepare->();
	cancel_at($node, $point, 1, "$point: cancelled", 'VACUUM t');
	every_row('<->', "$point, cancelled");
	sql('DELETE FROM t WHERE id = 2; VACUUM (INDEX_CLEANUP ON) t');
	every_row('<->', "$point, cancelled and vacuumed");
}

# A scan that has read a list, but not the one into which it is merged then.
sql(q{
DROP TABLE t;
CREATE TABLE t (id int, v vector(16));
INSERT INTO t SELECT i, placed(i % 3 * 10, 16) FROM generate_series(1, 900) i;
CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH (lists = 3);
DELETE FROM t WHERE id % 3 = 2 AND id > 20});
my ($held, $out) = ('', '');
my $holder = in_background(\$held, 'SELECT pg_advisory_lock(2)', 'SELECT pg_sleep(10000)');
wait_for_lock('true');
my $scan = in_background(\$out, 'SET enable_seqscan = off; SET enable_sort = off; SET ivf.probes = 1', scan_from(2, 1) =~ s/pool/t/r);
wait_for_lock('false');
sql('VACUUM t');
is(lists('t_v'), 2, 'a list is merged');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted});
$_->finish for $scan, $holder;
is($out, "0|0\n", 'a scan that has read it gives each row once');

# An insert that has chosen its list and the list's last page, when the list is split or merged.
for my $kind ('split', 'merge')
{
	crowd('lists = 20');
	sql('VACUUM t; DELETE FROM t WHERE id > 10000 AND id % 200 <> 0') if $kind eq 'merge';
	my $lists = lists('t_v');
	is(at_stop($node, 'insert.listed', 1, sub {
			sql('VACUUM t');
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'});
		}, 'INSERT INTO t SELECT 60000, v FROM pool WHERE id = 10200'), '', "$kind: an insert on its way");
	isnt(lists('t_v'), $lists, "$kind: there are other lists");
	every_row('<->', "$kind, an insert on its way");
}

# The same while the list's old pages are there still.
for my $kind ('split', 'merge')
{
	crowd('lists = 20');
	sql('VACUUM t; DELETE FROM t WHERE id > 10000 AND id % 200 <> 0') if $kind eq 'merge';
	my ($held, $vacuum) = ('', '');
	my @others = in_background(\$held, 'SELECT pg_advisory_lock(2)', 'SELECT pg_sleep(10000)');
	wait_for_lock('true');
	is(at_stop($node, 'insert.listed', 1, sub {
			push @others, in_background(\$vacuum, "SET ann.stop_at = '$kind.switched=2'", 'VACUUM t');
			wait_for_lock('false');
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'});
			$node->poll_query_until('postgres', q{SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'stopped')}) or die 'it does not end';
			sql(q{SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted});
		}, 'INSERT INTO t SELECT 60000 + id, v FROM pool WHERE id IN (10200, 10201)'), '', "$kind: an insert that knows the old pages");
	$_->finish for @others;
	is($vacuum, '', "$kind: the vacuum goes on");
	every_row('<->', "$kind, an insert that knows the old pages");
}

my $go = sub { sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'}) };

# A backend that has read the meta page, but not yet which lists are in use.
for my $kind ('split', 'merge')
{
	crowd('lists = 20');
	sql('VACUUM t; DELETE FROM t WHERE id > 10000 AND id % 200 <> 0') if $kind eq 'merge';
	is(at_stop($node, 'frame.states', 1, sub { sql('VACUUM t'); $go->() }, 'SET enable_seqscan = off; SET enable_sort = off',
			'SELECT count(*) - (SELECT count(*) FROM t) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 10001)) a'),
		"0\n", "$kind: a scan that learns of the lists meanwhile gives every row");
}

# Rows for a list that is empty, and for those that it may be merged into, after they were copied. Codes without records, so that
# pages are freed beside each other.
for my $stays (0, 1)
{
	sql(qq{
DROP TABLE t;
CREATE TABLE t (id int, v vector(16));
INSERT INTO t SELECT i, placed(i % 4 * 10, 16) FROM generate_series(1, 1600) i;
CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH (lists = 4, quantizer = flat);
DELETE FROM t WHERE id % 4 = 3 AND id > $stays * 40});
	is(at_stop($node, 'merge.copied', 1, sub { sql("INSERT INTO t SELECT 9000 + i, placed(i % 4 * 10, 16) FROM generate_series(1, 8) i WHERE i % 4 <> 3 OR $stays = 0"); $go->() },
			"SET statement_timeout = '5min'", 'VACUUM (INDEX_CLEANUP ON) t'), '', "rows for a list of @{[ 10 * $stays ]} and its neighbours while it is merged");
	every_row('<->', "a list of @{[ 10 * $stays ]} is merged beside inserts");
}

# A list that grows by more pages than the file had, while somebody reads it.
sql('DROP TABLE t; CREATE TABLE t (id int, v vector(16)); CREATE INDEX t_v ON t USING ivfflat (v vector_l2_ops); INSERT INTO t SELECT * FROM pool WHERE id <= 500');
is(at_stop($node, 'scan.segment', 1, sub { sql('INSERT INTO t SELECT 100000 + i, v FROM pool, generate_series(1, 2) i'); $go->() },
		'SET enable_seqscan = off; SET enable_sort = off', 'SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 7) LIMIT 1'),
	"7\n", 'a list that grows is no circle');

# A scan within a list that is split meanwhile.
crowd('lists = 20');
is(at_stop($node, 'scan.segment', 2, sub {
		sql('VACUUM t');
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder2'});
	}, 'SET enable_seqscan = off; SET enable_sort = off; SET ivf.probes = 1', scan_from(10001) =~ s/wait_for\(.*?= 100\)/1/r), "0|0\n", 'a scan within a list that is split');

# --- what lies out of line ---------------------------------------------------------------------------------------------
# The vacuum's snapshot protects what it sees: rows that are deleted after it are read with all their chunks.
sql(q{
CREATE TABLE long (id int, v vector(600));
ALTER TABLE long ALTER v SET STORAGE EXTERNAL;
INSERT INTO long SELECT i, placed(0.1, 600 + 0 * i) FROM generate_series(1, 200) i;
CREATE INDEX long_v ON long USING ivf (v vector_l2_ops) WITH (lists = 8);
INSERT INTO long SELECT 10000 + i, placed(-3, 600 + 0 * i) FROM generate_series(1, 700) i});
my $toast = sql(q{SELECT 'pg_toast.' || relname FROM pg_class WHERE oid = (SELECT reltoastrelid FROM pg_class WHERE relname = 'long')});
is(at_stop($node, 'split.found', 1, sub {
		sql('DELETE FROM long WHERE id > 10000 AND id % 3 = 0');
		sql("VACUUM $toast");
		sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder1'});
	}, 'VACUUM long'), '', 'rows that are deleted meanwhile have their chunks still');
cmp_ok(longest('long_v'), '<', 600, 'the list is split');
is_intact($node, 'long_v', 'out of line: intact');
sql('VACUUM (INDEX_CLEANUP ON) long');
is(sql(q{SELECT lacking, again FROM lost('long', '<->', (SELECT v FROM long WHERE id = 1))}), '0|0', 'out of line: every row is found once');
# Where the snapshot cannot be had, nothing is split, and nothing fails.
crowd('lists = 20');
sql('SET default_transaction_isolation = serializable; VACUUM t');
is(lists('t_v'), 20, 'a serializable vacuum splits nothing');
every_row('<->', 'a serializable vacuum');

# --- a standby -----------------------------------------------------------------------------------------------------------
my $standby = new_standby($node, 'ivf_drift_standby');
crowd('lists = 20');
$node->wait_for_catchup($standby);
my $cursor = $standby->background_psql('postgres', on_error_stop => 0);
$cursor->query_safe(q{SET enable_seqscan = off; SET enable_sort = off; SET ivf.probes = 1; BEGIN ISOLATION LEVEL REPEATABLE READ});
$cursor->query_safe(q{DECLARE c CURSOR FOR SELECT id FROM t ORDER BY v <-> (SELECT v FROM pool WHERE id = 10001)});
my @ids = split(/\n/, $cursor->query_safe('FETCH 100 FROM c'));
sql('VACUUM t');
$node->wait_for_catchup($standby);
push @ids, split(/\n/, $cursor->query_safe('FETCH ALL FROM c'));
my %seen = map { $_ => 1 } @ids;
is(scalar(@ids), 4000, 'standby: a scan goes on across the replay');
is(scalar(keys %seen), 4000, 'standby: it gives each row once');
$cursor->quit;
is($standby->safe_psql('postgres', q{SELECT lacking, again FROM lost('t', '<->', (SELECT v FROM pool WHERE id = 1))}), '0|0', 'standby: every row is found once');
$standby->stop;
no_crash($node, 'no crash');
$node->stop;
done_testing();
