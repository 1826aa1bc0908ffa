# Who links to whom, read from the pages: what an insert writes into its own list, who links back and what
# gives way to that; what a vacuum does for nodes that no list names any more.
#
# The rows lie on a line: codes of one dimension are exact, so all that is decided here is known beforehand.
use strict;
use warnings;
use Test::More;
use PostgreSQL::Test::Utils;
use AnnTest qw(new_node is_intact no_crash seed_random random_below);

my $node = new_node('links', "ann.simd_target = portable\n");
sub sql { return $node->safe_psql('postgres', $_[0]); }
sub stat_of { return sql("SELECT $_[0] FROM ann_index_stats('t_v')"); }

# The lists of the live nodes of t_v, by row: { id => [ids] }. The file is read after a checkpoint
# (src/format/README.md).
sub lists
{
	my $path = $node->data_dir . '/' . sql(q{CHECKPOINT; SELECT pg_relation_filepath('t_v')});
	my %row = map { split /\|/ } split /\n/, sql('SELECT ctid, id FROM t');
	my (@nodes, $bytes, $slots, $links);
	my $file = slurp_file($path);
	for my $page (unpack '(a8192)*', $file)
	{
		if (!defined $bytes)
		{
			my $m = unpack 'v', substr($page, 24 + 10, 2);
			($bytes, $slots) = unpack 'v2', substr($page, 24 + 20, 4);
			$links = $bytes - 8 * $m;
		}
		next if unpack('v', substr($page, 8184, 2)) != 2;
		for my $slot (unpack "(a$bytes)$slots", substr($page, 24))
		{
			my ($state, undef, $high, $low, $place, $n) = unpack 'C x a2 v3 v', $slot;
			my $id = $state == 1 ? $row{ '(' . ($high << 16 | $low) . ",$place)" } : undef;
			push @nodes, [ $id, [ unpack "V$n", substr($slot, $links) ] ];
		}
	}
	my %lists;
	for my $entry (grep { defined $_->[0] } @nodes)
	{
		$lists{ $entry->[0] } = [ map { $nodes[$_][0] // 'gone' } @{ $entry->[1] } ];
	}
	return \%lists;
}

# Who holds row `id`, in order
sub holders
{
	my ($lists, $id) = @_;
	return join ' ', sort { $a <=> $b } grep { grep { $_ eq $id } @{ $lists->{$_} } } keys %$lists;
}

sub insert { return "INSERT INTO t VALUES " . join(', ', map { "($_, '[$_]')" } @_); }

# An index of its own for rows in `columns` dimensions
sub start
{
	my ($columns, $class, $with) = @_;
	sql("DROP TABLE IF EXISTS t; CREATE TABLE t (id int, v vector($columns)); CREATE INDEX t_v ON t USING hnsw (v $class) WITH ($with)");
	return;
}

# The nodes that no list names
sub unheld
{
	my ($lists) = @_;
	my %held = map { $_ => 1 } map { @$_ } values %$lists;
	return join ' ', grep { !$held{$_} } sort { $a <=> $b } keys %$lists;
}

# Passes when row `id`, just inserted between others, is linked as it should be. `before`: the lists until then.
# Its list has seven: the nearest on either side, and the next nearest. Only these two gain by a link to it, so only
# they hold it; each that was full gave up one for it, and nobody was given up by both.
sub is_linked
{
	my ($before, $id) = @_;
	my $after = lists();
	my @near = sort { abs($a - $id) <=> abs($b - $id) } keys %$before;
	my ($left) = grep { $_ < $id } @near;
	my ($right) = grep { $_ > $id } @near;
	my @others = grep { $_ != $left && $_ != $right } @near;
	my @own = ($left, $right, @others[ 0 .. 4 ]);
	is_deeply([ sort { $a <=> $b } @{ $after->{$id} } ], [ sort { $a <=> $b } @own ], "row $id: its own list");
	is(holders($after, $id), "$left $right", "row $id: those hold it that gain by it");
	my %lost;
	for my $from (keys %$before)
	{
		my %now = map { $_ => 1 } @{ $after->{$from} };
		my @gone = grep { !$now{$_} } @{ $before->{$from} };
		$lost{$_}++ for @gone;
		# The farthest that is nearer to another in the list than to whose list it is, or to the new row.
		is("@gone", ($from == $left || $from == $right) && @{ $before->{$from} } == 8 ? farthest_occluded($before->{$from}, $from, $id) : '', "row $id: what gives way to it in the list of $from")
		  if @gone || $from == $left || $from == $right;
	}
	is(join(' ', grep { $lost{$_} > 1 } keys %lost), '', "row $id: nobody lost two links");
	return;
}

sub farthest_occluded
{
	my ($list, $from, $new) = @_;
	for my $one (sort { abs($b - $from) <=> abs($a - $from) } @$list)
	{
		return $one if grep { $_ != $one && abs($_ - $one) < abs($from - $one) && abs($_ - $from) < abs($from - $one) } @$list, $new;
	}
	return '';
}

# --- inserts ------------------------------------------------------------------------------------------------
# Forty rows, and one far from all others, beyond the 16 that an insert looks at.
seed_random(1);
my $at = 0;
my @places = map { $at += 10 + random_below(40) } 1 .. 40;
my $far = 20000;
# At the end of the line only the last one gains; one with room, the next, makes up the number of m / 4.
start(1, 'vector_l2_ops', 'm = 8, ef_construction = 16');
sql(insert(@places[ 0 .. 5 ]));
is(holders(lists(), $places[5]), "$places[3] $places[4]", 'where few gain, a list with room takes the row');
start(1, 'vector_l2_ops', 'm = 4, ef_construction = 16');
sql(insert(@places, $far));
my $first = lists();
is(scalar(keys %$first), 41, 'the lists of all rows are read');
is(holders($first, $far), $places[-1], 'the nearest holds the row that is far');
for my $i (4, 9, 16, 23, 27, 31)
{
	my $before = lists();
	my $between = int(($places[$i] * 3 + $places[ $i + 1 ] * 2) / 5);
	sql(insert($between));
	is_linked($before, $between);
}

# Each of these is nearer to the far row than the one that holds it, and does not know of it.
my ($holder) = split / /, holders(lists(), $far);
sql(insert(map { $places[-1] + 5 * $_ } 1 .. 12));
like(holders(lists(), $far), qr/\b$holder\b/, 'the nearest that holds a row never lets it go');
is(stat_of('unreachable'), 0, 'walks reach every row');
is_intact($node, 't_v', 'after inserts: intact');

# --- inner product ------------------------------------------------------------------------------------------
# Queries lie apart from the rows, so what these gain by a link among themselves does not count: the nearest m link back,
# and the row's own list keeps room for later ones.
start(1, 'vector_ip_ops', 'm = 4, ef_construction = 16');
sql(insert(map { 1000 + 20 * $_ } 0 .. 40));
for my $between (1187, 1313, 1529)
{
	my $before = lists();
	my @near = sort { abs($a - $between) <=> abs($b - $between) } keys %$before;
	sql(insert($between));
	my $after = lists();
	is(holders($after, $between), join(' ', sort { $a <=> $b } @near[ 0 .. 3 ]), "row $between: the nearest m link back under inner product");
	is_deeply([ sort { $a <=> $b } @{ $after->{$between} } ], [ sort { $a <=> $b } @near[ 0 .. 5 ] ], "row $between: m and half of m are in its own list");
}

# --- a vacuum -----------------------------------------------------------------------------------------------
# Lists of four, of which two thirds of the members die: nodes are left that no other names, or that only such nodes name.
# A neighbour takes each in, in the place of one that is met on another way.
for my $seed (1 .. 4)
{
	start(8, 'vector_l2_ops', 'm = 2, ef_construction = 16');
	sql("SELECT setseed(0.01 * $seed); INSERT INTO t SELECT i, random_vector(8 + 0 * i) FROM generate_series(1, 600) i; REINDEX INDEX t_v");
	is(unheld(lists()), '', "seed $seed: every row is held");
	sql('DELETE FROM t WHERE id % 3 > 0; VACUUM (INDEX_CLEANUP ON) t');
	is(unheld(lists()), '', "seed $seed: every row is held after the vacuum");
	is(stat_of('unreachable'), 0, "seed $seed: and walks reach it");
	is_intact($node, 't_v', "seed $seed: intact after the vacuum");
}

# A node that nobody takes in is linked by a search, and pushes others out of full lists: that they are in other lists is not
# enough, as walks may have come to these only this way. These graphs are such that it happens.
for my $seed (0.118, 0.182, 0.254, 0.283)
{
	start(16, 'vector_l2_ops', 'm = 2, ef_construction = 16');
	sql("SELECT setseed($seed); INSERT INTO t SELECT i, random_vector(16 + 0 * i) FROM generate_series(1, 1500) i; REINDEX INDEX t_v");
	sql('DELETE FROM t WHERE id % 2 = 0; VACUUM (INDEX_CLEANUP ON) t');
	is(stat_of('unreachable'), 0, "graph $seed: walks reach every row after the vacuum");
	is_intact($node, 't_v', "graph $seed: intact after the vacuum");
}

# --- pages -------------------------------------------------------------------------------------------------
# All is on one page, so an insert makes one change for the links back.
start(1, 'vector_l2_ops', 'm = 16');
sql(insert(1, 20, 30, 50));
my ($rc, $out, $err) = $node->psql('postgres', 'SET ann.trace_units = on; ' . insert(24));
is(stat_of('node_pages, upper_records'), '1|0', 'five rows on one page');
is(holders(lists(), 24), '1 20 30 50', 'four link back to the last');
my @units = $err =~ m{NOTICE:\s+unit \d+: \S*?src/hnsw/(\w+)\.[ch]pp:\d+}g;
is("@units", 'hnsw_insert hnsw_backlinks', 'the row, then all links back to it in one change');

# --- a star -------------------------------------------------------------------------------------------------
# Rows on the axes, all about as far from each other as they are from 0 twice: none occludes another. What is
# longer comes later.
sub axis
{
	my ($i) = @_;
	my @v = (0) x 24;
	$v[ $i % 24 ] = ($i < 24 ? 1 : -1) * (100 + $i / 2);
	return "INSERT INTO t VALUES ($i, '[" . join(',', @v) . "]')";
}
my $centre = q{INSERT INTO t VALUES (1000, array_fill(0::real, ARRAY[24])::vector)};
start(24, 'vector_l1_ops', 'm = 4, ef_construction = 64');
sql(join('; ', map { axis($_) } 0 .. 5));
sql($centre);
is(holders(lists(), 1000), '0 1 2 3', 'of six that gain, m link back: the nearest');

# When all lists are full, nobody gains by a row further out and nothing occluded is nearer than it.
start(24, 'vector_l1_ops', 'm = 4, ef_construction = 64');
sql($centre);
sql(join('; ', map { axis($_) } 0 .. 47));
is(unheld(lists()), '', 'some list is made to take a row that nobody gains by');
is(stat_of('unreachable'), 0, 'walks reach every row of the star');

no_crash($node, 'no backend died');
$node->stop;
done_testing();
