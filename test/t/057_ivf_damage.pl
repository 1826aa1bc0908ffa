# Damage of every kind to pages of every kind of ivf indexes, of each quantizer and each place of codes, at random by a seed
# (as test/t/033_damage.pl does it to hnsw's). Whatever is done with such an index ends in an error that says so or in an
# answer; never in a crash or an endless loop. Where ann_index_check finds nothing wrong, all that is done is done well: a scan
# gives every row once, a limited one as many as it should, in order. But for damage that leaves no trace, which is counted: a
# live bit or the TID of a row in a code page, what vectors are compared with.
#
# DAMAGE_CASES: how many, 48 unless set (make test-sanitize: 1,000). DAMAGE_SEED.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node no_crash seed_random random_below cancel_at);
use AnnDamage qw(pick damage run_damaged);

use constant { HEADER => 24, TAIL => 8184 };
my %kind_name = (0 => 'blank', 1 => 'meta', 16 => 'frame', 17 => 'directory', 18 => 'codes', 19 => 'records', 20 => 'free');
my $sanitized = ($ENV{ANN_INSTALL} // '') =~ /sanitize/;
my $cases = $ENV{DAMAGE_CASES} || ($sanitized ? 1000 : 48);
seed_random($ENV{DAMAGE_SEED} || 1);

# No worker may be in the database that is copied.
my $node = new_node('ivf_damage', "max_parallel_workers_per_gather = 0\n");

# [ operator, operator class and attributes, dimensions, method and options, rows ]. Half of the rows are there when it is built, others come,
# some go: there are dead rows, moved lists, free pages.
my @templates = (
	[ '<->', 'vector_l2_ops, id', 24, 'ivf (lists = 3)', 400 ],
	[ '<=>', 'vector_cosine_ops', 300, 'ivf (lists = 2, rerank = heap)', 300 ],
	[ '<#>', 'halfvec_ip_ops', 40, 'ivf (lists = 3, quantizer = sq8)', 400 ],
	[ '<->', 'vector_l2_ops', 32, 'ivf (lists = 3, quantizer = pq)', 400 ],
	[ '<=>', 'vector_cosine_ops', 60, 'ivf (lists = 2, quantizer = pq, pq_bits = 8, pq_segments = 30, rerank = index)', 400 ],
	[ '<->', 'vector_l2_ops', 33, 'ivf (lists = 3, quantizer = flat)', 400 ],
	[ '<=>', 'vector_cosine_ops', 20, 'ivfflat (lists = 4)', 400 ],
	# Codes row after row; records of their own; of several pages.
	[ '<->', 'vector_l2_ops', 2100, 'ivf (lists = 2)', 60 ],
	[ '<#>', 'vector_ip_ops', 2100, 'ivf (lists = 2, quantizer = flat)', 40 ],
	[ '<->', 'vector_l2_ops', 5000, 'ivf (lists = 2, quantizer = flat)', 24 ],
	[ '<->', 'vector_l2_ops', 9000, 'ivf (lists = 2)', 24 ],
	# Training is under way.
	[ '<->', 'vector_l2_ops', 28, 'ivf (lists = 3)', 300 ]);
my $copies = 4;
my @tables = map { my $c = $_; map { [ $_, "t${_}_$c" ] } 0 .. $#templates } 0 .. $copies - 1;
for my $i (0 .. $#templates)
{
	my ($op, $opclass, $dims, $index, $rows) = @{ $templates[$i] };
	my ($type) = $opclass =~ /^([a-z]+)/;
	my ($method, $options) = $index =~ /^(\w+) \((.*)\)$/;
	my $fill = qq{
SET client_min_messages = error;
SELECT setseed(0.1);
CREATE TABLE data$i (id int PRIMARY KEY, v $type($dims));
INSERT INTO data$i SELECT i, random_vector($dims + 0 * i) FROM generate_series(1, $rows) i;
};
	for my $t (map { $_->[1] } grep { $_->[0] == $i } @tables)
	{
		$fill .= qq{
CREATE TABLE $t (LIKE data$i);
INSERT INTO $t SELECT * FROM data$i WHERE id <= $rows / 2;
CREATE INDEX ${t}_v ON $t USING $method (v $opclass) WITH ($options);
INSERT INTO $t SELECT * FROM data$i WHERE id > $rows / 2;
DELETE FROM $t WHERE id % 3 <> 0;
VACUUM $t;
INSERT INTO $t SELECT * FROM data$i WHERE id % 6 = 1;
};
	}
	$node->safe_psql('postgres', $fill);
}
for my $t (map { $_->[1] } grep { $_->[0] == $#templates } @tables)
{
	cancel_at($node, 'retrain.copied', 1, "$t is being trained", "SELECT ann_retrain('${t}_v')");
	$node->safe_psql('postgres', "INSERT INTO $t SELECT * FROM data$#templates WHERE id % 6 = 2");
}
is($node->safe_psql('postgres', q{SELECT count(ann_index_check(oid)), bool_or((SELECT recentring FROM ann_index_stats(oid))) FROM pg_class WHERE relname ~ '^t\d+_\d+_v$'}),
	@tables . '|t', 'all are intact before');
my %path = map { split /\|/ } split /\n/,
  $node->safe_psql('postgres', q{SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname ~ '^t\d+_\d+_v$'});

# What a page starts with, or anything up to the last byte that is not 0.
sub slots_of
{
	my ($kind, $meta, $page) = @_;
	return (32, 1) if pick(0, 1);
	my ($used) = substr($page, HEADER, TAIL - HEADER) =~ /^(.*?)\0*\z/s;
	return (16, int(length($used) / 16) || 1);
}

# The statements of one case: [ name, SQL ], without a name it is only run.
sub uses
{
	my ($i, $t) = @_;
	my ($op, undef, $dims) = @{ $templates[$i] };
	my $near = "SELECT 'flaws', * FROM lost('$t', '$op', (SELECT v::vector FROM data$i WHERE id = " . (1 + random_below(20)) . ')';
	my $all = "$near)";
	my $new = "SELECT i, random_vector($dims + 0 * i) FROM generate_series";
	return (
		[ check => "SELECT ann_index_check('${t}_v')" ],
		[ stats => "SELECT lists IS NOT NULL FROM ann_index_stats('${t}_v')" ],
		[ search => "$near, 10)" ],
		[ all => $all ],
		[ '' => 'SET ivf.iterative_scan = relaxed_order; SET ivf.probes = ' . pick(1, 2, 1000) ],
		[ relaxed => $all ],
		[ '' => 'RESET ivf.iterative_scan; RESET ivf.probes' ],
		[ null => "SELECT 'flaws', (SELECT count(*) FROM $t) - count(DISTINCT id), count(*) - count(DISTINCT id), 0 FROM (SELECT id FROM $t ORDER BY v $op (SELECT v FROM data$i WHERE id = 0) LIMIT 100000) r" ],
		[ filtered => "SELECT count(*) FROM (SELECT id FROM $t WHERE id < 200 ORDER BY v $op (SELECT v FROM data$i WHERE id = 7) LIMIT 50) r" ],
		[ insert => "INSERT INTO $t $new(5001, 5012) i" ],
		[ equal => "INSERT INTO $t SELECT 6000 + i, v FROM data$i, generate_series(1, 9) i WHERE id = " . (1 + random_below(20)) ],
		[ '' => "DELETE FROM $t WHERE id % 4 = " . random_below(4) ],
		[ vacuum => "VACUUM $t" ],
		[ after => $all ],
		[ again => "INSERT INTO $t $new(7001, 7012) i" ],
		[ retrain => "SELECT ann_retrain('${t}_v')" ],
		[ retrained => $all ],
		[ '' => "DELETE FROM $t WHERE id % 3 = " . random_below(3) ],
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
			my ($c, $answer, $message) = map { $came->{"$n $use"}{$_} // '' } qw(code answer message);
			$seen{"$use $c"}++;
			push @bad, "$use: $c $message" unless $c =~ /^(00000|XX00[12])$/;
			next unless $intact;
			# What is intact stays so, and gives every row once and in order, but for the exceptions below.
			push @bad, "$use: $c after an intact index: $message" if $c ne '00000';
			next unless $use =~ /^(search|all|relaxed|null|after|retrained)$/;
			my ($lacking, $again, $backwards) = $answer =~ /^flaws\|(\d+)\|(\d+)\|(\d+)$/m;
			if (!defined $again || $again) { push @bad, "$use: $answer"; next; }
			$flaws{lacking} //= "$use lacks $lacking" if $lacking;
			# Those of lists read too late to be in order come last, in their own order.
			$flaws{disordered} //= "$use: $backwards out of order" if $backwards > ($use eq 'search' ? 0 : 1) && $use ne 'relaxed';
		}
		$found{$intact ? 'intact' : 'damaged'}++;
		push @bad, $flaws{lacking} if $flaws{lacking} && $what->[$n] !~ /\(codes\)/;
		push @bad, $flaws{disordered} if $flaws{disordered} && $what->[$n] !~ /\((codes|records|frame|meta)\)/;
		push @{ $traceless{$_} }, "$what->[$n]: $flaws{$_}" for keys %flaws;
		is("@bad", '', $what->[$n]);
	}
	return;
}

my $ended = run_damaged($node, template => 'postgres', settings => "SET ivfflat.iterative_scan = strict_order;\n", cases => $cases,
	files => [ map { $path{"$_->[1]_v"} } @tables ],
	damage => sub {
		my ($n, $pages) = @_;
		my $template = $templates[ $tables[$n]->[0] ];
		my $what = "$template->[3], $template->[2] dimensions: " . damage($pages, \%kind_name, \&slots_of);
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
	cmp_ok(scalar @which, '<=', $cases / 12, "$flaw though the check finds nothing: " . @which . " of $cases") or diag(join("\n", @which));
}
# The test would prove nothing if the damage were never met, or always at once.
cmp_ok($found{damaged}, '>', $cases / 3, "$found{damaged} of $cases indexes are found damaged");
cmp_ok($seen{'all 00000'}, '>', $cases / 10, 'some answer all the same');
no_crash($node, 'no backend died');
$node->stop($ended ? 'fast' : 'immediate');
done_testing();
