# Indexes that are not what the server takes them for (another format version, metric or dimensions, a file
# cut short), values that the column cannot hold, and the tables without WAL: temporary and unlogged ones.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node load_random is_intact no_crash psql_code);

use constant { PAGE => 8192, META => 24, TAIL => 8184 };
my $node = new_node('misuse');
my $set = 'SET enable_seqscan = off; SET enable_sort = off;';
load_random($node, 'template', 300, 8);

# Every node's chain leads to the page that the node is on, which whoever follows it has locked.
sub lead_back
{
	my ($block) = grep { unpack('v', substr($_[0], $_ * PAGE + TAIL, 2)) == 2 } 0 .. length($_[0]) / PAGE - 1;
	my ($bytes, $slots, $chunks) = map { unpack('v', substr($_[0], META + $_, 2)) } 20, 22, 34;
	substr($_[0], $block * PAGE + 24 + $_ * $bytes + 12, 4) = pack('V', $block * $chunks) for 0 .. $slots - 1;
	return;
}

# Every code page (kind 18) is followed by itself: 4 bytes at 8 of its body.
sub run_in_circles
{
	for my $block (grep { unpack('v', substr($_[0], $_ * PAGE + TAIL, 2)) == 18 } 0 .. length($_[0]) / PAGE - 1)
	{
		substr($_[0], $block * PAGE + META + 8, 4) = pack('V', $block);
	}
	return;
}

my $newer = 'has format version 77, which this release cannot read';
# [ name, what becomes of the file, what the error says, of which methods ]; 2 bytes at META + 4 are the version, one at + 6 the
# metric, 4 at + 16 the dimensions.
my ($hnsw, $ivf) = ('hnsw (v vector_l2_ops)', 'ivf (v vector_l2_ops) WITH (lists = 3)');
my @cases = map { my ($name, $change, $message, @indexes) = @$_; map { [ "$name, " . s/ .*//r, $change, $message, $_ ] } @indexes } (
	[ 'newer version', sub { substr($_[0], META + 4, 2) = pack('v', 77); substr($_[0], TAIL + 2, 2) = pack('v', 1) }, $newer, $hnsw, $ivf ],
	[ 'version 0', sub { substr($_[0], META + 4, 2) = pack('v', 0) }, 'has format version 0, which', $hnsw, $ivf ],
	[ 'newer version of pages', sub { substr($_[0], $_ * PAGE + TAIL + 2, 2) = pack('v', 77) for 1 .. length($_[0]) / PAGE - 1 }, 'unknown page format version', $hnsw, $ivf ],
	[ 'another metric', sub { substr($_[0], META + 6, 1) = "\3" }, q{(metric or dimensions are not the column's|contradicts itself)}, $hnsw, $ivf ],
	[ 'other dimensions', sub { substr($_[0], META + 16, 4) = pack('V', 9) }, q{(metric or dimensions are not the column's|contradicts itself)}, $hnsw, $ivf ],
	[ 'chains that lead back', \&lead_back, '(refers to itself|unexpected kind of page|another node|chain)', $hnsw ],
	[ 'lists that lead back', \&run_in_circles, '(runs in a circle|a list ends at another page|leads to no page of the list)', $ivf ],
	[ 'empty file', sub { $_[0] = '' }, '(could not read block 0|there is no meta page)', $hnsw, $ivf ],
	[ 'meta page alone', sub { $_[0] = substr($_[0], 0, PAGE) }, '(could not read block 1|pages of the mean are missing|the lists lie outside of the file)', $hnsw, $ivf ],
	[ 'no nodes', sub { $_[0] = substr($_[0], 0, 3 * PAGE) }, 'entry point lies outside of the file', $hnsw ],
	[ 'no lists', sub { $_[0] = substr($_[0], 0, 3 * PAGE) }, '(out of the file|outside of the file|there is no such page)', $ivf ]);
$node->safe_psql('postgres', join(';', map { "CREATE TABLE t$_ AS TABLE template; CREATE INDEX t${_}_v ON t$_ USING $cases[$_]->[3]" } 0 .. $#cases) . '; CHECKPOINT');
# Format version 2 is version 4 without postings, which few values have none of; version 1 has no attributes either.
my @former = map { [ "version $_->[0], " . $_->[1] =~ s/ .*//r, $_->[1], $_->[0] ] } [ 1, $hnsw ], [ 1, $ivf ], map { [ 2, $_ =~ s/_ops\K/, (id % 2)/r ] } $hnsw, $ivf;
$node->safe_psql('postgres', join(';', map { "CREATE TABLE f$_ AS TABLE template; CREATE INDEX f${_}_v ON f$_ USING $former[$_]->[1]" } 0 .. $#former) . '; CHECKPOINT');
sub path_of { return $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$_[0]')"); }
my @path = map { path_of("t${_}_v") } 0 .. $#cases;
my @former_path = map { path_of("f${_}_v") } 0 .. $#former;
sub write_file
{
	my ($path, $bytes) = @_;
	open(my $out, '>:raw', $path) or die "cannot write $path: $!";
	print $out $bytes;
	close($out);
	return;
}
$node->stop('fast');
for my $i (0 .. $#former)
{
	my $path = $former_path[$i];
	my $bytes = slurp_file($path);
	substr($bytes, $_, 2) eq pack('v', 4) ? substr($bytes, $_, 2) = pack('v', $former[$i]->[2]) : die "$path: no version at $_"
	  for META + 4, map { $_ * PAGE + TAIL + 2 } 0 .. length($bytes) / PAGE - 1;
	write_file($path, $bytes);
}
for my $i (0 .. $#cases)
{
	my $bytes = slurp_file($path[$i]);
	$cases[$i]->[1]->($bytes);
	write_file($path[$i], $bytes);
}
$node->start;
for my $i (0 .. $#former)
{
	my $name = $former[$i]->[0];
	my $complete = sub {
		is_intact($node, "f${i}_v", "$name: intact$_[0]");
		is($node->safe_psql('postgres', "SELECT lacking, again FROM lost('f$i', '<->', (SELECT v FROM template WHERE id = 3))"), '0|0', "$name: all rows are found$_[0]");
	};
	$complete->('');
	$node->safe_psql('postgres', "INSERT INTO f$i SELECT 1000 + id, v FROM template; DELETE FROM f$i WHERE id % 3 = 0; VACUUM f$i; INSERT INTO f$i SELECT 3000 + i, random_vector(8 + 0 * i) FROM generate_series(1, 900) i");
	$complete->(' when written to');
}
for my $i (0 .. $#cases)
{
	my ($name, undef, $message) = @{ $cases[$i] };
	for my $sql ("SELECT count(*) FROM (SELECT id FROM t$i ORDER BY v <-> (SELECT v FROM template WHERE id = 3) LIMIT 400) r",
		"INSERT INTO t$i SELECT 1000 + id, v FROM template", "DELETE FROM t$i WHERE id % 5 = 0; VACUUM t$i", "SELECT ann_index_check('t${i}_v')")
	{
		my ($code, $out) = psql_code($node, "$set $sql");
		my ($what) = $sql =~ /^(\w+( ann_index_check)?)/;
		like($code, qr/^XX00[12]$/, "$name: $what is refused");
		like($out, qr/$message/, "$name: $what says why");
		like($out, qr/HINT:  REINDEX INDEX "t${i}_v"/, "$name: $what says what to do") if $code eq 'XX002';
	}
	$node->safe_psql('postgres', "REINDEX INDEX t${i}_v");
	is_intact($node, "t${i}_v", "$name: REINDEX mends it");
	is($node->safe_psql('postgres', "$set SELECT count(*) = (SELECT count(*) FROM t$i) FROM (SELECT id FROM t$i ORDER BY v <-> (SELECT v FROM template WHERE id = 3) LIMIT 400) r"),
		't', "$name: all rows are there");
}

# What the column cannot hold is refused before an index sees it, as text and as binary.
my ($code) = psql_code($node, q{INSERT INTO t0 VALUES (2000, '[1, 2, 3]')});
is($code, '22000', 'other dimensions');
for my $case ([ 'NaN', "\x7f\xc0\0\0" ], [ 'infinity', "\x7f\x80\0\0" ], [ 'minus infinity', "\xff\x80\0\0" ])
{
	my ($name, $float) = @$case;
	my $value = pack('n n', 8, 0) . "\0" x 28 . $float;
	my $file = $node->basedir . "/value.bin";
	open(my $out, '>:raw', $file) or die "cannot write $file: $!";
	print $out "PGCOPY\n\377\r\n\0" . pack('N N n N N N', 0, 0, 2, 4, 3000, length($value)) . $value . pack('n', 65535);
	close($out);
	($code) = psql_code($node, "\\copy t0 from '$file' (format binary)");
	is($code, '22000', "$name by binary COPY");
}
is_intact($node, 't0_v', 'intact after what was refused');

# Three operator classes on one column, each by its own operator.
$node->safe_psql('postgres', 'CREATE TABLE two AS TABLE template; CREATE INDEX two_l2 ON two USING hnsw (v vector_l2_ops); CREATE INDEX two_cosine ON two USING hnsw (v vector_cosine_ops); CREATE INDEX two_lists ON two USING ivf (v vector_ip_ops)');
for my $case ([ '<->', 'two_l2' ], [ '<=>', 'two_cosine' ], [ '<#>', 'two_lists' ])
{
	my ($op, $index) = @$case;
	like($node->safe_psql('postgres', "$set EXPLAIN SELECT id FROM two ORDER BY v $op '[1,2,3,4,5,6,7,8]' LIMIT 5"), qr/using $index on/, "$op uses $index");
	is($node->safe_psql('postgres', "$set SELECT unordered('two', '$op', 10, 'template')"), 0, "$op is in order");
}

# A column that loses its dimensions keeps its index.
$node->safe_psql('postgres', 'ALTER TABLE two ALTER COLUMN v TYPE vector');
is_intact($node, $_, "$_: intact after ALTER TYPE") for 'two_l2', 'two_lists';
is($node->safe_psql('postgres', "$set SELECT unordered('two', '<#>', 10, 'template')"), 0, 'lists in order after ALTER TYPE');
is($node->safe_psql('postgres', "$set SELECT unordered('two', '<->', 10, 'template')"), 0, 'in order after ALTER TYPE');

# Tables without WAL.
is($node->safe_psql('postgres', qq{$set
SET seed = 0.5;
CREATE TEMP TABLE here AS TABLE template;
CREATE INDEX here_v ON here USING $_;
INSERT INTO here SELECT id + 1000, v FROM template WHERE id <= 50;
DELETE FROM here WHERE id % 3 = 0;
VACUUM here;
INSERT INTO here SELECT i, random_vector(8 + 0 * i) FROM generate_series(2000, 2200) i;
SELECT ann_index_check('here_v');
SELECT count(*) = (SELECT count(*) FROM here) AND count(*) = count(DISTINCT id) FROM (SELECT id FROM here ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 100000) r}),
	"\nt", "a temporary table, $_") for $hnsw, $ivf;
$node->safe_psql('postgres', q{
CREATE UNLOGGED TABLE fleeting AS TABLE template;
CREATE INDEX fleeting_v ON fleeting USING hnsw (v vector_l2_ops);
CREATE UNLOGGED TABLE l1 AS TABLE template;
CREATE INDEX l1_v ON l1 USING hnsw (v vector_l1_ops);
CREATE UNLOGGED TABLE lists AS TABLE template;
CREATE INDEX lists_v ON lists USING ivf (v vector_cosine_ops) WITH (lists = 9);
CREATE UNLOGGED TABLE flat AS TABLE template;
CREATE INDEX flat_v ON flat USING ivfflat (v vector_ip_ops) WITH (lists = 9)});
$node->stop('immediate');
$node->start;
for my $case ([ 'fleeting', '<->' ], [ 'l1', '<+>' ], [ 'lists', '<=>' ], [ 'flat', '<#>' ])
{
	my ($table, $op) = @$case;
	is_intact($node, "${table}_v", "$table: intact after a crash");
	is($node->safe_psql('postgres', "$set SELECT count(*) FROM (SELECT id FROM $table ORDER BY v $op '[1,2,3,4,5,6,7,8]' LIMIT 10) r"), 0, "$table: and empty");
	$node->safe_psql('postgres', "INSERT INTO $table SELECT * FROM template");
	is_intact($node, "${table}_v", "$table: intact when filled again");
	is($node->safe_psql('postgres', "$set SELECT unordered('$table', '$op', 10, 'template')"), 0, "$table: in order");
	is($node->safe_psql('postgres', "$set SELECT count(DISTINCT id) FROM (SELECT id FROM $table ORDER BY v $op '[1,2,3,4,5,6,7,8]' LIMIT 400) r"), 300, "$table: complete");
}
no_crash($node, 'no backend died');
$node->stop;
done_testing();
