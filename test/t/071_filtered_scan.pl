# With conditions on columns of the index, scans of real embeddings find the nearest rows that pass at
# every selectivity, whether what passes lies anywhere, around the queries, or far from them; and give
# all rows there are.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall is_intact);

my $node = new_node('filtered');
load_base($node, 0, 10000);
load_queries($node, 40);
$node->safe_psql('postgres', q{
ALTER TABLE base ADD COLUMN anywhere int, ADD COLUMN around int;
CREATE TABLE centre AS SELECT v FROM base WHERE id = 17;
UPDATE base SET anywhere = (id::bigint * 7919) % 10007, around = r.place
  FROM (SELECT id AS row, row_number() OVER (ORDER BY v <=> (SELECT v FROM centre), id) AS place FROM base) r
  WHERE id = r.row;
CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops, anywhere, around);
VACUUM ANALYZE base;
CREATE TABLE close AS SELECT id, v FROM base WHERE around <= 60 AND around % 3 = 1});

my %filters = (
	anywhere => sub { "anywhere < $_[0]" },
	around => sub { "around <= $_[0]" },
	away => sub { 'around > ' . (10000 - $_[0]) },
	both => sub { "anywhere < $_[0] AND around > 0 AND anywhere IS NOT NULL" });

sub check_all
{
	my ($when) = @_;
	for my $filter (sort keys %filters)
	{
		my $queries = $filter =~ /^a(round|way)$/ ? 'close' : 'query';
		for my $rows (5000, 1000, 100, 10, 1)
		{
			my $where = $filters{$filter}->($rows);
			$node->safe_psql('postgres', "CREATE OR REPLACE VIEW passing AS SELECT id, v FROM base WHERE $where");
			# Rows that a later round finds nearer than one given already come at the end.
			is($node->safe_psql('postgres', q{SELECT a.lacking, a.again, least(a.backwards, 1) = a.backwards, f.backwards
FROM (SELECT v FROM query WHERE id = 3) q, lost('passing', '<=>', v) a, lost('passing', '<=>', v, 10) f}),
				'0|0|t|0', "$when, $where: all rows, each once, the first in order");
			# Of few rows all were asked for above; which of equal ones is the tenth, rounding decides.
			next if $rows <= 10;
			my $recall = recall($node, 'passing', '<=>', 10, $queries);
			cmp_ok($recall, '>=', 0.95, "$when, $where: recall\@10 $recall");
		}
	}
	return is_intact($node, 'base_v', "$when: intact");
}

like($node->safe_psql('postgres', q{SET enable_seqscan = off; SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM base WHERE anywhere < 100 ORDER BY v <=> (SELECT v FROM centre) LIMIT 10}),
	qr/Index Scan using base_v.*\n +Index Cond: \(anywhere < 100\)/, 'the index sees the condition');
check_all('built');

# A third comes anew and gets other values; copies of vectors have values of their own.
$node->safe_psql('postgres', q{
DELETE FROM base WHERE id % 3 = 1;
VACUUM base;
INSERT INTO base SELECT 20000 + id, v, 10007 - anywhere, around FROM base WHERE id % 3 = 2;
UPDATE base SET anywhere = (anywhere + 3000) % 10007 WHERE id % 3 = 0;
VACUUM ANALYZE base});
check_all('after writes');

my $first = 'SET enable_seqscan = off; SET enable_sort = off; SELECT count(*) FROM (SELECT id FROM base WHERE %s ORDER BY v <=> (SELECT v FROM centre)%s) f';
sub count_of { return $node->safe_psql('postgres', $_[0] . '; ' . sprintf($first, $_[1], $_[2] // '')) }

is(count_of('SET hnsw.iterative_scan = relaxed_order', 'anywhere < 300'),
	$node->safe_psql('postgres', 'SELECT count(*) FROM base WHERE anywhere < 300'), 'relaxed order gives all');
is(count_of('SET work_mem = 64', 'anywhere < 5000'),
	$node->safe_psql('postgres', 'SELECT count(*) FROM base WHERE anywhere < 5000'), 'so does little memory');
is(count_of('SET plan_cache_mode = auto', 'anywhere < 5 AND anywhere > 7'), 0, 'nothing passes a contradiction');
for my $passing (100, 5000)
{
	my $rows = count_of('SET hnsw.iterative_scan = off; SET hnsw.ef_search = 20', "anywhere < $passing");
	cmp_ok($rows, '>=', 20, "off, anywhere < $passing: as many as ef_search, $rows rows");
	# A node gives all its rows that pass.
	cmp_ok($rows, '<=', 40, "off, anywhere < $passing: no more than ef_search nodes");
}

# A query without distances: rows in no order, all of them.
is($node->safe_psql('postgres', q{SET enable_seqscan = off; SET enable_sort = off;
SELECT count(*) = (SELECT count(*) FROM base WHERE anywhere < 1000) FROM
(SELECT id FROM base WHERE anywhere < 1000 ORDER BY v <=> NULL::vector) f}), 't', 'without distances: all');

$node->stop;
done_testing();
