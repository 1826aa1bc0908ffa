# ivf with nothing set finds at least 95 of 100 nearest neighbours of real embeddings, with each quantizer and
# for each metric, in order, each row once; also when its rows came later, or went.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall unordered is_intact);

my $node = new_node('ivf');
load_base($node, 0, 10000);
load_queries($node, 100);
$node->safe_psql('postgres', 'VACUUM ANALYZE base');

sub every_row_once
{
	my ($table, $op, $name) = @_;
	return is($node->safe_psql('postgres', "SELECT lacking, again FROM lost('$table', '$op', (SELECT v FROM query WHERE id = 0))"),
		'0|0', "$name: every row once");
}

my %operators = (l2 => '<->', ip => '<#>', cosine => '<=>');
for my $case (
	[ 'l2', '' ], [ 'ip', '' ], [ 'cosine', '' ],
	[ 'cosine', 'rerank = heap' ], [ 'ip', 'quantizer = sq8' ], [ 'l2', 'quantizer = pq' ],
	[ 'cosine', 'quantizer = pq, pq_bits = 8, pq_segments = 48' ], [ 'cosine', 'quantizer = flat, lists = 50' ])
{
	my ($metric, $options) = @$case;
	my ($op, $name) = ($operators{$metric}, "$metric $options");
	my $with = $options ? "WITH ($options)" : '';
	$node->safe_psql('postgres', "CREATE INDEX base_v ON base USING ivf (v vector_${metric}_ops) $with");
	my $recall = recall($node, 'base', $op, 10);
	cmp_ok($recall, '>=', 0.95, "$name: recall\@10 $recall");
	$recall = recall($node, 'base', $op, 100);
	cmp_ok($recall, '>=', 0.9, "$name: recall\@100 $recall");
	is(unordered($node, 'base', $op, 50), 0, "$name: rows in order");
	every_row_once('base', $op, $name);
	is_intact($node, 'base_v', "$name: intact");
	$node->safe_psql('postgres', 'DROP INDEX base_v');
}

# As pgvector's: one list is looked at, and no more.
$node->safe_psql('postgres', 'CREATE INDEX base_v ON base USING ivfflat (v vector_cosine_ops) WITH (lists = 100)');
my $one = recall($node, 'base', '<=>', 10);
cmp_ok($one, '<', 0.9, "ivfflat: recall\@10 $one of one list");
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET ivfflat.probes = 100});
my $all = recall($node, 'base', '<=>', 10);
cmp_ok($all, '>=', 0.999, "ivfflat: recall\@10 $all of all lists");
$node->safe_psql('postgres', 'DROP INDEX base_v');

# Rows that came one by one; vacuum finds lists for them.
$node->safe_psql('postgres', q{
CREATE TABLE later (LIKE base);
CREATE INDEX later_v ON later USING ivf (v vector_cosine_ops);
INSERT INTO later SELECT * FROM base WHERE id < 5000});
is($node->safe_psql('postgres', q{SELECT lists FROM ann_index_stats('later_v')}), 1, 'from an empty table: one list');
my $recall = recall($node, 'later', '<=>', 10);
cmp_ok($recall, '>=', 0.99, "one list: recall\@10 $recall");
$node->safe_psql('postgres', 'VACUUM later');
cmp_ok($node->safe_psql('postgres', q{SELECT lists FROM ann_index_stats('later_v')}), '>', 100, 'vacuum: more lists');
$recall = recall($node, 'later', '<=>', 10);
cmp_ok($recall, '>=', 0.94, "after vacuum: recall\@10 $recall");
is_intact($node, 'later_v', 'after vacuum: intact');
every_row_once('later', '<=>', 'after vacuum');

# Rows come and go.
for my $round (1 .. 3)
{
	$node->safe_psql('postgres', qq{
DELETE FROM later WHERE id % 4 <> $round;
VACUUM later;
INSERT INTO later SELECT * FROM base WHERE id < 5000 AND id % 4 <> $round;
UPDATE later SET v = v WHERE id % 10 = $round});
	is_intact($node, 'later_v', "round $round: intact");
	every_row_once('later', '<=>', "round $round");
}
$node->safe_psql('postgres', 'VACUUM later');
my $size = $node->safe_psql('postgres', q{SELECT pg_relation_size('later_v')});
$node->safe_psql('postgres', 'REINDEX INDEX later_v');
my $fresh = $node->safe_psql('postgres', q{SELECT pg_relation_size('later_v')});
cmp_ok($size, '<', 8 * $fresh, "pages are used again: $size bytes, fresh $fresh");

$node->stop;
done_testing();
