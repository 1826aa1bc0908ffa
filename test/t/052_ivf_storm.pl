# Inserts, updates, deletes, searches, vacuums and retrainings at once, on the primary and on a standby that replays them, each page
# compared with the primary's: searches give each row that their snapshot sees once, the index stays intact, and in the end
# the standby answers as the primary does, and goes on in its place.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node new_standby load_base load_queries answers is_intact no_crash);

my $primary = new_node('ivf_storm', "wal_consistency_checking = 'generic'\nmax_wal_size = 1GB\nmax_connections = 30\nshared_buffers = 16MB\n"
	  . "log_statement = none\n", allows_streaming => 1);
my $standby = new_standby($primary, 'ivf_storm_standby');
# As in test/t/001_wal.pl: replay waits for a query that it would get in the way of; pages of indexes change under it all the same.
$standby->append_conf('postgresql.conf', "hot_standby_feedback = off\nmax_standby_streaming_delay = -1\n");
$standby->reload;
sub sql { return $primary->safe_psql('postgres', $_[0]); }

load_base($primary, 0, 3000, 48);
load_queries($primary, 20, 48);
sql(q{
CREATE TABLE pool AS SELECT * FROM base;
DELETE FROM base WHERE id % 2 = 0;
CREATE INDEX base_v ON base USING ivf (v vector_l2_ops, id) WITH (lists = 40);
CREATE INDEX base_flat ON base USING ivf (v vector_cosine_ops) WITH (lists = 10, quantizer = flat);
CREATE FUNCTION search(op text, q vector) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  l record := lost('base', op, q);
BEGIN
  IF l.lacking <> 0 OR l.again <> 0 THEN
    RAISE EXCEPTION 'a search by % lacks % rows and gives % again', op, l.lacking, l.again;
  END IF;
END $$});

# --- a snapshot of the standby that is older than what the primary knows of ---------------------------------
{
	my ($held, $seen) = ('', '');
	my $start = sub {
		my ($out, $name, @sql) = @_;
		return IPC::Run::start([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $standby->connstr('postgres') . " application_name=$name", map { ('-c', $_) } @sql ],
			'>', $out, '2>', $out);
	};
	my $wait_for = sub {
		$standby->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 2 AND granted = $_[0])") or die 'no lock';
	};
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	my $holder = $start->(\$held, 'holder', 'SELECT pg_advisory_lock(2)', 'SELECT pg_sleep(10000)');
	$wait_for->('true');
	my $old = $start->(\$seen, 'old', 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT count(*) FROM base', 'SELECT pg_advisory_lock_shared(2)',
		map { "SELECT lacking, again FROM lost('base', '$_', (SELECT v FROM query WHERE id = 0))" } '<->', '<=>');
	$wait_for->('false');
	sql(q{DELETE FROM base WHERE id % 3 = 0; SELECT ann_retrain('base_v'), ann_retrain('base_flat')});
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
	$standby->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'holder'});
	$old->finish;
	$holder->finish;
	is($seen, "1500\n\n0|0\n0|0\n", 'an old snapshot of the standby finds rows that the primary has done with');
}

# --- all at once ------------------------------------------------------------------------------------------
my %scripts = (
	write => q{
\set id random(0, 2999)
INSERT INTO base SELECT * FROM pool WHERE id = :id ON CONFLICT (id) DO UPDATE SET v = excluded.v;
\set id random(0, 2999)
DELETE FROM base WHERE id = :id;
\set id random(0, 2999)
UPDATE base SET v = (SELECT v FROM pool WHERE pool.id = 2999 - :id) WHERE id = :id;
},
	search => q{
\set q random(0, 19)
SELECT search('<->', (SELECT v FROM query WHERE id = :q));
SELECT search('<=>', (SELECT v FROM query WHERE id = :q));
},
	vacuum => "VACUUM (INDEX_CLEANUP ON) base;\n",
	retrain => "SELECT ann_retrain('base_v');\nSELECT ann_retrain('base_flat');\n");

# Each stops after so many transactions, however long they take.
my %clients = (write => [ 3, 250 ], search => [ 2, 60 ], vacuum => [ 1, 12 ], retrain => [ 1, 6 ], standby => [ 2, 60, $standby, 'search' ]);
my @running;
for my $name (sort keys %clients)
{
	my ($clients, $transactions, $server, $script) = @{ $clients{$name} };
	$server //= $primary;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/ivf_storm_$name.sql";
	append_to_file($file, $scripts{ $script // $name });
	my $out = '';
	push @running, [ $name, \$out, IPC::Run::start(
		[ 'pgbench', '-n', '-c', $clients, '-t', $transactions, '--max-tries=100', '-f', $file, '-h', $server->host, '-p', $server->port, 'postgres' ],
		'>', \$out, '2>', \$out) ];
}
for my $run (@running)
{
	my ($name, $out, $process) = @$run;
	ok($process->finish, "$name: no error") or diag($$out);
}

for my $index (qw(base_v base_flat)) { is_intact($primary, $index, "$index: intact"); }
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
for my $op ('<->', '<=>')
{
	is(answers($standby, 'base', $op, 10), answers($primary, 'base', $op, 10), "the standby answers as the primary does by $op");
}
for my $index (qw(base_v base_flat)) { is_intact($standby, $index, "$index: intact on the standby"); }
no_crash($primary, 'no crash');
no_crash($standby, 'no crash of the standby');

# --- a standby that becomes primary goes on from there ------------------------------------------------------
$primary->stop;
$standby->promote;
$standby->safe_psql('postgres', q{
INSERT INTO base SELECT id + 10000, v FROM pool WHERE id < 500;
DELETE FROM base WHERE id % 3 = 1;
VACUUM base;
SELECT ann_retrain('base_v')});
is_intact($standby, $_, "promoted: $_ intact") for 'base_v', 'base_flat';
is($standby->safe_psql('postgres', "SELECT lacking, again FROM lost('base', '$_', (SELECT v FROM query WHERE id = 0))"),
	'0|0', "promoted: every row is found once by $_") for '<->', '<=>';
$standby->stop;
done_testing();
