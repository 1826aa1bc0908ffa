# A damaged page leads to an error that says so (XX002, or XX001 from the server's own page check), or
# to an answer; never to a crash or an endless loop. Where ann_index_check finds nothing wrong, the answer
# is right; but for the order where the codes' mean has become another one, which leaves no trace.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_random psql_code no_crash);

use constant PAGE => 8192;
my $node = new_node('corruption');
load_random($node, 'template', 600, 24);

# Each case: what becomes of which pages. A rewriting function gets the page, all pages and its block
# number, and returns the page.
my @meta = (
	[ 'meta page of zeros', [0], sub { "\0" x PAGE } ],
	[ 'meta page: contents of zeros', [0], sub { substr($_[0], 0, 24) . "\0" x (PAGE - 24) } ],
	[ 'meta page: contents of ones', [0], sub { substr($_[0], 0, 24) . "\xff" x (PAGE - 24) } ],
	[ 'meta page: contents of noise', [0], sub { noise($_[0], 24) } ],
	[ 'meta page is another page', [0], sub { $_[1]->[1] } ],
);
my @damage = (
	[ 'zeros', sub { "\0" x PAGE } ],
	[ 'contents of zeros', sub { substr($_[0], 0, 24) . "\0" x (PAGE - 24) } ],
	[ 'contents of ones', sub { substr($_[0], 0, 24) . "\xff" x (PAGE - 24) } ],
	[ 'contents of noise', sub { noise($_[0], 24) } ],
	[ 'noise all over', sub { noise($_[0], 0) } ],
	[ 'the meta page', sub { $_[1]->[0] } ],
	[ 'another page', sub { $_[1]->[ ($_[2] + 1) % @{ $_[1] } ] } ],
	[ 'second half of zeros', sub { substr($_[0], 0, PAGE / 2) . "\0" x (PAGE / 2) } ],
	[ 'a hundred bits turned', sub { flip($_[0], 100) } ],
);

my $state = 12345;
sub next_byte { $state = ($state * 1103515245 + 12345) % 2147483648; return ($state >> 16) & 255; }
sub noise { my ($page, $keep) = @_; return substr($page, 0, $keep) . join('', map { chr(next_byte()) } $keep + 1 .. PAGE); }
sub flip
{
	my ($page, $n) = @_;
	for (1 .. $n)
	{
		my $at = 24 + (next_byte() * 256 + next_byte()) % (PAGE - 24);
		substr($page, $at, 1) = chr(ord(substr($page, $at, 1)) ^ (1 << (next_byte() & 7)));
	}
	return $page;
}

# One table and index for each case, so that the server is stopped but once. `block` undef: all but
# the meta page.
my @cases;
for my $case (@meta) { push @cases, [ $case->[0], $case->[1], $case->[2] ]; }
for my $damage (@damage)
{
	push @cases, [ "page of the mean: $damage->[0]", [1], $damage->[1] ];
	push @cases, [ "first node page: $damage->[0]", [3], $damage->[1] ];
	push @cases, [ "every other page but the meta page: $damage->[0]", 'odd', $damage->[1] ];
	push @cases, [ "all but the meta page: $damage->[0]", 'all', $damage->[1] ];
}
push @cases, [ 'file cut to the meta page', 'cut', 1 ], [ 'empty file', 'cut', 0 ], [ 'file cut in half', 'cut', 0.5 ];

my $setup = '';
for my $i (0 .. $#cases)
{
	$setup .= "CREATE TABLE t$i AS TABLE template; CREATE INDEX t${i}_v ON t$i USING hnsw (v vector_l2_ops);\n";
}
$node->safe_psql('postgres', "SET client_min_messages = error;\n$setup CHECKPOINT;");
my %path = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', q{SELECT relname, pg_relation_filepath(oid) FROM pg_class WHERE relname ~ '^t\d+_v$'});
$node->stop('fast');
for my $i (0 .. $#cases)
{
	my ($name, $blocks, $rewrite) = @{ $cases[$i] };
	my $file = $node->data_dir . '/' . $path{"t${i}_v"};
	open(my $in, '<:raw', $file) or die "cannot open $file: $!";
	my @pages;
	while (read($in, my $page, PAGE)) { push @pages, $page; }
	close($in);
	my @new = @pages;
	if ($blocks eq 'cut')
	{
		$#new = ($rewrite < 1 ? int($rewrite * @pages) : $rewrite) - 1;
	}
	else
	{
		my @which = ref $blocks ? @$blocks : grep { $blocks eq 'all' || $_ % 2 == 1 } 1 .. $#pages;
		$new[$_] = $rewrite->($pages[$_], \@pages, $_) for @which;
	}
	open(my $out, '>:raw', $file) or die "cannot write $file: $!";
	print $out @new;
	close($out);
}
$node->start;

# What may be done to an index, and whether the answer is right when there is one.
my $common = 'SET statement_timeout = 120000; SET seed = 0.5; SET enable_seqscan = off; SET enable_sort = off;';
for my $i (0 .. $#cases)
{
	my $name = $cases[$i]->[0];
	my @uses = (
		[ 'search', "SELECT 'flaws', * FROM lost('t$i', '<->', (SELECT v FROM template WHERE id = 7), 10)" ],
		[ 'all rows', "SELECT 'flaws', * FROM lost('t$i', '<->', (SELECT v FROM template WHERE id = 7))" ],
		[ 'check', "SELECT ann_index_check('t${i}_v')" ],
		[ 'insert', "INSERT INTO t$i SELECT id + 1000, random_vector(24) FROM template LIMIT 20" ],
		[ 'vacuum', "DELETE FROM t$i WHERE id % 3 = 0; VACUUM t$i" ]);
	my (@bad, @codes, @flawed);
	for my $use (@uses)
	{
		my ($code, $out) = psql_code($node, "$common $use->[1]");
		push @codes, "$use->[0] $code";
		push @bad, "$use->[0]: $code $out" unless $code =~ /^(00000|XX00[12])$/;
		my $right = $name =~ /of the mean/ ? qr/^flaws\|0\|0\|/ : qr/^flaws\|0\|0\|0$/;
		push @flawed, "$use->[0]: $out" if $code eq '00000' && $out =~ /^flaws/ && $out !~ $right;
	}
	is(join("\n", @bad), '', "$name: " . join(', ', @codes));
	is("@flawed", '', "$name: intact, so the answers are right") if $codes[2] eq 'check 00000';
	# Where a whole page is lost, the check must say so.
	like($codes[2], qr/XX00[12]/, "$name: ann_index_check finds it") unless $name =~ /bits turned|another page/;
	# REINDEX is the way out.
	$node->safe_psql('postgres', "REINDEX INDEX t${i}_v");
}
no_crash($node, 'no backend died');
is($node->safe_psql('postgres', "SELECT bool_and(n = m) FROM (" . join(' UNION ALL ',
	map { "SELECT (SELECT count(*) FROM nearest('t$_', '<->', (SELECT v FROM template WHERE id = 7), 100000)) AS n, (SELECT count(*) FROM t$_) AS m" } 0 .. $#cases) . ") r"),
	't', 'every index returns all rows after REINDEX');
my ($code, $err) = psql_code($node, q{SELECT ann_index_check('template_pkey')});
isnt($code, '00000', "ann_index_check refuses an index of another kind: $code");

$node->stop;
done_testing();
