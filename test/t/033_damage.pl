# Damage of every kind to pages of every kind, at random by a seed: bits turned, pages zeroed, swapped,
# doubled, files cut, counts, ids and slots overwritten. Whatever is done with such an index ends in an
# error that says so or in an answer (README of src/hnsw, "Damage"); never in a crash or an endless loop.
# Where ann_index_check finds nothing wrong, a scan gives every row once, a limited one as many as it
# should, in order, and all that is done is done well. But for damage that leaves no trace, which is
# counted: a node that says that it is free takes its rows along, a code that has changed its place.
#
# DAMAGE_CASES: how many, 300 unless set (make test-sanitize: 1,000). DAMAGE_SEED.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node add_helpers no_crash seed_random random_below);

use constant { PAGE => 8192, HEADER => 24, TAIL => 8184 };
my %kind_name = (0 => 'blank', 1 => 'meta', 2 => 'node', 3 => 'refinement', 4 => 'upper', 5 => 'chain', 7 => 'mean', 8 => 'spare');
my $sanitized = ($ENV{ANN_INSTALL} // '') =~ /sanitize/;
my $cases = $ENV{DAMAGE_CASES} || ($sanitized ? 1000 : 300);
seed_random($ENV{DAMAGE_SEED} || 1);
sub pick { return $_[ random_below(scalar @_) ]; }

my $node = new_node('damage', "max_parallel_workers_per_gather = 0\n");

# [ operator, operator class, dimensions, options, rows built on ]. The rest of the 400 rows is inserted,
# some of them deleted, so that there are free slots, chains, and auxiliary pages between node pages.
my @templates = (
	[ '<->', 'vector_l2_ops', 24, 'm = 4, ef_construction = 20', 400 ],
	[ '<->', 'vector_l2_ops', 24, 'm = 4, ef_construction = 20', 0 ],
	[ '<=>', 'vector_cosine_ops', 300, 'm = 6', 200 ],
	[ '<#>', 'vector_ip_ops', 40, 'm = 30', 300 ],
	[ '<+>', 'vector_l1_ops', 33, 'm = 8', 300 ],
	[ '<->', 'vector_l2_ops', 2100, 'm = 5, ef_construction = 10', 60 ]);
my $copies = 8;
$node->safe_psql('postgres', 'CREATE DATABASE template');
add_helpers($node, 'template');
for my $i (0 .. $#templates)
{
	my ($op, $opclass, $dims, $options, $built) = @{ $templates[$i] };
	my $rows = $dims > 1000 ? 100 : 400;
	my $fill = qq{
SELECT setseed(0.1);
CREATE TABLE data$i (id int PRIMARY KEY, v vector($dims));
INSERT INTO data$i SELECT i, random_vector($dims + 0 * i) FROM generate_series(1, $rows) i;
INSERT INTO data$i SELECT 1000 + i, (SELECT v FROM data$i d WHERE d.id = 1 + i % 9) FROM generate_series(1, $rows / 2) i;
};
	for my $c (0 .. $copies - 1)
	{
		my $t = "t$i$c";
		$fill .= qq{
CREATE TABLE $t (LIKE data$i);
INSERT INTO $t SELECT * FROM data$i WHERE id <= $built;
CREATE INDEX ${t}_v ON $t USING hnsw (v $opclass) WITH ($options);
INSERT INTO $t SELECT * FROM data$i WHERE id > $built;
DELETE FROM $t WHERE id % 7 = 0;
VACUUM $t;
INSERT INTO $t SELECT * FROM data$i WHERE id % 14 = 0;
};
	}
	$node->safe_psql('template', $fill);
}
$node->safe_psql('template', q{SELECT ann_index_check(oid) FROM pg_class WHERE relname ~ '^t\d+_v$'});
my %path = map { split /\|/ } split /\n/,
  $node->safe_psql('template', q{SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname ~ '^t\d+_v$'});

sub u16 { return unpack('v', substr($_[0], $_[1], 2)); }

# Bytes of a slot and slots of a page, as the meta page has them for pages of this kind.
sub slots_of
{
	my ($kind, $meta) = @_;
	my $at = { 2 => 44, 3 => 48, 4 => 52, 5 => 56 }->{$kind} or return (PAGE - HEADER - 8, 1);
	return (u16($meta, $at), u16($meta, $at + 2) || 1);
}

sub random_bytes { return join('', map { chr(random_below(256)) } 1 .. $_[0]); }

# Numbers that bounds checks get wrong.
sub number { return pick(0, 1, 2, 8, 9, 255, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, random_below(60), random_below(2000), random_below(100000)); }

# Damages one page, or two; says what was done.
sub damage
{
	my ($pages) = @_;
	my %of_kind;
	push @{ $of_kind{ u16($pages->[$_], TAIL) } }, $_ for 0 .. $#$pages;
	my $kind = pick(sort keys %of_kind);
	my $block = pick(@{ $of_kind{$kind} });
	my $where = "block $block of " . @$pages . " ($kind_name{$kind})";
	my $page = \$pages->[$block];
	my ($size, $count) = slots_of($kind, $pages->[0]);
	my $slot = sub { HEADER + $size * random_below($count) };
	my $how = random_below(14);
	if ($how == 0)
	{
		$$page = "\0" x PAGE;
		return "$where zeroed";
	}
	if ($how == 1)
	{
		my $other = random_below(scalar @$pages);
		($pages->[$block], $pages->[$other]) = ($pages->[$other], $pages->[$block]);
		return "$where swapped with $other";
	}
	if ($how == 2)
	{
		my $other = random_below(scalar @$pages);
		$pages->[$other] = $$page;
		return "$where copied to $other";
	}
	if ($how == 3)
	{
		$#$pages = $block - 1;
		return "file cut at $where";
	}
	if ($how == 4)
	{
		my $at = HEADER + random_below(PAGE - HEADER);
		my $n = 1 + random_below(PAGE - $at);
		substr($$page, $at, $n) = pick("\0", "\xff") x $n;
		return "$where: $n bytes at $at zeros or ones";
	}
	if ($how == 5)
	{
		my $at = random_below(PAGE);
		my $n = 1 + random_below(PAGE - $at > 300 ? 300 : PAGE - $at);
		substr($$page, $at, $n) = random_bytes($n);
		return "$where: noise, $n bytes at $at";
	}
	if ($how == 6)
	{
		my ($from, $to) = ($slot->(), $slot->());
		substr($$page, $to, $size) = substr($$page, $from, $size);
		return "$where: slot at $from copied to $to";
	}
	if ($how == 7)
	{
		my $at = pick(random_below(HEADER), TAIL + random_below(8));
		my $bit = random_below(8);
		substr($$page, $at, 1) = chr(ord(substr($$page, $at, 1)) ^ 1 << $bit);
		return "$where: bit $bit of $at, header or tail";
	}
	# A number or a bit, among the first fields of a slot or anywhere in it.
	my $width = pick(1, 2, 4);
	my $start = $slot->();
	$start = HEADER if $kind == 1;
	my $at = $start + $width * random_below(int((pick(0, 1) ? $size : 24) / $width) || 1);
	$at = PAGE - 4 if $at > PAGE - 4;
	if ($how < 11)
	{
		my $value = number();
		substr($$page, $at, $width) = substr(pack('V', $value), 0, $width);
		return "$where: $width bytes at $at (slot at $start) are $value";
	}
	my $bit = random_below(8);
	substr($$page, $at, 1) = chr(ord(substr($$page, $at, 1)) ^ 1 << $bit);
	return "$where: bit $bit of $at (slot at $start)";
}

# The statements of one case: [ name, SQL ], without a name it is only run.
sub uses
{
	my ($i, $t) = @_;
	my ($op, undef, $dims) = @{ $templates[$i] };
	my $near = "SELECT 'flaws', * FROM lost('$t', '$op', (SELECT v FROM data$i WHERE id = " . (1 + random_below(50)) . ')';
	my $all = "$near)";
	my $first = 1 + random_below(90);
	my $new = "SELECT i, random_vector($dims + 0 * i) FROM generate_series";
	return (
		[ check => "SELECT ann_index_check('${t}_v')" ],
		[ stats => "SELECT nodes IS NOT NULL FROM ann_index_stats('${t}_v')" ],
		[ search => "$near, 10)" ],
		[ all => $all ],
		[ '' => 'SET hnsw.iterative_scan = relaxed_order; SET hnsw.ef_search = ' . pick(1, 5, 1000) ],
		[ relaxed => $all ],
		[ '' => 'RESET hnsw.iterative_scan; RESET hnsw.ef_search' ],
		[ null => "SELECT 'flaws', (SELECT count(*) FROM $t) - count(DISTINCT id), count(*) - count(DISTINCT id), 0 FROM (SELECT id FROM $t ORDER BY v $op (SELECT v FROM data$i WHERE id = 0) LIMIT 100000) r" ],
		[ insert => "INSERT INTO $t $new(5001, 5012) i" ],
		[ equal => "INSERT INTO $t SELECT 6000 + id, v FROM data$i WHERE id BETWEEN $first AND $first + 4 OR id BETWEEN 1001 AND 1012" ],
		[ '' => "DELETE FROM $t WHERE id % 4 = " . random_below(4) ],
		[ vacuum => "VACUUM $t" ],
		[ after => $all ],
		[ again => "INSERT INTO $t $new(7001, 7012) i" ],
		[ 'second vacuum' => "VACUUM $t" ],
		[ 'second check' => "SELECT ann_index_check('${t}_v')" ]);
}

my (%seen, %found);
my %traceless = (lacking => [], disordered => []);

# Reads what psql said of the cases of one round.
sub judge
{
	my ($what, $out) = @_;
	my (%code, %answer, %message);
	while ($out =~ /\G(.*?)^END (\d+) (.+?): (\w{5}) ([^\n]*)\n/gms) { ($answer{"$2 $3"}, $code{"$2 $3"}, $message{"$2 $3"}) = ($1, $4, $5); }
	for my $n (0 .. $#$what)
	{
		my (@bad, %flaws);
		my $intact = ($code{"$n check"} // '') eq '00000';
		for my $use (map { $_->[0] } grep { $_->[0] } uses(0, 't'))
		{
			my ($c, $answer) = ($code{"$n $use"} // 'none', $answer{"$n $use"} // '');
			$seen{"$use $c"}++;
			push @bad, "$use: $c " . ($message{"$n $use"} // '') unless $c =~ /^(00000|XX00[12])$/;
			next unless $intact;
			# What is intact stays so, and gives every row once and in order, but for the exceptions below.
			push @bad, "$use: $c after an intact index: " . ($message{"$n $use"} // '') if $c ne '00000';
			next unless $use =~ /^(search|all|relaxed|null|after)$/;
			my ($lacking, $again, $backwards) = $answer =~ /^flaws\|(\d+)\|(\d+)\|(\d+)$/m;
			if (!defined $again || $again) { push @bad, "$use: $answer"; next; }
			$flaws{lacking} //= "$use lacks $lacking" if $lacking;
			# Rows that no link leads to come last, out of a sweep (3 as in test/t/010_vacuum.pl).
			$flaws{disordered} //= "$use: $backwards out of order" if $backwards > ($use eq 'search' ? 0 : 3) && $use ne 'relaxed';
		}
		$found{$intact ? 'intact' : 'damaged'}++;
		# A node may say that it is free; a code has its place on a node, refinement or upper page, and is of
		# a mean and of the seed in the meta page.
		push @bad, $flaws{lacking} if $flaws{lacking} && $what->[$n] !~ /\(node\)/;
		push @bad, $flaws{disordered} if $flaws{disordered} && $what->[$n] !~ /\((node|refinement|upper|mean|meta)\)/;
		push @{ $traceless{$_} }, "$what->[$n]: $flaws{$_}" for keys %flaws;
		is("@bad", '', $what->[$n]);
	}
	return;
}

my $done = 0;
my $lost = 0;
for (my $round = 0; $done < $cases && !$lost; ++$round)
{
	# A copy of the files: none of its pages is in shared buffers. A session that has just ended may still be in it.
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'template'}) or die 'somebody uses the template';
	$node->safe_psql('postgres', "CREATE DATABASE round$round TEMPLATE template STRATEGY file_copy");
	my $folder = $node->data_dir . '/base/' . $node->safe_psql('postgres', "SELECT oid FROM pg_database WHERE datname = 'round$round'");
	my $script = "\\set VERBOSITY verbose\nSET client_min_messages = error; SET enable_seqscan = off; SET enable_sort = off;\n"
	  . "SET statement_timeout = '120s'; SET seed = " . $round % 100 / 100 . ";\n";
	my @what;
	for my $n (0 .. $copies * @templates - 1)
	{
		last if $done++ == $cases;
		my $i = $n % @templates;
		my $t = "t$i" . int($n / @templates);
		my $file = "$folder/$path{\"${t}_v\"}";
		my @pages = unpack('(a' . PAGE . ')*', slurp_file($file));
		my $what = "$templates[$i]->[1], $templates[$i]->[2] dimensions: " . damage(\@pages);
		$what .= '; ' . damage(\@pages) if @pages && random_below(4) == 0;
		open(my $out, '>:raw', $file) or die "cannot write $file: $!";
		print $out @pages;
		close($out);
		push @what, $what;
		for (uses($i, $t)) { $script .= $_->[1] . ";\n" . ($_->[0] ? "\\echo END $#what $_->[0]: :SQLSTATE :LAST_ERROR_MESSAGE\n" : ''); }
	}
	my ($out, $errors);
	$node->psql("round$round", $script, on_error_stop => 0, stdout => \$out, stderr => \$errors,
		timeout => 600, timed_out => \$lost);
	judge(\@what, "$out\n");
	$node->safe_psql('postgres', "DROP DATABASE round$round WITH (FORCE)") unless $lost;
}
ok(!$lost, 'every statement ends');
note(join(', ', map { "$_: $seen{$_}" } sort keys %seen));
# Damage that leaves no trace is rare.
for my $flaw (sort keys %traceless)
{
	my @which = @{ $traceless{$flaw} };
	cmp_ok(scalar @which, '<=', $cases / 50, "$flaw though the check finds nothing: " . @which . " of $cases") or diag(join("\n", @which));
}
# The test would prove nothing if the damage were never met, or always at once.
cmp_ok($found{damaged}, '>', $cases / 3, "$found{damaged} of $cases indexes are found damaged");
cmp_ok($seen{'all 00000'}, '>', $cases / 10, 'some answer all the same');
no_crash($node, 'no backend died');
$node->stop($lost ? 'immediate' : 'fast');
done_testing();
