-- Scans are never cut short, but by limits that the user has set; rows come in order.
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real)::vector FROM generate_series(1, dims) $$;
SELECT setseed(0.3);
CREATE TABLE items (id int, rare bool, v vector(8));
INSERT INTO items SELECT i, i % 10000 = 1234, random_vector(8 + 0 * i) FROM generate_series(1, 30000) i;
CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops);
ANALYZE items;
-- The plans are not the subject here.
SET enable_seqscan = off;
SET enable_sort = off;

-- rows returned, all different, and in order (but for the rounding of a float)
CREATE FUNCTION search(k int, only_rare bool DEFAULT false)
  RETURNS TABLE (returned bigint, different bigint, in_order bool) LANGUAGE plpgsql AS $$
DECLARE
  q vector := '[0.2,0.8,0.5,0.1,0.9,0.3,0.7,0.4]';
BEGIN
  RETURN QUERY
    SELECT count(*), count(DISTINCT id), bool_and(distance >= before * 0.999999) FROM
      (SELECT id, distance, lag(distance, 1, 0::float8) OVER (ORDER BY position) AS before FROM
        (SELECT id, distance, row_number() OVER () AS position FROM
          (SELECT id, v <-> q AS distance FROM items WHERE rare OR NOT only_rare ORDER BY v <-> q LIMIT k) a) b) c;
END $$;
EXPLAIN (COSTS OFF) SELECT id FROM items WHERE rare ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 10;

-- LIMIT above ef_search
SELECT * FROM search(1);
SELECT * FROM search(10);
SELECT * FROM search(41);
SELECT * FROM search(1000);
SET hnsw.ef_search = 1;
SELECT * FROM search(100);
SET hnsw.ef_search = 1000;
SELECT * FROM search(100);
RESET hnsw.ef_search;
-- every row of the table
SELECT returned, different FROM search(100000);

-- a filter that one row in 10,000 passes
SELECT returned, different FROM search(3, true);
SELECT returned, different FROM search(10, true);
SET work_mem = '64kB';
SELECT returned, different FROM search(10, true);
SELECT returned, different FROM search(100000);
SET hnsw.scan_mem_multiplier = 100;
SELECT returned, different FROM search(100000);
RESET hnsw.scan_mem_multiplier;
RESET work_mem;

-- as soon as found
SET hnsw.iterative_scan = relaxed_order;
SELECT * FROM search(10);
SELECT returned, different FROM search(1000);
SELECT returned, different FROM search(10, true);
SELECT returned, different FROM search(100000);

-- one beam and no more
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 40;
SELECT * FROM search(10);
SELECT * FROM search(100);
SELECT returned < 3 AS cut_short FROM search(10, true);
SET hnsw.ef_search = 100;
SELECT * FROM search(1000);
RESET hnsw.ef_search;
RESET hnsw.iterative_scan;

-- a number of rows after which to end: about that many, and no less than are wanted below it
SET hnsw.max_scan_tuples = 1000;
SELECT * FROM search(100);
SELECT returned BETWEEN 1000 AND 3000 AS about, returned = different AS all_different FROM search(100000);
SELECT returned < 3 AS cut_short FROM search(10, true);
SET hnsw.max_scan_tuples = 30000;
SELECT returned FROM search(10, true);
RESET hnsw.max_scan_tuples;

-- dead rows that no vacuum has removed do not count
DELETE FROM items WHERE id % 10 <> 4;
SELECT * FROM search(50);
SELECT returned, different FROM search(100000);
SELECT returned, different FROM search(10, true);
VACUUM items;
SELECT * FROM search(50);
SELECT returned, different FROM search(100000);
UPDATE items SET v = v + '[1,1,1,1,1,1,1,1]';
SELECT * FROM search(50);
SELECT returned, different FROM search(100000);

-- many equal rows are more than the beam holds
TRUNCATE items;
INSERT INTO items SELECT i, i = 9999, '[1,1,1,1,1,1,1,1]' FROM generate_series(1, 10000) i;
INSERT INTO items SELECT i, false, random_vector(8 + 0 * i) FROM generate_series(10001, 10100) i;
SELECT * FROM search(200);
SELECT returned, different FROM search(100000);
SELECT returned FROM search(10, true);

-- a beam wider than any index
SET hnsw.ef_search = 2147483647;
SELECT returned, different FROM search(100000);
RESET hnsw.ef_search;

DROP TABLE items;
DROP FUNCTION search, random_vector;
