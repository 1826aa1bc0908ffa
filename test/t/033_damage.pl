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
use AnnTest qw(new_node add_helpers no_crash seed_random random_below);
use AnnDamage qw(pick u16 damage run_damaged);

use constant { PAGE => 8192, HEADER => 24 };
my %kind_name = (0 => 'blank', 1 => 'meta', 2 => 'node', 3 => 'refinement', 4 => 'upper', 5 => 'chain', 6 => 'column', 7 => 'mean', 8 => 'spare', 9 => 'postings', 10 => 'slots');
my $sanitized = ($ENV{ANN_INSTALL} // '') =~ /sanitize/;
my $cases = $ENV{DAMAGE_CASES} || ($sanitized ? 1000 : 300);
seed_random($ENV{DAMAGE_SEED} || 1);

my $node = new_node('damage', "max_parallel_workers_per_gather = 0\n");

# [ operator, operator class and attributes, dimensions, options, rows built on ]. The rest of the 400 rows is inserted,
# some of them deleted, so that there are free slots, chains, and auxiliary pages between node pages.
my @templates = (
	[ '<->', 'vector_l2_ops, id', 24, 'm = 4, ef_construction = 20', 200 ],
	[ '<->', 'vector_l2_ops', 24, 'm = 4, ef_construction = 20', 0 ],
	[ '<=>', 'halfvec_cosine_ops', 300, 'm = 6', 200 ],
	[ '<#>', 'vector_ip_ops', 40, 'm = 30', 300 ],
	[ '<+>', 'vector_l1_ops', 33, 'm = 8', 300 ],
	[ '<=>', 'sparsevec_cosine_ops, id', 70, 'm = 6', 200 ],
	[ '<->', 'vector_l2_ops', 2100, 'm = 5, ef_construction = 10', 60 ]);
my $copies = 8;
$node->safe_psql('postgres', 'CREATE DATABASE template');
add_helpers($node, 'template');
for my $i (0 .. $#templates)
{
	my ($op, $opclass, $dims, $options, $built) = @{ $templates[$i] };
	my $rows = $dims > 1000 ? 100 : 400;
	my ($type) = $opclass =~ /^([a-z]+)/;
	my $fill = qq{
SELECT setseed(0.1);
CREATE TABLE data$i (id int PRIMARY KEY, v $type($dims));
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

# Bytes of a slot and slots of a page, as the meta page has them for pages of this kind.
sub slots_of
{
	my ($kind, $meta) = @_;
	my $at = { 2 => 44, 3 => 48, 4 => 52, 5 => 56 }->{$kind} or return (PAGE - HEADER - 8, 1);
	return (u16($meta, $at), u16($meta, $at + 2) || 1);
}

# The statements of one case: [ name, SQL ], without a name it is only run.
sub uses
{
	my ($i, $t) = @_;
	my ($op, undef, $dims) = @{ $templates[$i] };
	my $near = "SELECT 'flaws', * FROM lost('$t', '$op', (SELECT v::vector FROM data$i WHERE id = " . (1 + random_below(50)) . ')';
	my $all = "$near)";
	my $first = 1 + random_below(90);
	my $new = "SELECT i, random_vector($dims + 0 * i) FROM generate_series";
	return (
		[ check => "SELECT ann_index_check('${t}_v')" ],
		[ stats => "SELECT nodes IS NOT NULL FROM ann_index_stats('${t}_v')" ],
		[ search => "$near, 10)" ],
		[ all => $all ],
		($templates[$i]->[1] !~ /, id/ ? () : [ posted => "SELECT 'flaws', count(*) - count(x.id), 0, 0 FROM data$i r LEFT JOIN LATERAL (SELECT t.id FROM $t t WHERE t.id = r.id ORDER BY v $op (SELECT v FROM data$i WHERE id = 3) LIMIT 1) x ON true WHERE r.id <= 60 AND r.id IN (SELECT id FROM $t)" ]),
		[ '' => 'SET hnsw.iterative_scan = relaxed_order; SET hnsw.ef_search = ' . pick(1, 5, 1000) ],
		[ relaxed => $all ],
		[ '' => 'RESET hnsw.iterative_scan; RESET hnsw.ef_search' ],
		[ null => "SELECT 'flaws', (SELECT count(*) FROM $t) - count(DISTINCT id), count(*) - count(DISTINCT id), 0 FROM (SELECT id FROM $t ORDER BY v $op (SELECT v FROM data$i WHERE id = 0) LIMIT 100000) r" ],
		[ filtered => "SELECT count(*) FROM (SELECT id FROM $t WHERE id < 200 ORDER BY v $op (SELECT v FROM data$i WHERE id = $first) LIMIT 50) r" ],
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

# What came of the cases of one round.
sub judge
{
	my ($what, $came) = @_;
	for my $n (0 .. $#$what)
	{
		my (@bad, %flaws);
		my $intact = ($came->{"$n check"}{code} // '') eq '00000';
		for my $use (map { $_->[0] } grep { $_->[0] } uses(0, 't'))
		{
			# Only where the index has the attribute (template 0 does).
			next if $use eq 'posted' && $what->[$n] !~ /^\w+, id,/;
			my ($c, $answer, $message) = map { $came->{"$n $use"}{$_} // '' } qw(code answer message);
			$seen{"$use $c"}++;
			push @bad, "$use: $c $message" unless $c =~ /^(00000|XX00[12])$/;
			next unless $intact;
			# What is intact stays so, and gives every row once and in order, but for the exceptions below.
			push @bad, "$use: $c after an intact index: $message" if $c ne '00000';
			next unless $use =~ /^(search|all|relaxed|null|after|posted)$/;
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

my @tables = map { my $c = $_; map { [ $_, "t$_$c" ] } 0 .. $#templates } 0 .. $copies - 1;
my $ended = run_damaged($node, template => 'template', settings => '', cases => $cases,
	files => [ map { $path{"$_->[1]_v"} } @tables ],
	damage => sub {
		my ($n, $pages) = @_;
		my $template = $templates[ $tables[$n]->[0] ];
		my $what = "$template->[1], $template->[2] dimensions: " . damage($pages, \%kind_name, \&slots_of);
		$what .= '; ' . damage($pages, \%kind_name, \&slots_of) if @$pages && random_below(4) == 0;
		return $what;
	},
	uses => sub { return uses(@{ $tables[ $_[0] ] }) },
	judge => \&judge);
ok($ended, 'every statement ends');
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
$node->stop($ended ? 'fast' : 'immediate');
done_testing();
