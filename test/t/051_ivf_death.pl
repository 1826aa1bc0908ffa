# A backend dies of SIGKILL, or the server at once, right after a change of an ivf index: in a build, an insert,
# a vacuum that moves lists, a retraining. After recovery the index is intact, every committed row is found
# once, and it goes on. Each scenario is run once to count its changes (src/pg/README.md, "Hooks of tests").
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(sleep time);
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node);

my $node = new_node('ivf_death', "restart_after_crash = on\nshared_buffers = 4MB\ncheckpoint_timeout = 1h\nmax_parallel_maintenance_workers = 0\n");
my $log_end;
my %died_at;

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q{
SELECT setseed(0.5);
CREATE TABLE pool (id int PRIMARY KEY, v vector(64));
INSERT INTO pool SELECT i, random_vector(64 + 0 * i) FROM generate_series(1, 1000) i;
CREATE FUNCTION assess() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  l record;
BEGIN
  PERFORM ann_index_check('t_v');
  l := lost('t', '<->', (SELECT v FROM pool WHERE id = 1));
  RETURN concat_ws(' ', nullif(l.lacking, 0) || ' lacking', nullif(l.again, 0) || ' again');
EXCEPTION WHEN index_corrupted THEN
  RETURN SQLERRM;
END $$});

sub act
{
	my ($scenario, $settings) = @_;
	sql("SET client_min_messages = warning; DROP TABLE IF EXISTS t; CREATE TABLE t (id int, v vector(64));");
	sql($_) for @{ $scenario->{setup} };
	$log_end = -s $node->logfile;
	return $node->psql('postgres', "$settings; $scenario->{action}");
}

sub wait_for
{
	my ($what, $condition) = @_;
	my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
	until ($condition->())
	{
		die $what if time() > $end;
		sleep(0.01);
	}
	return;
}

sub die_after
{
	my ($scenario, $n, $what, $site) = @_;
	my ($rc, $out, $err) = act($scenario, "SET ann.kill_what = $what; SET ann.kill_after_units = $n");
	my $name = "$scenario->{name}, $what dies after unit $n ($site)";
	return fail("$name: it did not die: $rc $err") if $rc != 2 || $err !~ /connection to server was lost|server closed/;
	if ($what eq 'server')
	{
		wait_for("$name: it does not stop", sub { !-e $node->data_dir . '/postmaster.pid' });
		$node->_update_pid(0);
		$node->start;
	}
	else
	{
		wait_for('the server does not come back',
			sub { slurp_file($node->logfile, $log_end) =~ /terminated by signal 9.*ready to accept connections/s });
	}
	my ($after_rc, $after_out, $after_err) = $node->psql('postgres', q{
SELECT assess();
INSERT INTO t SELECT 5000 + id, v FROM pool WHERE id BETWEEN 900 AND 950;
SELECT assess();
DELETE FROM t WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP ON) t;
SELECT assess();
INSERT INTO t SELECT 6000 + id, v FROM pool WHERE id BETWEEN 900 AND 950;
SELECT assess()});
	$after_out =~ s/\n//g;
	return is("$after_rc $after_out $after_err", '0  ', $name);
}

# Dies at the first change of each line, and the server at the last one.
sub sweep
{
	my ($scenario) = @_;
	my ($rc, $out, $err) = act($scenario, 'SET ann.trace_units = on');
	is($rc, 0, "$scenario->{name}: done undisturbed") or diag($err);
	is(sql('SELECT assess()'), '', "$scenario->{name}: as it should be");
	my @sites = $err =~ m{NOTICE:\s+unit \d+: \S*?(src/\w+/\w+\.[ch]pp:\d+)}g;
	cmp_ok(scalar @sites, '>=', $scenario->{units}, "$scenario->{name}: " . scalar(@sites) . ' units');
	my (%first, %last);
	for my $n (1 .. @sites)
	{
		$first{ $sites[ $n - 1 ] } //= $n;
		$last{ $sites[ $n - 1 ] } = $n;
	}
	for my $site (sort { $first{$a} <=> $first{$b} } keys %first)
	{
		next if $died_at{"$scenario->{name} $site"}++;
		die_after($scenario, $first{$site}, 'backend', $site);
		die_after($scenario, $last{$site}, 'server', $site);
	}
	return;
}

my $flat = 'CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH (quantizer = flat, lists = 3)';
my $coded = 'CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH (lists = 3)';
sub rows { return "INSERT INTO t SELECT id, v FROM pool WHERE id BETWEEN $_[0] AND $_[1]"; }

sweep({ name => 'insert, flat', setup => [ rows(1, 60), $flat ], action => rows(61, 200), units => 100 });
sweep({ name => 'insert, codes', setup => [ rows(1, 60), $coded ], action => rows(61, 300), units => 200 });
sweep({ name => 'vacuum that moves lists', setup => [ rows(1, 400), $coded, 'DELETE FROM t WHERE id % 4 <> 0' ],
	action => 'VACUUM (INDEX_CLEANUP ON) t', units => 8 });
sweep({ name => 'retraining', setup => [ rows(1, 150), $flat ], action => q{SELECT ann_retrain('t_v')}, units => 25 });

$node->stop;
done_testing();
