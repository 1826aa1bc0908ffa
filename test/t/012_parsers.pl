# Random and mutated text and bytes into the types' input and receive functions, beside what tools/parsers.py
# makes of them. PARSER_CASES: how many for each of the six, 2,000 unless set (make test-sanitize: 100,000).
# PARSER_SEED.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node no_crash);

my $sanitized = ($ENV{ANN_INSTALL} // '') =~ /sanitize/;
my $cases = $ENV{PARSER_CASES} || ($sanitized ? 100_000 : 2_000);
my $seed = $ENV{PARSER_SEED} || 1;
my $node = new_node('parsers');
# The server's own tests have Debian's Python with them (make deps).
my $python = system('python3 -c "import numpy, psycopg" 2>/dev/null') == 0 ? 'python3' : '/usr/bin/python3';

local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
local $ENV{PGDATABASE} = 'postgres';
open my $told, '-|', $python, 'test/tools/parsers.py', $cases, $seed or die "$python: $!";
my $functions = 0;
while (my $line = <$told>)
{
	if ($line =~ /^(not )?ok \d+ - (.*)/) { ok(!$1, $2); $functions++; }
	else { diag($line) if $line =~ /^# /; }
}
ok(close $told, 'it ran to its end');
is($functions, 6, 'all six functions');
no_crash($node, 'no backend died');
$node->stop;
done_testing();
