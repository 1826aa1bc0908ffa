# One damaged bit: in every field of every kind of page. ann_index_check reports it, or it is one that no
# invariant can see (a code, a version, an unused byte: marked `may`). Searches and inserts end all the
# same, with rows or with an error that says what is wrong (58P01 is the server's, for a row outside of the
# table); where the check reports nothing, with all rows and in order, but for the exceptions named below.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node psql_code no_crash seed_random random_below);

use constant { PAGE => 8192, HEADER => 24, TAIL => 8184 };
use constant { META => 1, NODES => 2, REFINEMENT => 3, UPPER => 4, CHAIN => 5, MEAN => 7, POSTINGS => 9, SLOTS => 10 };

my $node = new_node('flips');
$node->safe_psql('postgres', q{
SELECT setseed(0.25);
CREATE TABLE template (id int PRIMARY KEY, v vector(24));
INSERT INTO template SELECT i, random_vector(24 + 0 * i) FROM generate_series(1, 400) i;
INSERT INTO template SELECT 1000 + i, (SELECT v FROM template t WHERE t.id = 1 + i % 12) FROM generate_series(1, 200) i});

# [ page kind, field, bytes of the page or of a slot in use, bits of each byte that may turn, must the
# check see it, ... ]. Bytes: first and number; of slots: S + first.
my $all = 255;
my $top = 128;
my @fields = (
	[ META, 'pd_lower', 12, 2, $all, 'must' ],
	[ META, 'magic', 24, 4, $all, 'must' ],
	[ META, 'version', 28, 2, $all, 'must' ],
	[ META, 'metric', 30, 1, $all, 'must' ],
	[ META, 'traversal and refinement bits', 31, 2, $all, 'must' ],
	[ META, 'm', 34, 2, $all, 'must' ],
	[ META, 'dims', 40, 4, $all, 'must' ],
	[ META, 'slot sizes', 44, 20, $all, 'must' ],
	[ META, 'stripe', 60, 6, $all, 'must' ],
	[ META, 'seed', 80, 8, $all, 'may' ],
	[ META, 'epoch', 104, 2, $all, 'must' ],
	[ META, 'entry', 112, 4, $all, 'must' ],
	[ META, 'entry_level', 116, 4, $all, 'must' ],
	[ META, 'hints', 121, 3, $all, 'must' ],
	[ META, 'recentring, pages of slots', 132, 4, $all, 'must' ],
	[ META, 'counts, hint', 136, 24, $all, 'may' ],
	[ META, 'tail', TAIL, 4, $all, 'must' ],
	[ MEAN, 'a value', HEADER, 96, $all, 'may' ],
	[ MEAN, 'tail', TAIL, 4, $all, 'must' ],
	[ NODES, 'pd_lower, pd_upper, pd_special', 12, 6, $all, 'must' ],
	[ NODES, 'kind', TAIL, 2, $all, 'must' ],
	[ NODES, 'page id', TAIL + 6, 2, $all, 'must' ],
	[ NODES, 'state', 'S0', 1, 0xFE, 'must' ],
	[ NODES, 'state: live or free', 'S0', 1, 0x01, 'may' ],
	[ NODES, 'epoch', 'S1', 1, 0xF0, 'must' ],
	[ NODES, 'level', 'S1', 1, 0x0F, 'may' ],
	[ NODES, 'version', 'S2', 2, $all, 'may' ],
	[ NODES, 'row: block', 'S4', 2, $all, 'must' ],
	[ NODES, 'row: low parts', 'S6', 4, $all, 'may' ],
	[ NODES, 'number of neighbours', 'S11', 1, $all, 'must' ],
	[ NODES, 'number of neighbours, small', 'S10', 1, $all, 'may' ],
	[ NODES, 'chain', 'S12', 4, $all, 'must' ],
	[ NODES, 'hash', 'S16', 8, $all, 'may' ],
	[ NODES, 'sign of the slope', 'S27', 1, $top, 'must' ],
	[ NODES, 'sign of the norm', 'S31', 1, $top, 'must' ],
	[ NODES, 'factors', 'S24', 12, $all, 'may' ],
	[ NODES, 'code', 'S36', 16, $all, 'may' ],
	[ NODES, 'first link: high bytes', 'S54', 2, $all, 'must' ],
	[ NODES, 'first link', 'S52', 2, $all, 'may' ],
	[ REFINEMENT, 'kind', TAIL, 2, $all, 'must' ],
	[ REFINEMENT, 'sign of the error', 'S11', 1, $top, 'must' ],
	[ REFINEMENT, 'factors', 'S0', 12, $all, 'may' ],
	[ REFINEMENT, 'code', 'S12', 12, $all, 'may' ],
	[ UPPER, 'kind', TAIL, 2, $all, 'must' ],
	[ UPPER, 'state', 'S0', 1, 0xFE, 'must' ],
	[ UPPER, 'level and epoch', 'S1', 1, $all, 'must' ],
	[ UPPER, 'version', 'S2', 2, $all, 'may' ],
	[ UPPER, 'node', 'S4', 4, $all, 'must' ],
	[ UPPER, 'down', 'S8', 4, $all, 'must' ],
	[ UPPER, 'number of neighbours', 'S13', 3, $all, 'must' ],
	[ UPPER, 'factors and code', 'S16', 28, $all, 'must' ],
	[ UPPER, 'first link: high bytes', 'S46', 2, $all, 'must' ],
	[ CHAIN, 'kind', TAIL, 2, $all, 'must' ],
	[ CHAIN, 'node', 'S0', 4, $all, 'must' ],
	[ CHAIN, 'next', 'S4', 4, $all, 'must' ],
	[ CHAIN, 'number of rows', 'S8', 1, 0xF0, 'must' ],
	[ CHAIN, 'number of rows, small', 'S8', 1, 0x0F, 'may' ],
	[ CHAIN, 'row: block', 'S12', 2, $all, 'must' ],
	[ CHAIN, 'row: low parts', 'S14', 4, $all, 'may' ],
	[ SLOTS, 'pd_lower', 12, 2, $all, 'must' ],
	[ SLOTS, 'kind', TAIL, 2, $all, 'must' ],
	[ SLOTS, 'a slot', HEADER, 8160, $all, 'must' ],
	[ POSTINGS, 'pd_lower', 12, 2, $all, 'must' ],
	[ POSTINGS, 'kind', TAIL, 2, $all, 'must' ],
	[ POSTINGS, 'its slots', HEADER, 8, $all, 'must' ],
	[ POSTINGS, 'next', HEADER + 8, 4, $all, 'must' ],
	[ POSTINGS, 'number of postings', HEADER + 13, 3, $all, 'must' ],
	[ POSTINGS, 'hash', 'P0', 4, $all, 'must' ],
	[ POSTINGS, 'node', 'P4', 4, $all, 'must' ],
);
# Of an index of bits, by Jaccard's distance: what a code holds its number of ones vouches for.
my @of_bits = (
	[ META, 'metric', 30, 1, $all, 'must' ],
	[ META, 'traversal and refinement bits', 31, 2, $all, 'must' ],
	[ META, 'dims', 40, 4, $all, 'must' ],
	[ META, 'epoch', 104, 4, $all, 'must' ],
	[ NODES, 'number of ones', 'S24', 4, $all, 'must' ],
	[ NODES, 'bits', 'S28', 3, $all, 'must' ],
	[ NODES, 'behind the last bit', 'S31', 1, $all, 'must' ],
	[ UPPER, 'number of ones and bits', 'S16', 8, $all, 'must' ],
);
my @cases = ((map { [ 'flip', @$_, 'bits' ] } @of_bits), (map { [ 'flip', @$_ ] } @fields), (map { [ 'flip', @$_ ] } grep { $_->[5] eq 'must' } @fields),
	(map { [ 'zero', $_, 'all of it', 0, PAGE, 0, 'must' ] } META, MEAN, NODES, REFINEMENT, UPPER, CHAIN, SLOTS, POSTINGS),
	[ 'zero', NODES, 'a slot', 'S0', 68, 0, 'must' ], [ 'zero', CHAIN, 'a chunk', 'S0', 60, 0, 'must' ],
	[ 'zero', REFINEMENT, 'a record', 'S0', 24, 0, 'may' ]);

$node->safe_psql('postgres', 'SET client_min_messages = error;' . join('', map {
	my ($column, $ops) = $cases[$_]->[7] ? ('binary_quantize(v)::bit(24) AS v', 'bit_jaccard_ops') : ('v', 'vector_l2_ops');
	my $attribute = $cases[$_]->[1] >= POSTINGS ? ', id' : '';
	"CREATE TABLE t$_ AS SELECT id, $column FROM template; CREATE INDEX t${_}_v ON t$_ USING hnsw (v $ops$attribute) WITH (m = 4, ef_construction = 20);\n" } 0 .. $#cases) . 'CHECKPOINT');
is($node->psql('postgres', 'SELECT ann_index_check(oid) FROM pg_class WHERE relname ~ $$^t\d+_v$$'), 0, 'all are intact before');
my %path = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', q{SELECT relname, pg_relation_filepath(oid) FROM pg_class WHERE relname ~ '^t\d+_v$'});
$node->stop('fast');

seed_random(4711);
sub u16 { return unpack('v', substr($_[0], $_[1], 2)); }

# The starts of a page's slots in use, and their size. A refinement record is in use where its factors are
# not zero.
sub used_slots
{
	my ($kind, $page, $meta) = @_;
	my ($at) = { NODES, 44, REFINEMENT, 48, UPPER, 52, CHAIN, 56 }->{$kind};
	my ($size, $count) = (u16($meta, $at), u16($meta, $at + 2));
	my @starts = grep {
		    $kind == CHAIN      ? substr($page, $_, 4) ne "\xff\xff\xff\xff"
		  : $kind == REFINEMENT ? substr($page, $_, 4) ne "\0\0\0\0"
		  : ord(substr($page, $_, 1)) != 0
	} map { HEADER + $_ * $size } 0 .. $count - 1;
	return @starts;
}

my @names;
for my $i (0 .. $#cases)
{
	my ($how, $kind, $field, $first, $bytes, $bits, $seen) = @{ $cases[$i] };
	my $file = $node->data_dir . '/' . $path{"t${i}_v"};
	open(my $handle, '+<:raw', $file) or die "cannot open $file: $!";
	my @pages;
	while (read($handle, my $page, PAGE)) { push @pages, $page; }
	my @of_kind = grep { u16($pages[$_], TAIL) == $kind && ($kind < NODES || $kind > CHAIN || used_slots($kind, $pages[$_], $pages[0])) } 0 .. $#pages;
	my $block = $of_kind[ random_below(scalar @of_kind) ];
	my $start = $first;
	if ($first =~ /^P(\d+)$/)
	{
		my ($count) = unpack('V', substr($pages[$block], HEADER + 12, 4));
		$start = HEADER + 16 + 8 * random_below($count) + $1;
	}
	if ($first =~ /^S(\d+)$/)
	{
		my @starts = used_slots($kind, $pages[$block], $pages[0]);
		$start = $1 + $starts[ random_below(scalar @starts) ];
	}
	my $new = $pages[$block];
	if ($how eq 'zero')
	{
		substr($new, $start, $bytes) = "\0" x $bytes;
		push @names, "block $block of kind $kind, zeroed: $field";
	}
	else
	{
		my @bits = grep { $bits & (1 << $_) } 0 .. 7;
		my ($at, $bit) = ($start + random_below($bytes), $bits[ random_below(scalar @bits) ]);
		substr($new, $at, 1) = chr(ord(substr($new, $at, 1)) ^ (1 << $bit));
		push @names, "block $block of kind $kind, byte $at, bit $bit: $field";
	}
	seek($handle, $block * PAGE, 0);
	print $handle $new;
	close($handle);
}
$node->start;

my $origin = '[' . join(',', (0) x 24) . ']';
my $common = 'SET statement_timeout = 120000; SET enable_seqscan = off; SET enable_sort = off;';
for my $i (0 .. $#cases)
{
	my @uses = (
		"SELECT ann_index_check('t${i}_v')",
		"SELECT 'flaws', * FROM lost('t$i', '<->', (SELECT v FROM template WHERE id = 7), 10)",
		"SELECT 'flaws', * FROM lost('t$i', '<->', (SELECT v FROM template WHERE id = 300))",
		($cases[$i]->[1] < POSTINGS ? () : "SELECT count(*) FROM template k CROSS JOIN LATERAL (SELECT FROM t$i WHERE t$i.id = k.id ORDER BY v <-> '$origin' LIMIT 1) r WHERE k.id <= 50"),
		"INSERT INTO t$i SELECT id + 10000, v FROM template WHERE id % 30 = 3",
		"DELETE FROM t$i WHERE id % 4 = 0; VACUUM t$i");
	if ($cases[$i]->[7])
	{
		my $some = "(SELECT v FROM t$i WHERE id = 7)";
		@uses = ($uses[0], "SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <%> $some LIMIT 10) n", "SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <%> $some) n",
			"INSERT INTO t$i SELECT id + 10000, v FROM t$i WHERE id % 30 = 3", $uses[-1]);
	}
	my @codes;
	my ($bad, $flawed) = ('', '');
	for my $use (@uses)
	{
		my ($code, $out) = psql_code($node, "$common $use");
		push @codes, $code;
		$bad .= "$use: $code $out\n" unless $code =~ /^(00000|XX00[12]|58P01)$/;
		next unless $codes[0] eq '00000' && $out =~ /^flaws\|(\d+)\|(\d+)\|(\d+)$/;
		my ($lacking, $again, $backwards) = ($1, $2, $3);
		# A node that says that it is free takes its rows along; what codes are made of changes the order.
		# Rows that no link leads to come last (3 as in test/t/010_vacuum.pl).
		my $disorder = $cases[$i]->[2] =~ /^(seed|a value|factors|code|a record)$/ ? 600 : $use =~ /, 10\)$/ ? 0 : 3;
		$flawed .= "$use: $out\n" if $again || $lacking > 12 * ($cases[$i]->[2] eq 'state: live or free') || $backwards > $disorder;
	}
	is($bad, '', "$names[$i]: @codes");
	is($flawed, '', "$names[$i]: not seen, and the answers are right") if $codes[0] eq '00000';
	isnt($codes[0], '00000', "$names[$i]: seen") if $cases[$i]->[6] eq 'must';
}
no_crash($node, 'no backend died');

$node->stop;
done_testing();
