# Inserts, updates, deletes, searches, vacuums and retrainings at once: searches give each row that their
# snapshot sees once, the index stays intact, and a standby that has replayed all of it, each page
# compared with the primary's, answers as the primary does.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node new_standby load_base load_queries answers is_intact no_crash);

my $primary = new_node('ivf_storm', "wal_consistency_checking = 'generic'\nmax_wal_size = 1GB\nmax_connections = 30\nshared_buffers = 16MB\n"
	  . "log_statement = none\n", allows_streaming => 1);
my $standby = new_standby($primary, 'ivf_storm_standby');
sub sql { return $primary->safe_psql('postgres', $_[0]); }

load_base($primary, 0, 3000, 48);
load_queries($primary, 20, 48);
sql(q{
CREATE TABLE pool AS SELECT * FROM base;
DELETE FROM base WHERE id % 2 = 0;
CREATE INDEX base_v ON base USING ivf (v vector_l2_ops) WITH (lists = 40);
CREATE INDEX base_flat ON base USING ivf (v vector_cosine_ops) WITH (lists = 10, quantizer = flat);
CREATE FUNCTION search(op text, q vector) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  l record := lost('base', op, q);
BEGIN
  IF l.lacking <> 0 OR l.again <> 0 THEN
    RAISE EXCEPTION 'a search by % lacks % rows and gives % again', op, l.lacking, l.again;
  END IF;
END $$});

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
my %clients = (write => [ 3, 250 ], search => [ 2, 60 ], vacuum => [ 1, 12 ], retrain => [ 1, 6 ]);
my @running;
for my $name (sort keys %scripts)
{
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name.sql";
	append_to_file($file, $scripts{$name});
	my ($clients, $transactions) = @{ $clients{$name} };
	my $out = '';
	push @running, [ $name, \$out, IPC::Run::start(
		[ 'pgbench', '-n', '-c', $clients, '-t', $transactions, '--max-tries=100', '-f', $file, '-h', $primary->host, '-p', $primary->port, 'postgres' ],
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

$standby->stop;
$primary->stop;
done_testing();
