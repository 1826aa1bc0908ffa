# One damaged bit in every field of every kind of an ivf index's pages, and pages all of zeros: ann_index_check
# reports it, or it is one that no invariant can see (marked `may`). Searches, inserts and vacuums end all the
# same, with rows or with an error that says what is wrong; where the check reports nothing, each row is found once.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node psql_code no_crash seed_random random_below);

use constant { PAGE => 8192, HEADER => 24, TAIL => 8184 };
use constant { META => 1, FRAME => 16, DIRECTORY => 17, CODES => 18, RECORDS => 19 };

my $node = new_node('ivf_flips');
$node->safe_psql('postgres', q{
SELECT setseed(0.25);
CREATE TABLE template (id int PRIMARY KEY, v vector(24));
INSERT INTO template SELECT i, random_vector(24 + 0 * i) FROM generate_series(1, 600) i});

# [ page kind, field, first byte, bytes, bits of each that may turn, must the check see it ]
my $all = 255;
my @fields = (
	[ META, 'pd_lower', 12, 2, $all, 'must' ],
	[ META, 'magic', 24, 4, $all, 'must' ],
	[ META, 'version, metric', 28, 3, $all, 'must' ],
	[ META, 'quantizer', 31, 1, $all, 'must' ],
	[ META, 'bits, segments', 32, 4, $all, 'must' ],
	[ META, 'attributes, place of codes', 36, 4, $all, 'must' ],
	[ META, 'dims, layout', 40, 28, $all, 'must' ],
	[ META, 'kinds of attributes', 68, 4, $all, 'must' ],
	[ META, 'seed, stamp', 72, 16, $all, 'may' ],
	[ META, 'epoch of the lists', 88, 2, $all, 'must' ],
	[ META, 'place and size of the lists', 92, 20, $all, 'must' ],
	[ META, 'slots, revision', 120, 8, $all, 'may' ],
	[ META, 'which frame', 168, 4, $all, 'must' ],
	[ META, 'training', 172, 4, $all, 'must' ],
	[ META, 'counts, epochs', 176, 24, $all, 'may' ],
	[ META, 'tail', TAIL, 4, $all, 'must' ],
	[ FRAME, 'a value', HEADER, 200, $all, 'may' ],
	[ FRAME, 'tail', TAIL, 8, $all, 'must' ],
	[ DIRECTORY, 'head', HEADER, 4, $all, 'must' ],
	[ DIRECTORY, 'tail of the list', HEADER + 4, 4, $all, 'must' ],
	[ DIRECTORY, 'generation', HEADER + 8, 4, $all, 'must' ],
	[ DIRECTORY, 'run, counts', HEADER + 12, 12, $all, 'may' ],
	[ DIRECTORY, 'state', HEADER + 24, 2, $all, 'must' ],
	[ DIRECTORY, 'revision', HEADER + 28, 4, $all, 'must' ],
	[ DIRECTORY, 'what was seen of it', HEADER + 32, 8, $all, 'may' ],
	[ DIRECTORY, 'tail', TAIL, 8, $all, 'must' ],
	[ CODES, 'pd_lower, pd_upper, pd_special', 12, 6, $all, 'must' ],
	[ CODES, 'list, generation, next', HEADER, 12, $all, 'must' ],
	[ CODES, 'rows', HEADER + 12, 2, $all, 'must' ],
	[ CODES, 'closed', HEADER + 14, 1, $all, 'must' ],
	[ CODES, 'pages of records', HEADER + 16, 4, $all, 'must' ],
	[ CODES, 'tail', TAIL, 4, $all, 'must' ],
	# Of the first block of 32: behind its header, TIDs and values of 4 bytes.
	[ CODES, 'nulls and marks of attributes', HEADER + 24 + 16 + 6 * 32 + 4 * 32, 64, $all, 'must' ],
	[ RECORDS, 'pd_lower', 12, 2, $all, 'must' ],
	[ RECORDS, 'list, generation, code page, ordinal', HEADER, 16, $all, 'must' ],
	[ RECORDS, 'sign of the error', HEADER + 16 + 11, 1, 128, 'must' ],
	[ RECORDS, 'factors', HEADER + 16, 8, $all, 'may' ],
	[ RECORDS, 'tail', TAIL, 4, $all, 'must' ],
	[ CODES, 'anything', HEADER + 40, 4000, $all, 'may' ],
	[ RECORDS, 'anything', HEADER + 30, 4000, $all, 'may' ]);
my @cases = ((map { [ 'flip', @$_ ] } @fields, @fields), map { [ 'zero', $_, 'all of it', 0, PAGE, 0, 'must' ] } META, FRAME, DIRECTORY, CODES, RECORDS);

$node->safe_psql('postgres', 'SET client_min_messages = error;' . join('', map {
	"CREATE TABLE t$_ AS TABLE template; CREATE INDEX t${_}_v ON t$_ USING ivf (v vector_l2_ops, id) WITH (lists = 2);\n" } 0 .. $#cases) . 'CREATE TABLE far AS TABLE template; CREATE INDEX far_v ON far USING ivf (v vector_l2_ops) WITH (lists = 2, rerank = heap);'
	  . 'CHECKPOINT');
is($node->psql('postgres', 'SELECT ann_index_check(oid) FROM pg_class WHERE relname ~ $$^t\d+_v$$'), 0, 'all are intact before');
my %path = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', q{SELECT relname, pg_relation_filepath(oid) FROM pg_class WHERE relname ~ '^t\d+_v$'});
my $far = $node->safe_psql('postgres', q{SELECT pg_relation_filepath('far_v')});
$node->stop('fast');

seed_random(4711);
my @names;
for my $i (0 .. $#cases)
{
	my ($how, $kind, $field, $first, $bytes, $bits, $seen) = @{ $cases[$i] };
	my $file = $node->data_dir . '/' . $path{"t${i}_v"};
	open(my $handle, '+<:raw', $file) or die "cannot open $file: $!";
	my @pages;
	while (read($handle, my $page, PAGE)) { push @pages, $page; }
	my @of_kind = grep { unpack('v', substr($pages[$_], TAIL, 2)) == $kind } 0 .. $#pages;
	my $block = $of_kind[ random_below(scalar @of_kind) ];
	my $new = $pages[$block];
	if ($how eq 'zero')
	{
		$new = "\0" x PAGE;
		push @names, "block $block of kind $kind, zeroed";
	}
	else
	{
		my @bits = grep { $bits & (1 << $_) } 0 .. 7;
		my ($at, $bit) = ($first + random_below($bytes), $bits[ random_below(scalar @bits) ]);
		substr($new, $at, 1) = chr(ord(substr($new, $at, 1)) ^ (1 << $bit));
		push @names, "block $block of kind $kind, byte $at, bit $bit: $field";
	}
	seek($handle, $block * PAGE, 0);
	print $handle $new;
	close($handle);
}
{
	# A row so far behind the table's end that the server would look for it in another file. Without records a block of codes
	# begins with the page's body; its rows come after 16 bytes.
	my $file = $node->data_dir . "/$far";
	open(my $handle, '+<:raw', $file) or die "cannot open $file: $!";
	my $at = 0;
	while (read($handle, my $page, PAGE))
	{
		last if unpack('v', substr($page, TAIL, 2)) == CODES;
		$at += PAGE;
	}
	seek($handle, $at + HEADER + 16 + 16, 0);
	print $handle pack('v', 0x7fff);
	close($handle);
}
$node->start;

my $common = 'SET statement_timeout = 60000; SET enable_seqscan = off; SET enable_sort = off;';
for my $i (0 .. $#cases)
{
	my @uses = (
		"SELECT ann_index_check('t${i}_v')",
		"SELECT 'flaws', * FROM lost('t$i', '<->', (SELECT v FROM template WHERE id = 7), 10)",
		"SELECT 'flaws', * FROM lost('t$i', '<->', (SELECT v FROM template WHERE id = 300))",
		"SELECT count(*) FROM (SELECT id FROM t$i WHERE id < 20 ORDER BY v <-> (SELECT v FROM template WHERE id = 7)) r",
		"INSERT INTO t$i SELECT id + 10000, v FROM template WHERE id % 30 = 3",
		"SELECT lists FROM ann_index_stats('t${i}_v')",
		"DELETE FROM t$i WHERE id % 4 = 0; VACUUM t$i",
		"SELECT ann_retrain('t${i}_v')");
	my @codes;
	my ($bad, $flawed) = ('', '');
	for my $use (@uses)
	{
		my ($code, $out) = psql_code($node, "$common $use");
		push @codes, $code;
		$bad .= "$use: $code $out\n" unless $code =~ /^(00000|XX00[12])$/;
		next unless $codes[0] eq '00000' && $out =~ /^flaws\|(\d+)\|(\d+)\|/;
		$flawed .= "$use: $out\n" if ($1 || $2) && $cases[$i]->[2] ne 'anything';
	}
	is($bad, '', "$names[$i]: @codes");
	is($flawed, '', "$names[$i]: not seen, and each row is found once") if $codes[0] eq '00000';
	isnt($codes[0], '00000', "$names[$i]: seen") if $cases[$i]->[6] eq 'must';
}
for my $use (q{SELECT ann_index_check('far_v')}, q{SELECT * FROM lost('far', '<->', (SELECT v FROM template WHERE id = 7))}, q{SELECT ann_retrain('far_v')})
{
	my ($code, $out) = psql_code($node, "$common $use");
	is($code, 'XX002', "a row far behind the table's end: $use") or diag($out);
}
no_crash($node, 'no backend died');

$node->stop;
done_testing();
