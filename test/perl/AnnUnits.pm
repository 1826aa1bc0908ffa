# A backend dies of SIGKILL, or the whole server at once, right after a change of an index: what the tests of all access
# methods share. Each scenario is run once to count its changes (units: src/pg/README.md, "Hooks of tests"), then again for
# each death. UNITS_STOPS=all: many more deaths.
package AnnUnits;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);
use AnnTest qw(wait_for_recovery);

our @EXPORT_OK = qw(start_units act die_after kill_at sweep unproven deaths);

my ($node, $aftermath);
my %died_after;    # {backend or server}{file:line}
my $deaths = 0;
my $log_end;       # when the last action began
my $every_stop = ($ENV{UNITS_STOPS} // '') eq 'all';

# `aftermath` gives, for a scenario, the SQL that looks at what a death has left and goes on: it says '' if all is well.
sub start_units { ($node, $aftermath) = @_; return; }
sub deaths { return $deaths; }

# What a scenario does, with `settings` before it, from its beginning. Returns psql's exit code, output
# and messages.
sub act
{
	my ($scenario, $settings) = @_;
	my $setup = "SET client_min_messages = warning; DROP TABLE IF EXISTS t; $scenario->{setup};";
	if ($scenario->{before})
	{
		$node->safe_psql('postgres', $setup);
		$scenario->{before}->();
		$setup = '';
	}
	$log_end = -s $node->logfile;
	return $node->psql('postgres', "$setup RESET client_min_messages; $settings; $scenario->{action}");
}

# A backend dies after so many units of statements, and the server comes back.
sub kill_at
{
	my ($n, $sql) = @_;
	$log_end = -s $node->logfile;
	$node->psql('postgres', "SET ann.kill_after_units = $n; $sql");
	wait_for_recovery($node, $log_end);
	return;
}

# Dies after unit n of the scenario, and looks at what is left.
sub die_after
{
	my ($scenario, $n, $what, $site) = @_;
	my ($rc, $out, $err) = act($scenario, "SET ann.kill_what = $what; SET ann.kill_after_units = $n");
	my $name = "$scenario->{name}, $what dies after unit $n ($site)";
	if ($rc != 2 || $err !~ /connection to server was lost|server closed/)
	{
		return fail("$name: it did not die: $rc $err");
	}
	if ($what eq 'server')
	{
		my $end = time() + $PostgreSQL::Test::Utils::timeout_default;
		while (-e $node->data_dir . '/postmaster.pid')
		{
			die "$name: it does not stop" if time() > $end;
			sleep(0.01);
		}
		$node->_update_pid(0);
		$node->start;
	}
	else
	{
		wait_for_recovery($node, $log_end);
	}
	$deaths++;
	$died_after{$what}{$site} = 1;
	my ($after_rc, $after_out, $after_err) = $node->psql('postgres', $scenario->{after} . $aftermath->($scenario));
	$after_out =~ s/\n//g;
	return is("$after_rc $after_out $after_err", '0  ', $name);
}

# The lines of sources (glob patterns of files in src) that finish a change, and have not seen the death of `what`.
sub unproven
{
	my ($what, @patterns) = @_;
	my @lines;
	for my $file (map { glob("$ENV{ANN_TREE}/src/$_") } @patterns)
	{
		my ($name) = $file =~ m{(src/\w+/\w+\.[ch]pp)$};
		my $line = 0;
		for (split /\n/, slurp_file($file))
		{
			$line++;
			push @lines, "$name:$line" if /edit\.Finish\(\)|UnitDone\(\)/ && !$died_after{$what}{"$name:$line"};
		}
	}
	return @lines;
}

# A scenario has a `name`, its `setup`, something `before` (a sub), its `action`, and what comes `after` a death before all else.
# `units`: at least so many. The backend dies after each, the server after the first one of a line. `first`: only the first so many
# are died after; `only`: those at lines like this; `only_new`: those at lines that have not been died after; `ends`: of the units of a line
# the backend dies after the first one and the server after the last, with UNITS_STOPS=all both after both and after every seventh.
sub sweep
{
	my ($scenario) = @_;
	$scenario->{after} //= '';
	my ($rc, $out, $err) = act($scenario, 'SET ann.trace_units = on');
	is($rc, 0, "$scenario->{name}: done undisturbed") or diag($err);
	# Compilers name headers from where they look for them (.//src/...).
	my @sites = $err =~ m{NOTICE:\s+unit \d+: \S*?(src/\w+/\w+\.[ch]pp:\d+)}g;
	my @units = grep { $sites[ $_ - 1 ] =~ ($scenario->{only} // qr/./) } 1 .. @sites;
	cmp_ok(scalar @units, '>=', $scenario->{units}, "$scenario->{name}: " . scalar(@units) . ' units');
	my %first = map { ($sites[ $_ - 1 ] => $_) } reverse @units;
	my %last = map { ($sites[ $_ - 1 ] => $_) } @units;
	for my $n (grep { $_ <= ($scenario->{first} // @sites) } @units)
	{
		my $site = $sites[ $n - 1 ];
		my %dies = (backend => 1, server => $every_stop || !$died_after{server}{$site});
		if ($scenario->{ends})
		{
			my $both = $every_stop && ($n == $first{$site} || $n == $last{$site} || $n % 7 == 0);
			%dies = (backend => $both || $n == $first{$site}, server => $both || $n == $last{$site});
		}
		for my $what (grep { $dies{$_} } 'backend', 'server')
		{
			die_after($scenario, $n, $what, $site) unless $scenario->{only_new} && !$every_stop && $died_after{$what}{$site};
		}
	}
	return;
}

1;
