-- Exact search: ORDER BY a distance, without an index.
CREATE TABLE searched (id int PRIMARY KEY, v vector(3));
INSERT INTO searched SELECT i, ARRAY[i % 10, i / 10 % 10, i / 100]::vector FROM generate_series(0, 999) i;
INSERT INTO searched VALUES (1000, NULL), (1001, '[0,0,0]');
SELECT id, v <-> '[3,3,3]' AS distance FROM searched ORDER BY v <-> '[3,3,3]', id LIMIT 7;
SELECT id, v <#> '[1,2,3]' AS distance FROM searched ORDER BY v <#> '[1,2,3]', id LIMIT 3;
SELECT id, round((v <=> '[1,1,1]')::numeric, 6) AS distance FROM searched WHERE id > 0 ORDER BY v <=> '[1,2,1]', id LIMIT 3;
SELECT id, v <+> '[3,3,3]' AS distance FROM searched ORDER BY v <+> '[3,3,3]', id LIMIT 7;
-- rows without a distance come last
SELECT id, v <=> '[1,1,1]' FROM searched ORDER BY v <=> '[1,1,1]', id OFFSET 999;
SELECT count(*) FROM searched WHERE v <-> '[3,3,3]' <= 1;
-- neighbours of each of some rows
SELECT a.id, array_agg(b.id ORDER BY b.distance, b.id) FROM searched a,
  LATERAL (SELECT id, v <-> a.v AS distance FROM searched WHERE id <> a.id ORDER BY v <-> a.v, id LIMIT 3) b
WHERE a.id IN (0, 555, 999) GROUP BY a.id ORDER BY a.id;
PREPARE nearest(vector, int) AS SELECT id FROM searched ORDER BY v <-> $1, id LIMIT $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE nearest('[9,9,9]', 2);
EXECUTE nearest('[0,0,0]', 3);
EXECUTE nearest(NULL, 2);
-- cheaper conditions are tested before a distance
EXPLAIN (COSTS OFF) SELECT * FROM searched WHERE v <-> '[1,2,3]' < 1 AND id % 2 = 0;
DROP TABLE searched;
