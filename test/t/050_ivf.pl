# ivf with nothing set finds at least 95 of 100 nearest neighbours of real embeddings, with each quantizer and
# for each metric, in order, each row once; also when its rows came later, or went.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries recall is_intact);

my $node = new_node('ivf');
load_base($node, 0, 10000);
load_queries($node, 100);
my %operators = (l2 => '<->', ip => '<#>', cosine => '<=>');
sub sql { return $node->safe_psql('postgres', $_[0]); }

# The first `dims` dimensions of the first `rows` rows as table `name`, with how far the 10th and the 100th true neighbours of
# the queries are.
sub make_table
{
	my ($name, $rows, $dims) = @_;
	sql(qq{
CREATE TABLE $name AS SELECT id, subvector(v, 1, $dims)::vector($dims) AS v FROM base WHERE id < $rows;
CREATE TABLE ${name}_query AS SELECT id, subvector(v, 1, $dims)::vector($dims) AS v FROM query;
VACUUM ANALYZE $name;
CREATE TABLE ${name}_truth (op text, id int, near float8, far float8);} . join('', map { qq{
INSERT INTO ${name}_truth SELECT '$_', q.id, d[10], d[100] FROM ${name}_query q,
  LATERAL (SELECT array_agg(d) AS d FROM (SELECT v $_ q.v AS d FROM $name ORDER BY 1 LIMIT 100) r) s;} } values %operators));
	return;
}

# Shares of the 10 and of the 100 rows found that are as near as the truth, and rows out of order
sub found
{
	my ($name, $op, $settings) = @_;
	return split /\|/, sql(qq{SET enable_seqscan = off; SET enable_sort = off; $settings
SELECT round(avg((SELECT count(*) FROM (SELECT v $op q.v AS d FROM $name ORDER BY v $op q.v LIMIT 10) r WHERE d <= near)) / 10, 3),
  round(avg(f.hits) / 100, 3), sum(f.backwards)
FROM ${name}_query q JOIN ${name}_truth t ON t.id = q.id AND t.op = '$op',
  LATERAL (SELECT count(*) FILTER (WHERE d <= far) AS hits, count(*) FILTER (WHERE d < before - 1e-6 * greatest(1, abs(before))) AS backwards
    FROM (SELECT d, lag(d) OVER () AS before FROM (SELECT v $op q.v AS d FROM $name ORDER BY v $op q.v LIMIT 100) r) s) f});
}

sub every_row_once
{
	my ($table, $op, $name) = @_;
	return is(sql("SET ivfflat.iterative_scan = strict_order; SELECT lacking, again FROM lost('$table', '$op', (SELECT v FROM $table WHERE id = 1))"), '0|0', "$name: every row once");
}

sub try_index
{
	my ($table, $metric, $index, $settings, $floor10, $floor100) = @_;
	my ($method, $options) = split / /, $index, 2;
	my ($op, $name) = ($operators{$metric}, "$table, $metric, $index");
	sql("CREATE INDEX ${table}_v ON $table USING $method (v vector_${metric}_ops)" . ($options ? " WITH ($options)" : ''));
	my ($ten, $hundred, $backwards) = found($table, $op, $settings);
	cmp_ok($ten, '>=', $floor10, "$name: recall\@10 $ten");
	cmp_ok($hundred, '>=', $floor100, "$name: recall\@100 $hundred");
	is($backwards, 0, "$name: rows in order");
	every_row_once($table, $op, $name);
	is_intact($node, "${table}_v", "$name: intact");
	return $name;
}

# --- nothing set, and few lists ---------------------------------------------------------------------------
make_table('whole', 10000, 384);
make_table('part', 4000, 100);
for my $case (
	[ 'l2', 'ivf' ], [ 'ip', 'ivf' ], [ 'cosine', 'ivf' ], [ 'cosine', 'ivf rerank = heap' ], [ 'ip', 'ivf quantizer = sq8' ],
	[ 'l2', 'ivf quantizer = pq' ], [ 'cosine', 'ivf quantizer = pq, pq_bits = 8, pq_segments = 48' ], [ 'cosine', 'ivf quantizer = flat, lists = 50' ])
{
	my ($metric, $index) = @$case;
	my $name = try_index('whole', $metric, $index, '', 0.95, 0.9);
	my ($ten) = found('whole', $operators{$metric}, 'SET ivf.probes = 16;');
	cmp_ok($ten, '>=', 0.7, "$name: recall\@10 $ten of 16 lists");
	sql('DROP INDEX whole_v');
}
for my $metric (sort keys %operators)
{
	for my $index ('ivf lists = 40', 'ivf lists = 40, rabitq_bits = 4', 'ivf lists = 40, rerank = heap', 'ivf lists = 40, quantizer = sq8',
		'ivf lists = 40, quantizer = pq', 'ivf lists = 40, quantizer = pq, rerank = index', 'ivf lists = 40, quantizer = pq, pq_bits = 8',
		'ivf lists = 40, quantizer = pq, pq_bits = 8, pq_segments = 10, rerank = index', 'ivf lists = 40, quantizer = flat', 'ivfflat lists = 40')
	{
		# ivfflat, as pgvector's, goes no further than it is told.
		try_index('part', $metric, $index, 'SET ivf.probes = 32; SET ivfflat.probes = 32; SET ivfflat.iterative_scan = strict_order;', 0.95, 0.9);
		sql('DROP INDEX part_v');
	}
}

# --- codes of 96 bytes for vectors of 1,536: a 16th ----------------------------------------------------------
sql('CREATE INDEX whole_v ON whole USING ivf (v vector_l2_ops) WITH (lists = 50, quantizer = pq, pq_bits = 8, pq_segments = 96, rerank = heap)');
my ($ten) = found('whole', '<->', 'SET ivf.probes = 40;');
cmp_ok($ten, '>=', 0.95, "pq at a 16th of the bytes: recall\@10 $ten");
my $bytes = sql(q{SELECT (pg_relation_size('whole_v') - 8192 * 50 - 4 * 384 * (50 + 256)) / 10000});
cmp_ok($bytes, '<=', 1536 / 12, "pq at a 16th of the bytes: $bytes bytes a row, without half empty pages and what is in memory");
sql('DROP INDEX whole_v');

# --- ivfflat, as pgvector's: one list is looked at, and no more ----------------------------------------------
sql('CREATE INDEX whole_v ON whole USING ivfflat (v vector_cosine_ops) WITH (lists = 100)');
my ($one) = found('whole', '<=>', '');
cmp_ok($one, '<', 0.9, "ivfflat: recall\@10 $one of one list");
my ($all) = found('whole', '<=>', 'SET ivfflat.probes = 100;');
cmp_ok($all, '>=', 0.999, "ivfflat: recall\@10 $all of all lists");

# --- rows that came one by one; vacuum finds lists for them --------------------------------------------------
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

# --- rows come and go --------------------------------------------------------------------------------------
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
