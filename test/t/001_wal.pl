# A standby gives the same answers as its primary after every round of writes, and right ones while it
# replays them: searches run there all the time, without feedback to the primary, so that vacuum and the
# reuse of slots are replayed under them. Each replayed page is compared with the primary's
# (wal_consistency_checking).
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node new_standby load_base load_queries answers is_intact no_crash);

my $dims = 64;
my $primary = new_node('primary', "wal_consistency_checking = 'generic'\n"
	  . "shared_buffers = 16MB\nlog_statement = none\n", allows_streaming => 1);
my $standby = new_standby($primary, 'standby');
# Replay waits for a query that it would get in the way of, never cancels it: a conflict that meets a session between
# two statements ends its connection. Pages of indexes raise no conflict, so they change under searches all the same.
$standby->append_conf('postgresql.conf', "hot_standby_feedback = off\nmax_standby_streaming_delay = -1\ntrack_functions = pl\n");
$standby->reload;

sub sql { return $primary->safe_psql('postgres', $_[0]); }

sub same_answers
{
	my ($round) = @_;
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	for my $op ('<->', '<=>')
	{
		is(answers($standby, 'base', $op, 10), answers($primary, 'base', $op, 10), "$round: same answers by $op");
		is($standby->safe_psql('postgres', "SELECT lacking, again FROM lost('base', '$op', (SELECT v FROM query WHERE id = 3))"),
			'0|0', "$round: every row is found once by $op");
	}
	# By <-> the vectors' index knows n, by <=> another one does.
	for my $op ('<->', '<=>')
	{
		my $filtered = qq{SET enable_seqscan = off; SET enable_sort = off; SELECT q.id, (SELECT array_agg(n.id) FROM
			(SELECT id FROM base WHERE n BETWEEN q.id * 50 AND q.id * 50 + 400 ORDER BY base.v $op q.v LIMIT 20) n) FROM query q ORDER BY 1};
		is($standby->safe_psql('postgres', $filtered), $primary->safe_psql('postgres', $filtered), "$round: same answers to filters by $op");
	}
	is_intact($standby, $_, "$round: $_ intact on the standby") for qw(base_l2 base_cosine);
	return;
}

# --- searches on the standby ---------------------------------------------------------------------------------
# A search for k rows gives k, or the whole table if it holds less.
sql(q{
CREATE FUNCTION search(op text, q vector, k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  good bool;
  n bigint;
BEGIN
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
  EXECUTE format('SELECT count(*) = least($2, (SELECT count(*) FROM base)) AND count(*) = count(DISTINCT id)
      AND coalesce(bool_and(distance >= before - 1e-6), true), count(*)
    FROM (SELECT id, distance, lag(distance, 1, -1::float8) OVER (ORDER BY position) AS before FROM
      (SELECT id, distance, row_number() OVER () AS position FROM
        (SELECT id, v %1$s $1 AS distance FROM base ORDER BY v %1$s $1 LIMIT $2) a) b) c', op)
    INTO good, n USING q, k;
  IF NOT good THEN
    RAISE EXCEPTION 'a search for % rows by % gave %, or some out of order or twice', k, op, n;
  END IF;
END $$;
CREATE FUNCTION search_all(op text, q vector) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  l record := lost('base', op, q);
BEGIN
  IF l.lacking <> 0 OR l.again <> 0 THEN
    RAISE EXCEPTION 'a search by % lacks % rows and gives % again', op, l.lacking, l.again;
  END IF;
END $$});
sql(q{
CREATE FUNCTION search_by(op text, q vector, k int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  found bigint;
  wanted bigint;
BEGIN
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
  EXECUTE format('SELECT (SELECT count(DISTINCT id) FROM (SELECT id FROM base WHERE n BETWEEN $2 * 10 AND $2 * 20 ORDER BY v %s $1 LIMIT $2) f),
    (SELECT count(*) FROM (SELECT FROM base WHERE n BETWEEN $2 * 10 AND $2 * 20 LIMIT $2) w)', op) INTO found, wanted USING q, k;
  IF found <> wanted THEN
    RAISE EXCEPTION 'a search for % rows by % and a filter gave %', wanted, op, found;
  END IF;
END $$});
my %scripts = (search_by => [ 3, 'search_by(:op, v, :k)' ], search => [ 6, 'search(:op, v, :k)' ], search_all => [ 1, 'search_all(:op, v)' ]);
my @files;
for my $name (sort keys %scripts)
{
	for my $op ('<->', '<=>')
	{
		my ($weight, $call) = @{ $scripts{$name} };
		$call =~ s/:op/'$op'/;
		my $file = "$PostgreSQL::Test::Utils::tmp_check/wal_${name}_" . ($op eq '<->' ? 'l2' : 'cosine') . '.sql';
		append_to_file($file, "\\set q random(0, 19)\n\\set k random(1, 80)\nSELECT $call FROM query WHERE id = :q;\n");
		push @files, '-f', "$file\@$weight";
	}
}
my ($out, $err, $bench) = ('', '');

# How many searches have ended on the standby
sub searched
{
	return $standby->safe_psql('postgres', q{SELECT coalesce(sum(calls), 0) FROM pg_stat_user_functions WHERE funcname LIKE 'search%'});
}

# Runs statements on the primary while the searches go on, then compares.
sub round_of
{
	my ($name, @statements) = @_;
	my $before = searched();
	sql($_) for @statements;
	same_answers($name);
	ok($standby->poll_query_until('postgres', "SELECT sum(calls) > $before + 20 FROM pg_stat_user_functions WHERE funcname LIKE 'search%'"),
		"$name: searches on the standby went on");
	return;
}

# n rows, each committed for itself; `id` and `row` (of the pool) are expressions of i
sub inserts
{
	my ($n, $id, $row) = @_;
	return "DO \$\$ BEGIN FOR i IN 1..$n LOOP INSERT INTO base SELECT $id, v, i FROM pool WHERE id = $row; COMMIT; END LOOP; END \$\$";
}

load_queries($primary, 20, $dims);
load_base($primary, 0, 4000, $dims);
# One index by the build, one from nothing by inserts.
sql(qq{
ALTER TABLE base RENAME TO pool;
ALTER INDEX base_pkey RENAME TO pool_pkey;
CREATE TABLE base (id int PRIMARY KEY, v vector($dims), n int);
CREATE INDEX base_cosine ON base USING hnsw (v vector_cosine_ops);
CREATE INDEX base_n ON base (n);
INSERT INTO base SELECT id, v, id FROM pool WHERE id < 1000;
CREATE INDEX base_l2 ON base USING hnsw (v vector_l2_ops, n) WITH (m = 8)});
same_answers('build');
like($standby->safe_psql('postgres', q{SET enable_seqscan = off; SET enable_sort = off;
EXPLAIN SELECT id FROM base WHERE n BETWEEN 400 AND 800 ORDER BY v <=> (SELECT v FROM query WHERE id = 1) LIMIT 40}),
	qr/Ann Filter Scan.*base_cosine.*base_n/s, 'the standby makes sets of another index');
$bench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 2, '-T', 3600, @files, '-h', $standby->host, '-p', $standby->port, 'postgres' ],
	'>', \$out, '2>', \$err);

my $vacuum = 'VACUUM (INDEX_CLEANUP ON) base';
round_of('insert', inserts(500, '1000 + i', '1000 + i'));
round_of('update', 'UPDATE base SET v = (SELECT v FROM pool WHERE pool.id = base.id + 500) WHERE id % 5 = 1', 'UPDATE base SET n = n + 1 WHERE id % 7 = 1');
round_of('delete', 'DELETE FROM base WHERE id % 5 = 2', 'DELETE FROM base WHERE id % 7 = 2');
round_of('vacuum', $vacuum);
round_of('slots used again', map { (inserts(100, "10000 + $_ * 100 + i", "2000 + $_ * 100 + i"),
		"DELETE FROM base WHERE id % 10 = $_", $vacuum) } 0 .. 4);
round_of('duplicates', inserts(200, '20000 + i', '7'), inserts(100, '21000 + i', '3990 + i % 3'));
round_of('duplicates vacuumed', map { ("DELETE FROM base WHERE id >= 20000 AND id % 4 = $_", $vacuum, inserts(20, "22000 + $_ * 100 + i", '7')) } 0 .. 3);
round_of('rollback', "BEGIN; INSERT INTO base SELECT id + 100000, v FROM base LIMIT 200; ROLLBACK", $vacuum, inserts(100, '30000 + i', '3000 + i'));
round_of('truncate', 'TRUNCATE base', inserts(300, 'i', 'i'), 'INSERT INTO base SELECT id, v FROM pool WHERE id BETWEEN 1000 AND 1999');
round_of('reindex', 'REINDEX INDEX CONCURRENTLY base_l2', inserts(50, '40000 + i', 'i'), 'REINDEX TABLE base', inserts(50, '41000 + i', '50 + i'));
$bench->signal('INT');
$bench->finish;
unlike($err, qr/aborted|ERROR|FATAL/, 'no search met an error');
my $searches = searched();
cmp_ok($searches, '>=', 500, "$searches searches on the standby beside replay");
is($standby->safe_psql('postgres', 'SELECT sum(confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock) FROM pg_stat_database_conflicts'),
	0, 'replay waited for searches and cancelled none, nor did they wait for each other');
no_crash($standby, 'the standby found every page as the primary has it');

# A standby that becomes primary goes on from there.
$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', q{
INSERT INTO base SELECT id + 200000, v FROM pool;
DELETE FROM base WHERE id % 3 = 0;
VACUUM base});
is_intact($standby, $_, "promoted: $_ intact") for qw(base_l2 base_cosine);
is($standby->safe_psql('postgres', "SELECT lacking, again FROM lost('base', '$_', (SELECT v FROM query WHERE id = 0))"),
	'0|0', "promoted: every row is found once by $_") for '<->', '<=>';
$standby->stop;
done_testing();
