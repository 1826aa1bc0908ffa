# Damage of index files at random by a seed, and what statements then make of them: what the damage tests of all
# access methods share.
package AnnDamage;

use strict;
use warnings;
use Exporter 'import';
use PostgreSQL::Test::Utils;
use AnnTest qw(random_below);

our @EXPORT_OK = qw(pick u16 damage run_damaged);

use constant { PAGE => 8192, HEADER => 24, TAIL => 8184 };

sub pick { return $_[ random_below(scalar @_) ]; }
sub u16 { return unpack('v', substr($_[0], $_[1], 2)); }
sub random_bytes { return join('', map { chr(random_below(256)) } 1 .. $_[0]); }

# Numbers that bounds checks get wrong.
sub number { return pick(0, 1, 2, 8, 9, 255, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, random_below(60), random_below(2000), random_below(100000)); }

# Damages one page, or two; says what was done. `kinds`: names of the kinds of pages; `slots` gives bytes of a slot
# and slots of a page (its kind, the meta page, the page).
sub damage
{
	my ($pages, $kinds, $slots) = @_;
	my %of_kind;
	push @{ $of_kind{ u16($pages->[$_], TAIL) } }, $_ for 0 .. $#$pages;
	my $kind = pick(sort keys %of_kind);
	my $block = pick(@{ $of_kind{$kind} });
	my $where = "block $block of " . @$pages . " ($kinds->{$kind})";
	my $page = \$pages->[$block];
	my ($size, $count) = $slots->($kind, $pages->[0], $$page);
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

# Cases in rounds, each round in a copy of database `template`: one case after the other damages one of `files` (of
# index `index`) there and runs what `uses` gives for it, [ name, SQL ] each; without a name it is only run. `settings`: for all of a
# round. `damage` damages the pages and says how; `judge` is told what was done to the cases of a round and
# what came of them: { answer => , code =>, message => } by "case name". False: a statement did not end.
sub run_damaged
{
	my ($node, %of) = @_;
	my $done = 0;
	my $lost = 0;
	for (my $round = 0; $done < $of{cases} && !$lost; ++$round)
	{
		# A copy of the files: none of its pages is in shared buffers. A session that has just ended may still be in it.
		$node->poll_query_until('template1', "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$of{template}'") or die 'somebody uses the template';
		$node->safe_psql('template1', "CREATE DATABASE round$round TEMPLATE $of{template} STRATEGY file_copy");
		my $folder = $node->data_dir . '/base/' . $node->safe_psql('template1', "SELECT oid FROM pg_database WHERE datname = 'round$round'");
		my $script = "\\set VERBOSITY verbose\nSET client_min_messages = error; SET enable_seqscan = off; SET enable_sort = off;\n"
		  . "SET statement_timeout = '120s'; SET seed = " . $round % 100 / 100 . ";\n$of{settings}";
		my @what;
		for my $n (0 .. $#{ $of{files} })
		{
			last if $done++ == $of{cases};
			my $file = "$folder/$of{files}[$n]";
			my @pages = unpack('(a' . PAGE . ')*', slurp_file($file));
			my $what = $of{damage}->($n, \@pages);
			open(my $out, '>:raw', $file) or die "cannot write $file: $!";
			print $out @pages;
			close($out);
			push @what, $what;
			for ($of{uses}->($n)) { $script .= $_->[1] . ";\n" . ($_->[0] ? "\\echo END $#what $_->[0]: :SQLSTATE :LAST_ERROR_MESSAGE\n" : ''); }
		}
		my ($out, $errors);
		$node->psql("round$round", $script, on_error_stop => 0, stdout => \$out, stderr => \$errors,
			timeout => 600, timed_out => \$lost);
		my %came;
		$out .= "\n";
		while ($out =~ /\G(.*?)^END (\d+) (.+?): (\w{5}) ([^\n]*)\n/gms)
		{
			$came{"$2 $3"} = { answer => $1, code => $4, message => $5 };
		}
		$of{judge}->(\@what, \%came);
		$node->safe_psql('template1', "DROP DATABASE round$round WITH (FORCE)") unless $lost;
	}
	return !$lost;
}

1;
