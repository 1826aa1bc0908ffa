# ann_recall on real data is what an exact sort and the query itself say, row by row.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base no_crash);

my $node = new_node('own_recall');
load_base($node, 0, 1500);
$node->safe_psql('postgres', 'ALTER TABLE base ADD part int; UPDATE base SET part = id % 4; VACUUM ANALYZE base');

# The recall of every row's query, that row left out.
sub recall_by_sort
{
	my ($op, $k, $settings) = @_;
	$node->safe_psql('postgres', qq{
SET enable_indexscan = off;
CREATE TABLE farthest AS SELECT q.id, q.v, (SELECT max(d) FROM (SELECT b.v $op q.v AS d FROM base b WHERE b.id <> q.id ORDER BY 1 LIMIT $k) e) AS d FROM base q;
});
	my $recall = $node->safe_psql('postgres', qq{
SET enable_seqscan = off;
$settings;
SELECT round(avg((SELECT count(*) FROM (SELECT d FROM (SELECT b.id, b.v $op q.v AS d FROM base b ORDER BY b.v $op q.v LIMIT $k + 1) n WHERE id <> q.id LIMIT $k) n
  WHERE d <= q.d + 1e-6)) / $k, 4) FROM farthest q});
	$node->safe_psql('postgres', 'DROP TABLE farthest');
	return $recall;
}

my %operators = (l2 => '<->', ip => '<#>', cosine => '<=>');
for my $case (
	[ 'hnsw', 'cosine', 'WITH (m = 4, ef_construction = 16)', 10, 'SET hnsw.ef_search = 12' ],
	[ 'hnsw', 'ip', '', 100, 'SET hnsw.ef_search = 40; SET hnsw.iterative_scan = off' ],
	[ 'ivf', 'l2', 'WITH (lists = 40)', 10, 'SET ivf.probes = 3' ],
	[ 'ivfflat', 'cosine', 'WITH (lists = 40)', 50, 'SET ivfflat.probes = 2' ])
{
	my ($method, $metric, $options, $k, $settings) = @$case;
	$node->safe_psql('postgres', "CREATE INDEX base_v ON base USING $method (v vector_${metric}_ops) $options");
	my $expected = recall_by_sort($operators{$metric}, $k, $settings);
	my ($recall, $low, $high, $queries) =
	  split(/\|/, $node->safe_psql('postgres', "$settings; SELECT round(recall::numeric, 4), recall_low, recall_high, queries FROM ann_recall('base_v', $k, 10000)"));
	is($queries, 1500, "$method, $metric: all rows are the sample");
	# Texts that are nearly equal may change places by rounding.
	cmp_ok(abs($recall - $expected), '<=', 0.0005, "$method, $metric: recall\@$k $recall is $expected");
	cmp_ok($recall, '<', 1, "$method, $metric: there is something to miss");
	my ($part, $part_low, $part_high) =
	  split(/\|/, $node->safe_psql('postgres', "$settings; SELECT recall, recall_low, recall_high FROM ann_recall('base_v', $k, 100)"));
	cmp_ok($part_low - 0.03, '<=', $recall, "$method, $metric: 100 rows say at least $part_low");
	cmp_ok($part_high + 0.03, '>=', $recall, "$method, $metric: and at most $part_high");
	cmp_ok($part_high - $part_low, '>', $high - $low, "$method, $metric: less surely than all");
	$node->safe_psql('postgres', 'DROP INDEX base_v');
}

# With nothing set an index finds what it promises.
$node->safe_psql('postgres', 'CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops, part)');
my $low = $node->safe_psql('postgres', "SELECT recall_low FROM ann_recall('base_v', 10, 10000)");
cmp_ok($low, '>=', 0.95, "with nothing set: at least $low");

# It may be cancelled.
my ($rc, $out, $err) = $node->psql('postgres', "SET statement_timeout = 1; SELECT ann_recall('base_v', 1000, 10000)");
like($err, qr/canceling statement due to statement timeout/, 'cancelled');
no_crash($node, 'no backend died');
$node->stop;
done_testing();
