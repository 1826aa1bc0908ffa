-- avg(vector) and sum(vector).
SELECT avg(v), sum(v) FROM (VALUES ('[1,2,3]'::vector), ('[3,5,7]')) t(v);
SELECT avg(v), sum(v) FROM (VALUES ('[1,2,3]'::vector), (NULL), ('[3,5,7]'), (NULL)) t(v);
SELECT avg(v), sum(v) FROM (VALUES ('[1,2,3]'::vector)) t(v);
SELECT avg(v) IS NULL, sum(v) IS NULL FROM (VALUES (NULL::vector)) t(v);
SELECT avg(v) IS NULL, sum(v) IS NULL FROM (SELECT '[1]'::vector AS v WHERE false) t;
-- avg keeps its sums in double
SELECT avg(v) FROM (VALUES ('[3e38]'::vector), ('[3e38]')) t(v);
SELECT avg(v) FROM (VALUES ('[16777216]'::vector), ('[1]'), ('[1]'), ('[2]')) t(v);
SELECT g, avg(v), sum(v) FROM (SELECT i % 3 AS g, ARRAY[i, -i, i / 4.0]::vector AS v FROM generate_series(1, 30) i) t GROUP BY g ORDER BY g;
-- the running sum is changed in place, the rows are not
CREATE TABLE aggregate_rows (id int, v vector(3));
INSERT INTO aggregate_rows SELECT i, ARRAY[i, i % 7, -i]::vector FROM generate_series(1, 1000) i;
SELECT sum(v), avg(v), sum(v), sum(v + v) FROM aggregate_rows WHERE id <= 100;
SELECT id, v, sum(v) OVER w, avg(v) OVER w FROM aggregate_rows WHERE id <= 4 WINDOW w AS (ORDER BY id);
SELECT id, sum(v) OVER w, avg(v) OVER w FROM aggregate_rows WHERE id <= 4 WINDOW w AS (ORDER BY id ROWS 1 PRECEDING);
SELECT id, v FROM aggregate_rows WHERE id <= 4 ORDER BY id;
SELECT grouping(id), avg(v), sum(v) FROM aggregate_rows WHERE id <= 3 GROUP BY ROLLUP (id) ORDER BY 1, 2;
-- rows stored out of line, the first of which is the first state of sum
CREATE TABLE aggregate_toast (id int, v vector);
INSERT INTO aggregate_toast SELECT i, array_fill(i, ARRAY[1500])::vector FROM generate_series(1, 5) i;
SELECT subvector(sum(v), 1, 2), subvector(avg(v), 1499, 2), vector_dims(sum(v)) FROM aggregate_toast;
SELECT id, subvector(sum(v) OVER (ORDER BY id), 1500, 1), subvector(v, 1, 1) FROM aggregate_toast ORDER BY id;
-- partial aggregates, in workers
ALTER TABLE aggregate_rows SET (parallel_workers = 2);
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS OFF) SELECT avg(v), sum(v) FROM aggregate_rows;
SELECT avg(v), sum(v) FROM aggregate_rows;
SELECT avg(v), sum(v) FROM aggregate_rows WHERE id < 0;
-- the support functions alone
SELECT vector_accum('{0}', '[1,2]'), vector_accum('{1,1,2}', '[3,4]'), vector_combine('{1,1,2}', '{2,3,4}');
SELECT vector_combine('{0}', '{1,1,2}'), vector_combine('{1,1,2}', '{0}'), vector_combine('{0}', '{0}');
SELECT vector_avg('{0}'), vector_avg('{0,1,2}'), vector_avg('{4,2,4}');
-- called by themselves, they do not change what they were given
SELECT vector_accum(state, v), vector_combine(state, state), v + v, state, v
FROM (SELECT '{1,1,2}'::float8[] AS state, '[3,4]'::vector AS v OFFSET 0) t;
DROP TABLE aggregate_rows, aggregate_toast;

-- sparsevec
SELECT avg(v), sum(v) FROM (VALUES ('{1:1,3:2}/5'::sparsevec), (NULL), ('{3:4,5:-1}/5')) t(v);
SELECT avg(v), sum(v) FROM (VALUES ('{}/5'::sparsevec)) t(v);
SELECT avg(v) IS NULL, sum(v) IS NULL FROM (VALUES (NULL::sparsevec)) t(v);
SELECT avg(v) IS NULL, sum(v) IS NULL FROM (SELECT '{}/5'::sparsevec AS v WHERE false) t;
-- what adds up to zero is left out
SELECT avg(v), sum(v) FROM (VALUES ('{1:1,2:5}/3'::sparsevec), ('{1:-1}/3')) t(v);
SELECT sum(v) FROM (VALUES ('{1:1}/2'::sparsevec), ('{1:1}/3')) t(v);
-- sums are double, a result is a float
SELECT avg(v) FROM (VALUES ('{1:3e38}/1'::sparsevec), ('{1:3e38}/1')) t(v);
SELECT sum(v) FROM (VALUES ('{1:3e38}/1'::sparsevec), ('{1:3e38}/1')) t(v);
SELECT sum(v) FROM (VALUES ('{1:16777216}/1'::sparsevec), ('{1:1}/1'), ('{1:1}/1')) t(v);
-- dimensions by the million, terms merged many times; more than a sparsevec may hold
CREATE TABLE aggregate_sparse AS
  SELECT i, format('{%s:1,%s:2,1000000000:%s}/1000000000', i % 100 + 1, 1000 + i, i % 3 - 1)::sparsevec AS v
  FROM generate_series(1, 20000) i;
SELECT l2_norm(s)::numeric(12, 6), (s::text LIKE '{1:50,2:50,3:50,%') AS first FROM (SELECT sum(v) AS s FROM aggregate_sparse WHERE i <= 5000) t;
SELECT sum(v) FROM aggregate_sparse;
SELECT i, v, sum(v) OVER (ORDER BY i) FROM aggregate_sparse WHERE i <= 3 ORDER BY i;
ALTER TABLE aggregate_sparse SET (parallel_workers = 2);
EXPLAIN (COSTS OFF) SELECT sum(v), avg(v) FROM aggregate_sparse WHERE i <= 9000;
SELECT l2_norm(sum(v))::numeric(12, 6), l2_norm(avg(v))::numeric(12, 9) FROM aggregate_sparse WHERE i <= 9000;
SET max_parallel_workers_per_gather = 0;
SELECT l2_norm(sum(v))::numeric(12, 6), l2_norm(avg(v))::numeric(12, 9) FROM aggregate_sparse WHERE i <= 9000;
RESET max_parallel_workers_per_gather;
-- a group whose worker has no rows
SELECT sum(v) IS NULL, avg(v) IS NULL FROM aggregate_sparse WHERE i < 0;
DROP TABLE aggregate_sparse;
