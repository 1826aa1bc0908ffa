# Random inserts, deletes, updates and vacuums leave an index as good as a fresh one.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall unordered is_intact);

my $node = new_node('churn');
load_base($node, 0, 10000);
load_queries($node, 200);
$node->safe_psql('postgres', q{
ALTER TABLE base RENAME TO pool;
CREATE TABLE base (id int PRIMARY KEY, v vector(384));
INSERT INTO base SELECT * FROM pool WHERE id < 5000;
CREATE INDEX base_v ON base USING hnsw (v vector_cosine_ops);
-- 600 queries: 200 leave a standard error of half the difference that counts here.
INSERT INTO query SELECT id, v FROM pool WHERE id >= 9600});

srand(42);
for my $round (1 .. 5)
{
	my $seed = rand();
	# A third goes, a thousand comes, a hundred change places; every second round no vacuum.
	$node->safe_psql('postgres', qq{
SELECT setseed($seed);
DELETE FROM base WHERE random() < 0.33;
INSERT INTO base SELECT * FROM pool p WHERE NOT EXISTS (SELECT FROM base b WHERE b.id = p.id)
  ORDER BY random() LIMIT 1700;
UPDATE base b SET v = p.v FROM pool p WHERE p.id = 10000 - b.id AND b.id % 50 = $round;
} . ($round % 2 ? '' : 'VACUUM base;'));
	is_intact($node, 'base_v', "round $round: intact");
	is($node->safe_psql('postgres', q{SELECT lacking, again FROM lost('base', '<=>', (SELECT v FROM query WHERE id = 0))}),
		'0|0', "round $round: every row is returned once");
}
$node->safe_psql('postgres', 'VACUUM base');
is_intact($node, 'base_v', 'after the last vacuum: intact');
is(unordered($node, 'base', '<=>', 50), 0, 'after the last vacuum: rows in order');
my $churned = recall($node, 'base', '<=>', 10);
$node->safe_psql('postgres', 'REINDEX INDEX base_v');
my $fresh = recall($node, 'base', '<=>', 10);
cmp_ok($churned, '>=', $fresh - 0.01, "recall\@10 after churn $churned, fresh $fresh");

# An index that lost everything and was filled again is no worse either.
$node->safe_psql('postgres', q{
DELETE FROM base;
VACUUM base;
INSERT INTO base SELECT * FROM pool WHERE id >= 6000});
my $refilled = recall($node, 'base', '<=>', 10);
is_intact($node, 'base_v', 'emptied and refilled: intact');
$node->safe_psql('postgres', 'REINDEX INDEX base_v');
$fresh = recall($node, 'base', '<=>', 10);
cmp_ok($refilled, '>=', $fresh - 0.01, "recall\@10 after refill $refilled, fresh $fresh");

# Space of deleted rows is used again.
my $size = $node->safe_psql('postgres', q{SELECT pg_relation_size('base_v')});
for my $round (1 .. 3)
{
	$node->safe_psql('postgres', q{
DELETE FROM base WHERE id % 2 = 0;
VACUUM base;
INSERT INTO base SELECT * FROM pool WHERE id >= 6000 AND id % 2 = 0;
VACUUM base});
}
my $later = $node->safe_psql('postgres', q{SELECT pg_relation_size('base_v')});
cmp_ok($later, '<=', 1.25 * $size, "$later bytes after three rounds of half the rows, $size before");
is_intact($node, 'base_v', 'slots used again: intact');

$node->stop;
done_testing();
