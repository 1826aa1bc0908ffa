# An insert that appends pages to a list of an ivf index dies before the list has them: the pages are there and nothing
# leads to them. After recovery the index is intact and every committed row is found; without a vacuum the file grows as
# if the pages were lost, and after one it is no larger than if nothing had died: they are used again.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node);
use AnnUnits qw(start_units act die_after);

my $node = new_node('ivf_append', "restart_after_crash = on\nmax_parallel_maintenance_workers = 0\nann.simd_target = portable\n");
sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(q{
SELECT setseed(0.5);
CREATE TABLE pool AS SELECT i AS id, random_vector(64 + 0 * i) AS v FROM generate_series(1, 400) i;
CREATE VIEW wide AS SELECT id, (array_cat(v::real[], array_fill(0.5::real, ARRAY[4936])))::vector(5000) AS v FROM pool;
CREATE FUNCTION pages() RETURNS bigint LANGUAGE sql AS $$ SELECT pg_relation_size('t_v'::text::regclass) / current_setting('block_size')::int $$;
CREATE FUNCTION differ(name text, is_now bigint, wanted bigint) RETURNS text LANGUAGE sql AS
  $$ SELECT CASE WHEN is_now <> wanted THEN format('%s: %s, not %s', name, is_now, wanted) ELSE '' END $$;
-- what is wrong with t and its index, when t should have so many rows: '' is nothing
CREATE FUNCTION assess(wanted bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  l record;
BEGIN
  PERFORM ann_index_check('t_v');
  l := lost('t', '<->', (SELECT v FROM t WHERE id = 1));
  RETURN concat_ws(' ', nullif(l.lacking, 0) || ' lacking', nullif(l.again, 0) || ' again', nullif(differ('rows', (SELECT count(*) FROM t), wanted), ''));
EXCEPTION WHEN index_corrupted THEN
  RETURN SQLERRM;
END $$});

# Of a scenario: what the insert of row `at` finds, and what it leaves to be found when it dies.
start_units($node, sub {
	my ($scenario) = @_;
	my $vacuum = $scenario->{vacuumed} ? 'VACUUM (INDEX_CLEANUP ON) t;' : '';
	my $pages = $scenario->{pages} + ($scenario->{vacuumed} ? 0 : $scenario->{orphans});
	return qq{
SELECT assess($scenario->{at} - 1);
$vacuum
SELECT assess($scenario->{at} - 1);
INSERT INTO t SELECT * FROM $scenario->{pool} WHERE id = $scenario->{at};
SELECT assess($scenario->{at});
SELECT differ('pages', pages(), $pages);};
});

# An index of one list, and which of its pages an insert takes (t) and writes (w), unit by unit: of the first insert that does so many,
# and how many pages are nobody's after each of them.
for my $variant (
	{ name => 'a code page', table => 'vector(64)', pool => 'pool', built => 10, with => 'quantizer = flat, lists = 1', units => 'tww', orphans => [ 1, 0 ] },
	{ name => 'a code page and a page of records', table => 'vector(64)', pool => 'pool', built => 10, with => 'lists = 1', units => 'twtw', orphans => [ 1, 0, 1 ] },
	{ name => 'a page of records', table => 'vector(64)', pool => 'pool', built => 10, with => 'lists = 1', units => 'tw', orphans => [1] },
	{ name => 'a record of three pages', table => 'vector(5000)', pool => 'wide', built => 2, with => 'quantizer = flat, lists = 1',
		units => 'tttwwww', orphans => [ 1, 2, 3, 3, 3, 3 ] })
{
	my $create = "CREATE TABLE t (id int, v $variant->{table}); INSERT INTO t SELECT * FROM $variant->{pool} WHERE id <= $variant->{built};"
	  . "CREATE INDEX t_v ON t USING ivf (v vector_l2_ops) WITH ($variant->{with});";
	my $insert = sub { return "INSERT INTO t SELECT * FROM $variant->{pool} WHERE id = $_[0];" };
	# Row by row, as the units of each are wanted.
	my ($rc, $out, $err) = act({ setup => $create, action => join('', map { $insert->($_) . "DO \$\$ BEGIN RAISE NOTICE 'row $_'; END \$\$;" } $variant->{built} + 1 .. 399) },
		'SET ann.trace_units = on');
	is($rc, 0, "$variant->{name}: inserted") or diag($err);
	my ($at, $units, @sites) = (0, '');
	for (split /\n/, $err)
	{
		if (/unit \d+: \S*?(src\/ivf\/ivf_(space|insert)\.cpp:\d+)/)
		{
			push @sites, $1;
			$units .= $2 eq 'space' ? 't' : 'w';
		}
		elsif (/NOTICE:\s+row (\d+)/)
		{
			$at = $1;
			last if $units eq $variant->{units};
			($units, @sites) = ('');
		}
	}
	is($units, $variant->{units}, "$variant->{name}: row $at has these units") or next;
	my %scenario = (%$variant, at => $at, setup => $create . join('', map { $insert->($_) } $variant->{built} + 1 .. $at - 1), action => $insert->($at), after => '');
	act(\%scenario, '');
	$scenario{pages} = sql('SELECT pages()');
	for my $n (1 .. @{ $variant->{orphans} })
	{
		for my $what ('backend', 'server')
		{
			for my $vacuumed (0, 1)
			{
				my $case = $vacuumed ? 'vacuumed' : 'not vacuumed';
				die_after({ %scenario, name => "$variant->{name}, $case", vacuumed => $vacuumed, orphans => $variant->{orphans}[ $n - 1 ] }, $n, $what, $sites[ $n - 1 ]);
			}
		}
	}
}
$node->stop;
done_testing();
