# Range search on real embeddings with nothing set: of the rows within a radius an index finds at least 95 of 100, for each
# metric, whether none, one, some or all rows are within it, and it never gives one that is not; the same in order and
# while little memory is left.
use strict;
use warnings;
use Test::More;
use AnnTest qw(new_node load_base load_queries);

my $node = new_node('range');
load_base($node, 0, 6000);
load_queries($node, 16);
sub sql { return $node->safe_psql('postgres', $_[0]); }
sql('VACUUM ANALYZE base');

# For each query, where there are many of them only for some, the distance that so many rows are nearer than, and the truth.
sql(q{
CREATE FUNCTION found(q vector, op text, r float8, by_index bool, tail text) RETURNS TABLE (n bigint, id int, distance float8) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('enable_seqscan', (NOT by_index)::text, true), set_config('enable_indexscan', by_index::text, true), set_config('enable_sort', 'off', true);
  RETURN QUERY EXECUTE format('SELECT row_number() OVER (), id, d FROM (SELECT id, v %1$s $1 AS d FROM base WHERE v <%1$s> sphere($1, $2) %2$s) s', op, tail) USING q, r;
END $$;
CREATE TABLE radius (op text, q int, nth int, r float8, truth int[]);
INSERT INTO radius SELECT op, q.id, nth, d[nth + 1], (SELECT coalesce(array_agg(f.id), '{}') FROM found(q.v, op, d[nth + 1], false, '') f)
FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op, query q, unnest('{0,1,10,100,1000,5500}'::int[]) nth,
  LATERAL (SELECT array_agg(distance ORDER BY distance) AS d FROM (SELECT CASE op WHEN '<->' THEN v <-> q.v WHEN '<#>' THEN v <#> q.v WHEN '<=>' THEN v <=> q.v ELSE v <+> q.v END AS distance FROM base) s) t
WHERE nth < 1000 OR q.id < 2;
INSERT INTO radius SELECT op, q.id, 6000, 'Infinity', (SELECT array_agg(id) FROM base) FROM unnest('{<->,<#>,<=>,<+>}'::text[]) op, query q WHERE q.id < 2});

sub compare
{
	my ($name, $op, $settings, $tail) = @_;
	$tail //= '';
	my $said = sql(qq{$settings SELECT nth, sum(cardinality(truth)), coalesce(sum(hits)::float8 / nullif(sum(cardinality(truth)), 0), 1), sum(wrong), sum(twice), sum(backwards)
FROM radius JOIN query ON query.id = q, LATERAL (
  SELECT count(DISTINCT id) FILTER (WHERE within) AS hits, count(*) FILTER (WHERE NOT within) AS wrong, count(*) - count(DISTINCT id) AS twice,
    count(*) FILTER (WHERE distance < before - 1e-6 * greatest(1, abs(before))) AS backwards
  FROM (SELECT f.id, distance, lag(distance) OVER (ORDER BY n) AS before, t.id IS NOT NULL AS within
        FROM found(v, op, r, true, '$tail') f LEFT JOIN unnest(truth) t(id) ON t.id = f.id) g) h
WHERE op = '$op' GROUP BY nth ORDER BY nth});
	for my $line (split(/\n/, $said))
	{
		my ($nth, $rows, $recall, $wrong, $twice, $backwards) = split(/\|/, $line);
		my $floor = $nth == 6000 ? 1 : $nth == 1 ? 0.9 : 0.95;
		cmp_ok($recall, '>=', $floor, "$name: $rows rows within the radius of the $nth-th: recall $recall");
		is($wrong, 0, "$name: $nth: none that is not within");
		is($twice, 0, "$name: $nth: none twice");
		# Rows that are found late come last, in order: one step back for each of 16 queries at most.
		cmp_ok($backwards, '<=', 16, "$name: $nth: in order") if $tail ne '';
	}
	return;
}

my %metrics = ('<->' => 'l2', '<#>' => 'ip', '<=>' => 'cosine', '<+>' => 'l1');
for my $op (sort keys %metrics)
{
	sql("CREATE INDEX base_v ON base USING hnsw (v vector_$metrics{$op}_ops)");
	compare("hnsw $metrics{$op}", $op, '');
	if ($op eq '<=>')
	{
		compare('hnsw ordered', $op, '', "ORDER BY v $op \$1");
		compare('hnsw, little memory', $op, "SET work_mem = '64kB';");
	}
	sql('DROP INDEX base_v');
	next if $op eq '<+>';
	sql("CREATE INDEX base_v ON base USING ivf (v vector_$metrics{$op}_ops)");
	compare("ivf $metrics{$op}", $op, '');
	if ($op eq '<->')
	{
		compare('ivf ordered', $op, '', "ORDER BY v $op \$1");
		compare('ivf, little memory', $op, "SET work_mem = '64kB';");
		compare('ivf, so many lists at once', $op, 'SET ivf.probes = 80;');
	}
	sql('DROP INDEX base_v');
}
sql("CREATE INDEX base_v ON base USING ivfflat (v vector_l2_ops)");
compare('ivfflat, all lists', '<->', 'SET ivfflat.probes = 100;');

$node->stop;
done_testing();
