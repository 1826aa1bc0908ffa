# Random bytes as the binary form of a vector: a vector comes of them or an error that says what is wrong,
# and what was taken in keeps the type's rules.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node no_crash seed_random random_below);

my $node = new_node('receive');
$node->safe_psql('postgres', 'CREATE TABLE received (v vector); CREATE TABLE received_2 (v vector(2))');

seed_random(99);
sub random_bytes { return join('', map { chr(random_below(256)) } 1 .. $_[0]); }

# Well-formed but for one thing, or not at all.
sub field
{
	my $dims = 1 + random_below(4);
	my $good = pack('n n', $dims, 0) . join('', map { pack('f>', random_below(1000) - 500) } 1 .. $dims);
	my $how = random_below(6);
	return $good if $how == 0;
	return random_bytes(random_below(40)) if $how == 1;
	return substr($good, 0, random_below(length($good))) if $how == 2;
	return $good . random_bytes(1 + random_below(8)) if $how == 3;
	if ($how == 4) { substr($good, random_below(length($good)), 1) = random_bytes(1); return $good; }
	substr($good, 4, 4) = pack('N', (0x7f800000, 0xff800000, 0x7fc00000, 1, 0x80000000, 0x7f7fffff)[ random_below(6) ]);
	return $good;
}

my $count = 600;
my $script = '';
for my $i (1 .. $count)
{
	my $field = field();
	my $file = "$PostgreSQL::Test::Utils::tmp_check/receive_$i.bin";
	append_to_file($file, "PGCOPY\n\377\r\n\0" . pack('N N n N', 0, 0, 1, length($field)) . $field . pack('n', 65535));
	$script .= '\copy ' . ($i % 4 ? 'received' : 'received_2') . " from '$file' (format binary)\n";
}
my ($rc, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
my %codes;
$codes{$_}++ for $err =~ /ERROR:\s+([0-9A-Z]{5}):/g;
my $seen = join(', ', map { "$codes{$_} x $_" } sort keys %codes);
# data exception; too many dimensions; message too short; field longer than what was read of it
is(join(' ', grep { !/^(22000|54000|08P01|22P03)$/ } keys %codes), '', "errors: $seen");
cmp_ok($codes{$_} // 0, '>', 0, "$_ among them") for qw(22000 54000 08P01 22P03);
my $taken = $node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM received) + (SELECT count(*) FROM received_2)');
my $refused = 0;
$refused += $_ for values %codes;
is($taken + $refused, $count, "$taken vectors, the others refused");
cmp_ok($taken, '>', $count / 10, 'good ones were taken');
is($node->safe_psql('postgres', q{SELECT count(*) FROM received WHERE vector_dims(v) NOT BETWEEN 1 AND 16000
OR v::text ~ '(nan|inf)' OR v::text::vector <> v OR octet_length(vector_send(v)) <> 4 + 4 * vector_dims(v)}), 0, 'every one is a vector');
is($node->safe_psql('postgres', 'SELECT count(*) FROM received_2 WHERE vector_dims(v) <> 2'), 0, 'a column with dimensions holds no others');
no_crash($node, 'no backend died');

$node->stop;
done_testing();
