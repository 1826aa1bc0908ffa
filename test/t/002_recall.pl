# With nothing set, an index over real embeddings finds at least 95 of 100 nearest neighbours, for each
# metric, and returns them in order.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall unordered is_intact);

my $node = new_node('recall');
load_base($node, 0, 10000);
load_queries($node, 200);
$node->safe_psql('postgres', 'VACUUM ANALYZE base');

my %operators = (l2 => '<->', ip => '<#>', cosine => '<=>', l1 => '<+>');
for my $metric (qw(l2 ip cosine l1))
{
	$node->safe_psql('postgres', "CREATE INDEX base_v ON base USING hnsw (v vector_${metric}_ops)");
	my $recall = recall($node, 'base', $operators{$metric}, 10);
	cmp_ok($recall, '>=', 0.95, "$metric: recall\@10 $recall");
	$recall = recall($node, 'base', $operators{$metric}, 100);
	cmp_ok($recall, '>=', 0.9, "$metric: recall\@100 $recall");
	is(unordered($node, 'base', $operators{$metric}, 50), 0, "$metric: rows in order");
	is_intact($node, 'base_v', "$metric: intact");
	$node->safe_psql('postgres', 'DROP INDEX base_v');
}

# Rows that came one by one are found as well as those that were there first.
$node->safe_psql('postgres', q{
CREATE TABLE later (LIKE base);
CREATE INDEX later_v ON later USING hnsw (v vector_cosine_ops);
INSERT INTO later SELECT * FROM base WHERE id < 4000});
my $recall = recall($node, 'later', '<=>', 10);
cmp_ok($recall, '>=', 0.95, "from an empty table: recall\@10 $recall");
is(unordered($node, 'later', '<=>', 50), 0, 'from an empty table: rows in order');
is_intact($node, 'later_v', 'from an empty table: intact');

$node->stop;
done_testing();
