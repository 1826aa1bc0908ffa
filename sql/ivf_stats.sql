-- ann_index_stats of ivf and ivfflat: how lists are filled, and how far rows lie from their centroids.
CREATE TABLE grid (id int, v vector(20));
CREATE FUNCTION place(x real, y real) RETURNS vector LANGUAGE sql IMMUTABLE AS
  $$ SELECT (ARRAY[x, y] || array_fill(1::real, ARRAY[18]))::vector $$;
INSERT INTO grid SELECT i, place(i % 40, i / 40) FROM generate_series(0, 1599) i;
-- nothing is nearest to the first of these, three quarters of the rows to the last, and none as near to two
CREATE TABLE centroids (c vector(20));
INSERT INTO centroids VALUES (place(-100, -100)), (place(-10, 20)), (place(-9, 22)), (place(31, 20.3));
CREATE VIEW truth AS
  SELECT count(*) FILTER (WHERE n = 0) AS empty, min(n) AS smallest, max(n) AS largest, max(n) / sum(n) AS share, sum(n * square) / sum(n) AS square
  FROM (SELECT count(id) AS n, coalesce(avg(d * d), 0) AS square FROM centroids LEFT JOIN LATERAL (
      SELECT id, v <-> c AS d FROM grid WHERE (v <-> c) = (SELECT min(v <-> o.c) FROM centroids o)) g ON true GROUP BY c) lists;
CREATE FUNCTION about(a float8, b float8, within float8 DEFAULT 0.03) RETURNS bool LANGUAGE sql AS $$ SELECT abs(a - b) <= within * abs(b) $$;
CREATE FUNCTION look(options text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE INDEX grid_v ON grid USING ivf (v vector_l2_ops) WITH (%s)', options);
  RETURN QUERY SELECT s.lists, s.empty_lists = t.empty, s.smallest_list = t.smallest, s.median_list, s.largest_list = t.largest,
    about(s.largest_share, t.share::float8), s.dead_share, about(s.mean_square, t.square), about(s.trained_mean_square, t.square, 1e-5),
    about(s.drift, 1), s.imbalance > 1.5 FROM ann_index_stats('grid_v') s, truth t;
  DROP INDEX grid_v;
END $$;
SELECT options, l.* FROM unnest(ARRAY['quantizer = rabitq', 'rerank = heap', 'quantizer = sq8', 'quantizer = flat', 'quantizer = pq, pq_segments = 20']) WITH ORDINALITY o(options, n),
  look(options || ', centroids = ''public.centroids''') l(lists int, empty bool, smallest bool, median bigint, largest bool, share bool, dead float8, square bool,
    trained bool, drift bool, uneven bool) ORDER BY n;

-- rows that lie elsewhere than those that the lists were found for, and rows that are gone
CREATE INDEX grid_v ON grid USING ivf (v vector_l2_ops) WITH (lists = 16);
SELECT drift BETWEEN 0.97 AND 1.03 AS settled, imbalance < 1.3 AS even FROM ann_index_stats('grid_v');
INSERT INTO grid SELECT 2000 + i, place(400 + i % 40, 400 + i / 40) FROM generate_series(0, 799) i;
SELECT drift > 100 AS drifted, about(mean_square, drift * trained_mean_square) AS divided, imbalance > 2 AS uneven, largest_share > 0.3 AS share
FROM ann_index_stats('grid_v');
SELECT ann_retrain('grid_v');
SELECT imbalance < 1.5 AS even, lists FROM ann_index_stats('grid_v');
REINDEX INDEX grid_v;
SELECT drift BETWEEN 0.97 AND 1.03 AS settled FROM ann_index_stats('grid_v');
DELETE FROM grid WHERE id % 4 = 0;
VACUUM grid;
SELECT rows, dead_slots, dead_share FROM ann_index_stats('grid_v');
DROP INDEX grid_v;

-- other metrics, other methods, no rows
CREATE INDEX grid_v ON grid USING ivf (v vector_ip_ops) WITH (lists = 16);
SELECT drift BETWEEN 0.97 AND 1.03 AS settled, mean_square > 0 AS known FROM ann_index_stats('grid_v');
DROP INDEX grid_v;
CREATE INDEX grid_v ON grid USING ivf (v vector_cosine_ops) WITH (lists = 16);
SELECT drift BETWEEN 0.97 AND 1.03 AS settled, mean_square < 4 AS known FROM ann_index_stats('grid_v');
DROP INDEX grid_v;
CREATE INDEX grid_v ON grid USING ivfflat (v) WITH (lists = 16);
SELECT lists, empty_lists, smallest_list > 0 AS smallest, median_list BETWEEN smallest_list AND largest_list AS median, drift BETWEEN 0.999 AND 1.001 AS settled,
  about(largest_share, largest_list::float8 / rows) AS share FROM ann_index_stats('grid_v');
TRUNCATE grid;
SELECT lists, rows, empty_lists, smallest_list, median_list, largest_list, largest_share, dead_share, mean_square, trained_mean_square, drift, imbalance
FROM ann_index_stats('grid_v');
CREATE INDEX grid_h ON grid USING hnsw (v vector_l2_ops);
SELECT lists, smallest_list, median_list, largest_share, dead_share, mean_square, trained_mean_square FROM ann_index_stats('grid_h');
CREATE TABLE wide (v vector(4000));
INSERT INTO wide SELECT array_fill(i::real, ARRAY[4000])::vector FROM generate_series(1, 5) i;
CREATE INDEX wide_v ON wide USING ivfflat (v);
SELECT rows, mean_square, drift FROM ann_index_stats('wide_v');
DROP TABLE grid, centroids, wide CASCADE;
DROP FUNCTION place, about, look;
