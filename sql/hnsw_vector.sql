-- Index hnsw over vector: every operator class, and every way the server builds, changes and scans it.
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real)::vector FROM generate_series(1, dims) $$;
-- Tables here are so small that reading them whole is cheaper.
SET enable_seqscan = off;

-- Euclidean distance; NULL vectors have none and are not returned
CREATE TABLE t (id int, v vector(3));
INSERT INTO t VALUES (1, '[0,0,0]'), (2, '[1,2,3]'), (3, '[1,1,1]'), (4, NULL);
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
INSERT INTO t VALUES (5, '[1,2,4]'), (6, NULL);
SELECT id, v FROM t ORDER BY v <-> '[3,3,3]';
SELECT count(*) FROM t;
SELECT count(*) FROM (SELECT FROM t ORDER BY v <-> '[3,3,3]' LIMIT 10) r;
-- NULL query: every distance is NULL, all rows with a vector are equally good
SELECT count(*) FROM (SELECT FROM t ORDER BY v <-> (SELECT NULL::vector) LIMIT 10) r;
-- wrong dimensions, in rows and in the query
\set VERBOSITY sqlstate
INSERT INTO t VALUES (7, '[1,2]');
SELECT id FROM t ORDER BY v <-> '[1,2]' LIMIT 1;
\set VERBOSITY terse
TRUNCATE t;
SELECT count(*) FROM (SELECT FROM t ORDER BY v <-> '[3,3,3]' LIMIT 10) r;
INSERT INTO t VALUES (8, '[7,7,7]');
SELECT id FROM t ORDER BY v <-> '[3,3,3]' LIMIT 10;
DROP TABLE t;

-- inner product, largest first
CREATE TABLE t (id int, v vector(3));
INSERT INTO t VALUES (1, '[0,0,0]'), (2, '[1,2,3]'), (3, '[1,1,1]'), (4, NULL), (5, '[-1,-1,-1]');
CREATE INDEX t_v ON t USING hnsw (v vector_ip_ops);
INSERT INTO t VALUES (6, '[1,2,4]'), (7, '[100,0,0]');
SELECT id, v <#> '[3,3,3]' AS distance FROM t ORDER BY v <#> '[3,3,3]';
SELECT count(*) FROM (SELECT FROM t ORDER BY v <#> (SELECT NULL::vector) LIMIT 10) r;
DROP TABLE t;

-- cosine distance; zero vectors have none and are not returned
CREATE TABLE t (id int, v vector(3));
INSERT INTO t VALUES (1, '[0,0,0]'), (2, '[1,2,3]'), (3, '[1,1,1]'), (4, NULL), (5, '[-1,-1,-1]');
CREATE INDEX t_v ON t USING hnsw (v vector_cosine_ops);
INSERT INTO t VALUES (6, '[1,2,4]'), (7, '[0,0,0]'), (8, '[200,400,599]');
SELECT id FROM t ORDER BY v <=> '[3,3,3]';
-- a zero query has no direction: all rows with a vector are equally good
SELECT count(*) FROM (SELECT FROM t ORDER BY v <=> '[0,0,0]' LIMIT 10) r;
SELECT count(*) FROM (SELECT FROM t ORDER BY v <=> (SELECT NULL::vector) LIMIT 10) r;
DROP TABLE t;

-- taxicab distance
CREATE TABLE t (id int, v vector(3));
INSERT INTO t VALUES (1, '[0,0,0]'), (2, '[1,2,3]'), (3, '[1,1,1]'), (4, NULL);
CREATE INDEX t_v ON t USING hnsw (v vector_l1_ops);
INSERT INTO t VALUES (5, '[1,2,4]'), (6, '[-50,0,1]');
SELECT id, v <+> '[3,3,3]' AS distance FROM t ORDER BY v <+> '[3,3,3]';
SELECT count(*) FROM (SELECT FROM t ORDER BY v <+> (SELECT NULL::vector) LIMIT 10) r;
DROP TABLE t;

-- empty table, one row, all rows equal, many copies of one vector
CREATE TABLE t (id int, v vector(4));
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops);
SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 5;
INSERT INTO t VALUES (1, '[1,2,3,4]');
SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 5;
REINDEX INDEX t_v;
SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 5;
INSERT INTO t SELECT i, '[1,2,3,4]' FROM generate_series(2, 500) i;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 1000) r;
REINDEX INDEX t_v;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 1000) r;
SELECT setseed(0.1);
INSERT INTO t SELECT 500 + i, random_vector(4 + 0 * i) FROM generate_series(1, 500) i;
-- the copies are farther than all others, and must not hide them
SELECT min(id) > 500 AS others_first, count(DISTINCT id) FROM
  (SELECT id FROM t ORDER BY v <-> '[0.5,0.5,0.5,0.5]' LIMIT 100) r;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t ORDER BY v <-> '[0.5,0.5,0.5,0.5]' LIMIT 2000) r;
SELECT count(*) FILTER (WHERE id <= 500) FROM (SELECT id FROM t ORDER BY v <-> '[1,2,3,4]' LIMIT 500) r;
-- 0 and -0 are one value
TRUNCATE t;
INSERT INTO t VALUES (1, '[0,0,0,0]'), (2, '[-0,-0,0,0]'), (3, '[1,0,0,0]');
SELECT id FROM t ORDER BY v <-> '[1,0,0,0]', id;
-- huge and denormal values
TRUNCATE t;
INSERT INTO t VALUES (1, '[3e38,3e38,-3e38,3e38]'), (2, '[1e-45,0,0,-1e-45]'), (3, '[1,1,1,1]');
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 5) r;
SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 2;
REINDEX INDEX t_v;
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[1,1,1,1]' LIMIT 5) r;
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> '[3e38,3e38,3e38,3e38]' LIMIT 5) r;
DROP TABLE t;

-- a table and its index that the rest of this file scans
SELECT setseed(0.2);
CREATE TABLE items (id int PRIMARY KEY, kind int, v vector(8));
INSERT INTO items SELECT i, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 2000) i;
CREATE INDEX items_v ON items USING hnsw (v vector_l2_ops);
ANALYZE items;
CREATE TABLE queries AS SELECT i AS id, random_vector(8 + 0 * i) AS v FROM generate_series(1, 20) i;

-- nested loop with LATERAL: the scan starts again for each query
SELECT count(*) AS rows, count(DISTINCT q.id) AS queries, min(n) AS fewest FROM queries q,
  LATERAL (SELECT i.id, count(*) OVER () AS n FROM (SELECT id FROM items ORDER BY v <-> q.v LIMIT 7) i) r;
-- ... and gives the same as each search alone
CREATE FUNCTION search_one(q vector, k int) RETURNS int[] LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN ARRAY(SELECT id FROM items ORDER BY v <-> q LIMIT k);
END $$;
SELECT bool_and(r.ids = search_one(q.v, 7)) AS same FROM queries q,
  LATERAL (SELECT array_agg(id) AS ids FROM (SELECT id FROM items ORDER BY v <-> q.v LIMIT 7) i) r;
-- nearest first, and for nearly all the truth
CREATE FUNCTION search_exactly(q vector, k int) RETURNS int[] LANGUAGE sql STABLE
  SET enable_indexscan = off AS $$ SELECT ARRAY(SELECT id FROM items ORDER BY v <-> q LIMIT k) $$;
SELECT avg((SELECT count(*) FROM unnest(search_one(v, 10)) a(id) WHERE id = ANY (search_exactly(v, 10)))) / 10 >= 0.95
  AS recall FROM queries;
SELECT bool_and(distance >= before * 0.999999) AS in_order FROM
  (SELECT q.id, i.v <-> q.v AS distance, lag(i.v <-> q.v) OVER (PARTITION BY q.id ORDER BY position) AS before
   FROM queries q, unnest(search_one(q.v, 100)) WITH ORDINALITY s(id, position) JOIN items i USING (id)) r;

-- correlated subquery, join on the result
SELECT bool_and((SELECT id FROM items i ORDER BY i.v <-> q.v LIMIT 1) = (search_one(q.v, 1))[1]) AS same
  FROM queries q;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 10) n JOIN items USING (id);

-- prepared, with custom and generic plans
PREPARE nearest(vector, int) AS
  SELECT array_agg(id) = search_one($1, $2) FROM (SELECT id FROM items ORDER BY v <-> $1 LIMIT $2) r;
SET plan_cache_mode = force_custom_plan;
EXECUTE nearest('[0,0,0,0,0,0,0,0]', 10);
SET plan_cache_mode = force_generic_plan;
EXECUTE nearest('[0,0,0,0,0,0,0,0]', 10);
EXECUTE nearest('[1,1,1,1,1,1,1,1]', 50);
EXECUTE nearest(NULL, 5);
RESET plan_cache_mode;
DEALLOCATE nearest;

-- cursor: forward in steps; backward is refused unless the cursor keeps the rows
BEGIN;
DECLARE c NO SCROLL CURSOR FOR SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]';
CREATE FUNCTION fetch_some(n int) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
  c refcursor := 'c';
  id int;
  ids int[] := '{}';
BEGIN
  FOR i IN 1..n LOOP
    FETCH c INTO id;
    EXIT WHEN NOT FOUND;
    ids := ids || id;
  END LOOP;
  RETURN ids;
END $$;
SELECT fetch_some(3) || fetch_some(4) = search_one('[0,0,0,0,0,0,0,0]', 7) AS same;
SELECT cardinality(fetch_some(3000)) AS the_rest;
\set VERBOSITY sqlstate
FETCH BACKWARD 1 FROM c;
\set VERBOSITY terse
ROLLBACK;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]';
MOVE FORWARD 5 FROM c;
MOVE BACKWARD 5 FROM c;
FETCH RELATIVE 0 FROM c;
ROLLBACK;
-- a holdable cursor outlives its transaction
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 5;
COMMIT;
MOVE FORWARD ALL FROM c;
CLOSE c;

-- the rows of a transaction: its own, those rolled back, those updated with and without HOT
BEGIN;
INSERT INTO items VALUES (3000, 0, '[9,9,9,9,9,9,9,9]');
SELECT search_one('[9,9,9,9,9,9,9,9]', 1);
SAVEPOINT a;
INSERT INTO items VALUES (3001, 0, '[9,9,9,9,9,9,9,9.5]');
ROLLBACK TO a;
SELECT (search_one('[9,9,9,9,9,9,9,9]', 2))[2] <> 3001 AS gone;
ROLLBACK;
SELECT (search_one('[9,9,9,9,9,9,9,9]', 1))[1] <> 3000 AS gone;
INSERT INTO items VALUES (3000, 0, '[9,9,9,9,9,9,9,9]');
UPDATE items SET kind = 77 WHERE id = 3000;
UPDATE items SET kind = 78 WHERE id = 3000;
SELECT id, kind FROM items ORDER BY v <-> '[9,9,9,9,9,9,9,9]' LIMIT 1;
UPDATE items SET v = '[-9,-9,-9,-9,-9,-9,-9,-9]' WHERE id = 3000;
SELECT (search_one('[9,9,9,9,9,9,9,9]', 1))[1] <> 3000 AS moved, search_one('[-9,-9,-9,-9,-9,-9,-9,-9]', 1);
UPDATE items SET v = NULL WHERE id = 3000;
SELECT (search_one('[-9,-9,-9,-9,-9,-9,-9,-9]', 1))[1] <> 3000 AS moved;
DELETE FROM items WHERE id = 3000;
DELETE FROM items WHERE kind = 3;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
VACUUM items;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
INSERT INTO items SELECT 4000 + i, 3, random_vector(8 + 0 * i) FROM generate_series(1, 200) i;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
SELECT avg((SELECT count(*) FROM unnest(search_one(v, 10)) a(id) WHERE id = ANY (search_exactly(v, 10)))) / 10 >= 0.95
  AS recall FROM queries;

-- vacuum with a worker for each index
CREATE INDEX items_cosine ON items USING hnsw (v vector_cosine_ops);
SET min_parallel_index_scan_size = 0;
DELETE FROM items WHERE kind = 4;
VACUUM (PARALLEL 2) items;
RESET min_parallel_index_scan_size;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <=> '[1,0,0,0,0,0,0,0]' LIMIT 3000) r;
SELECT ann_index_check('items_v'), ann_index_check('items_cosine');
DROP INDEX items_cosine;

-- delete all, vacuum, fill again
DELETE FROM items;
VACUUM items;
SELECT search_one('[0,0,0,0,0,0,0,0]', 5);
INSERT INTO items SELECT i, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 300) i;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;

-- the same index made in every way
REINDEX INDEX items_v;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
REINDEX INDEX CONCURRENTLY items_v;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
DROP INDEX items_v;
CREATE INDEX CONCURRENTLY items_v ON items USING hnsw (v vector_l2_ops) WITH (m = 8);
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
VACUUM FULL items;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
DROP INDEX items_v;

-- expression index, on a column of any dimensions
CREATE TABLE any_dims (id int, v vector);
INSERT INTO any_dims VALUES (1, '[1,2,3]'), (2, '[4,5,6]'), (3, '[1,2]'), (4, '[1,1,1]');
CREATE INDEX any_dims_3 ON any_dims USING hnsw ((v::vector(3)) vector_l2_ops) WHERE vector_dims(v) = 3;
INSERT INTO any_dims VALUES (5, '[4,4,4]'), (6, '[4,4,4,4]');
SELECT id FROM any_dims WHERE vector_dims(v) = 3 ORDER BY v::vector(3) <-> '[4,4,4]';
CREATE INDEX any_dims_sum ON any_dims USING hnsw ((l2_normalize(v)::vector(3)) vector_ip_ops) WHERE vector_dims(v) = 3;
SELECT id FROM any_dims WHERE vector_dims(v) = 3 ORDER BY l2_normalize(v)::vector(3) <#> '[0,0,1]' LIMIT 2;
DROP TABLE any_dims;

-- partial index
CREATE INDEX items_even ON items USING hnsw (v vector_l2_ops) WHERE kind % 2 = 0;
INSERT INTO items SELECT 5000 + i, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 50) i;
SELECT count(*), bool_and(kind % 2 = 0) FROM
  (SELECT kind FROM items WHERE kind % 2 = 0 ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
DROP TABLE items;
DROP FUNCTION search_one, search_exactly;

-- unlogged and temporary tables
CREATE UNLOGGED TABLE u (id int, v vector(3));
CREATE INDEX u_v ON u USING hnsw (v vector_l2_ops);
INSERT INTO u SELECT i, ARRAY[i, i, i]::vector FROM generate_series(1, 300) i;
SELECT id FROM u ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
ALTER TABLE u SET LOGGED;
SELECT id FROM u ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
DROP TABLE u;
CREATE TEMPORARY TABLE tmp (id int, v vector(3)) ON COMMIT DELETE ROWS;
CREATE INDEX tmp_v ON tmp USING hnsw (v vector_l2_ops);
BEGIN;
INSERT INTO tmp SELECT i, ARRAY[i, i, i]::vector FROM generate_series(1, 300) i;
SELECT id FROM tmp ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
DELETE FROM tmp WHERE id = 5;
SELECT id FROM tmp ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
COMMIT;
SELECT id FROM tmp ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
DROP TABLE tmp;

-- partitioned table
CREATE TABLE parts (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (100) TO (1000);
CREATE INDEX parts_v ON parts USING hnsw (v vector_l2_ops);
INSERT INTO parts SELECT i, ARRAY[i % 100, i / 100, 0]::vector FROM generate_series(0, 999) i;
CREATE TABLE parts_c PARTITION OF parts FOR VALUES FROM (1000) TO (2000);
INSERT INTO parts VALUES (1000, '[50.2,0,0]');
SELECT id FROM parts ORDER BY v <-> '[50.3,0,0]' LIMIT 4;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM parts ORDER BY v <-> '[50.3,0,0]' LIMIT 2000) r;
DROP TABLE parts;

RESET enable_seqscan;
DROP TABLE queries;
DROP FUNCTION random_vector;
