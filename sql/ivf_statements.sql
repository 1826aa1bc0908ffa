-- ivf under every way the server builds, changes and scans an index.
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real)::vector FROM generate_series(1, dims) $$;
SET enable_seqscan = off;
SET client_min_messages = warning;
SELECT setseed(0.2);
CREATE TABLE items (id int PRIMARY KEY, kind int, v vector(8));
INSERT INTO items SELECT i, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 2000) i;
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (lists = 40);
ANALYZE items;
CREATE TABLE queries AS SELECT i AS id, random_vector(8 + 0 * i) AS v FROM generate_series(1, 20) i;

-- nested loop with LATERAL: the scan starts again for each query, and gives the same as each search alone
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
-- a scan that is abandoned and started again, with and without distances
SELECT array_agg(n) FROM (SELECT (SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> q LIMIT 3) r) AS n
  FROM (VALUES ('[1,1,1,1,1,1,1,1]'::vector), (NULL), ('[0,0,0,0,0,0,0,0]'), (NULL)) s(q)) t;

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

-- cursors: in steps, backward if they keep the rows, beyond their transaction
BEGIN;
DECLARE c NO SCROLL CURSOR FOR SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]';
MOVE FORWARD 7 FROM c;
MOVE FORWARD ALL FROM c;
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
SELECT id, kind FROM items ORDER BY v <-> '[9,9,9,9,9,9,9,9]' LIMIT 1;
UPDATE items SET v = '[-9,-9,-9,-9,-9,-9,-9,-9]' WHERE id = 3000;
SELECT (search_one('[9,9,9,9,9,9,9,9]', 1))[1] <> 3000 AS moved, search_one('[-9,-9,-9,-9,-9,-9,-9,-9]', 1);
UPDATE items SET v = NULL WHERE id = 3000;
SELECT (search_one('[-9,-9,-9,-9,-9,-9,-9,-9]', 1))[1] <> 3000 AS moved;
DELETE FROM items WHERE id = 3000;
-- TRUNCATE and retraining in a transaction that is rolled back: all is as before
BEGIN;
TRUNCATE items;
INSERT INTO items VALUES (1, 1, '[1,1,1,1,1,1,1,1]');
SELECT search_one('[1,1,1,1,1,1,1,1]', 5);
ROLLBACK;
SELECT cardinality(search_one('[1,1,1,1,1,1,1,1]', 5000));
BEGIN;
SELECT ann_retrain('items_v');
INSERT INTO items VALUES (3000, 0, '[9,9,9,9,9,9,9,9]');
SELECT search_one('[9,9,9,9,9,9,9,9]', 1), cardinality(search_one('[1,1,1,1,1,1,1,1]', 5000));
ROLLBACK;
SELECT cardinality(search_one('[1,1,1,1,1,1,1,1]', 5000)), ann_index_check('items_v');

-- vacuum with a worker for each index
CREATE INDEX items_cosine ON items USING ivf (v vector_cosine_ops) WITH (quantizer = sq8, lists = 8);
CREATE INDEX items_flat ON items USING ivfflat (v vector_ip_ops) WITH (lists = 8);
SET min_parallel_index_scan_size = 0;
DELETE FROM items WHERE kind IN (3, 4);
VACUUM (PARALLEL 2) items;
RESET min_parallel_index_scan_size;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3000) r;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM items ORDER BY v <=> '[1,0,0,0,0,0,0,0]' LIMIT 3000) r;
SELECT count(ann_index_check(c.oid)) FROM pg_class c WHERE relname IN ('items_v', 'items_cosine', 'items_flat');
DROP INDEX items_cosine, items_flat;

-- delete all, vacuum, fill again
DELETE FROM items;
VACUUM items;
SELECT search_one('[0,0,0,0,0,0,0,0]', 5);
INSERT INTO items SELECT i, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 300) i;
SELECT cardinality(search_one('[0,0,0,0,0,0,0,0]', 3000));

-- the same index made in every way
REINDEX INDEX items_v;
SELECT cardinality(search_one('[0,0,0,0,0,0,0,0]', 3000));
REINDEX INDEX CONCURRENTLY items_v;
SELECT cardinality(search_one('[0,0,0,0,0,0,0,0]', 3000));
DROP INDEX CONCURRENTLY items_v;
CREATE INDEX CONCURRENTLY items_v ON items USING ivf (v vector_l2_ops) WITH (lists = 5);
SELECT cardinality(search_one('[0,0,0,0,0,0,0,0]', 3000));
VACUUM FULL items;
CLUSTER items USING items_pkey;
SELECT cardinality(search_one('[0,0,0,0,0,0,0,0]', 3000)), ann_index_check('items_v');
-- other dimensions make the index anew, none at all keep it
ALTER TABLE items ALTER COLUMN v TYPE vector(4) USING subvector(v, 1, 4);
SELECT cardinality(search_one('[0,0,0,0]', 3000)), ann_index_check('items_v');
ALTER TABLE items ALTER COLUMN v TYPE vector;
SELECT cardinality(search_one('[0,0,0,0]', 3000)), ann_index_check('items_v');
\set VERBOSITY sqlstate
INSERT INTO items VALUES (5000, 1, '[1,2,3]');
SELECT search_one('[1,2,3]', 1);
\set VERBOSITY terse
-- other options take hold when it is made anew, or trained anew
ALTER TABLE items ALTER COLUMN v TYPE vector(4);
ALTER INDEX items_v SET (lists = 7);
SELECT ann_retrain('items_v');
SELECT lists, rows FROM ann_index_stats('items_v');
ALTER INDEX items_v SET (quantizer = flat);
SELECT ann_retrain('items_v');
SELECT cardinality(search_one('[0,0,0,0]', 3000)), ann_index_check('items_v');
REINDEX INDEX items_v;
SELECT cardinality(search_one('[0,0,0,0]', 3000)), ann_index_check('items_v');
DROP INDEX items_v;

-- expression index, on a column of any dimensions
CREATE TABLE any_dims (id int, v vector);
INSERT INTO any_dims VALUES (1, '[1,2,3]'), (2, '[4,5,6]'), (3, '[1,2]'), (4, '[1,1,1]');
CREATE INDEX any_dims_3 ON any_dims USING ivf ((v::vector(3)) vector_l2_ops) WHERE vector_dims(v) = 3;
INSERT INTO any_dims VALUES (5, '[4,4,4]'), (6, '[4,4,4,4]');
SELECT ann_retrain('any_dims_3');
SELECT id FROM any_dims WHERE vector_dims(v) = 3 ORDER BY v::vector(3) <-> '[4,4,4]';
DROP TABLE any_dims;

-- partitioned table
CREATE TABLE parts (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE parts_a PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parts_b PARTITION OF parts FOR VALUES FROM (100) TO (1000);
CREATE INDEX parts_v ON parts USING ivf (v vector_l2_ops) WITH (lists = 6);
INSERT INTO parts SELECT i, ARRAY[i % 100, i / 100, 0]::vector FROM generate_series(0, 999) i;
CREATE TABLE parts_c PARTITION OF parts FOR VALUES FROM (1000) TO (2000);
INSERT INTO parts VALUES (1000, '[50.2,0,0]');
SELECT id FROM parts ORDER BY v <-> '[50.3,0,0]' LIMIT 4;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM parts ORDER BY v <-> '[50.3,0,0]' LIMIT 2000) r;
SELECT ann_retrain('parts_v');
SELECT ann_retrain('parts_b_v_idx');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM parts ORDER BY v <-> '[50.3,0,0]' LIMIT 2000) r;
DROP TABLE parts;

-- unlogged tables that become logged; temporary ones that lose their rows
CREATE UNLOGGED TABLE u (id int, v vector(3));
CREATE INDEX u_v ON u USING ivf (v vector_l2_ops);
INSERT INTO u SELECT i, ARRAY[i, i, i]::vector FROM generate_series(1, 300) i;
ALTER TABLE u SET LOGGED;
SELECT id FROM u ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
ALTER TABLE u SET UNLOGGED;
SELECT id FROM u ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
DROP TABLE u;
CREATE TEMPORARY TABLE tmp (id int, v vector(3)) ON COMMIT DELETE ROWS;
CREATE INDEX tmp_v ON tmp USING ivf (v vector_l2_ops);
BEGIN;
INSERT INTO tmp SELECT i, ARRAY[i, i, i]::vector FROM generate_series(1, 300) i;
SELECT id FROM tmp ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
COMMIT;
SELECT id FROM tmp ORDER BY v <-> '[5.1,5.1,5.1]' LIMIT 3;
DROP TABLE tmp;

-- values that are hard to code: huge ones, whose distances are infinite, denormal ones, zeros of both signs, all alike
CREATE TABLE hard (id int, v vector(4));
CREATE FUNCTION find_all(opclass text, op text, options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format('CREATE INDEX hard_v ON hard USING ivf (v %s) WITH (%s)', opclass, options);
  INSERT INTO hard SELECT id + 10000, v FROM hard;
  PERFORM ann_index_check('hard_v');
  EXECUTE format('SELECT string_agg(n, '' '' ORDER BY q) FROM (SELECT q, (SELECT count(DISTINCT id) || ''/'' || count(*) FROM
    (SELECT id FROM hard ORDER BY v %s q) r) AS n FROM (VALUES (vector ''[1,1,1,1]''), (''[3e38,3e38,3e38,3e38]''), (''[1e-45,0,0,0]'')) s(q)) t', op) INTO result;
  DROP INDEX hard_v;
  DELETE FROM hard WHERE id > 10000;
  RETURN result;
END $$;
INSERT INTO hard VALUES (1, '[3e38,3e38,-3e38,3e38]'), (2, '[1e-45,0,0,-1e-45]'), (3, '[1,1,1,1]'), (4, '[-0,0,-0,0]'),
  (5, '[0,0,0,0]'), (6, '[3e38,-3e38,3e38,-3e38]'), (7, '[1e-38,1e38,1,0]'), (8, '[1,1,1,1]');
SELECT options, opclass, find_all(opclass, op, options) FROM unnest(ARRAY['lists = 1', 'lists = 3', 'lists = 3, rerank = heap', 'lists = 3, quantizer = sq8',
    'lists = 3, quantizer = pq', 'lists = 3, quantizer = pq, pq_bits = 8, rerank = index', 'lists = 3, quantizer = flat']) WITH ORDINALITY o(options, n),
  (VALUES ('vector_l2_ops', '<->'), ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>')) m(opclass, op)
ORDER BY n, opclass;
TRUNCATE hard;
INSERT INTO hard SELECT i, '[2,3,4,5]' FROM generate_series(1, 1500) i;
SELECT options, opclass, find_all(opclass, op, options) FROM unnest(ARRAY['lists = 0', 'lists = 30', 'lists = 30, quantizer = pq', 'lists = 30, quantizer = flat']) WITH ORDINALITY o(options, n),
  (VALUES ('vector_l2_ops', '<->'), ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>')) m(opclass, op)
ORDER BY n, opclass;
DROP TABLE hard;

-- as many dimensions as there can be
CREATE TABLE longest (id int, v vector(16000));
ALTER TABLE longest ALTER COLUMN v SET STORAGE EXTERNAL;
INSERT INTO longest SELECT i, (SELECT array_agg(((i * j) % 97)::real) FROM generate_series(1, 16000) j)::vector FROM generate_series(1, 12) i;
CREATE FUNCTION try_longest(options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format('CREATE INDEX longest_v ON longest USING ivf (v vector_l2_ops) WITH (%s)', options);
  INSERT INTO longest SELECT id + 100, v FROM longest WHERE id < 4;
  PERFORM ann_index_check('longest_v'), ann_retrain('longest_v'), ann_index_check('longest_v');
  SELECT string_agg(id::text, ' ') INTO result FROM (SELECT id FROM longest ORDER BY v <-> (SELECT v FROM longest WHERE id = 7) LIMIT 1) r;
  result := result || ', ' || (SELECT count(DISTINCT id) FROM (SELECT id FROM longest ORDER BY v <-> (SELECT v FROM longest WHERE id = 7)) r);
  DROP INDEX longest_v;
  DELETE FROM longest WHERE id > 100;
  RETURN result;
END $$;
SELECT o, try_longest(o) FROM unnest(ARRAY['lists = 2', 'lists = 2, rerank = heap', 'lists = 2, quantizer = sq8', 'lists = 2, quantizer = pq, pq_segments = 500', 'lists = 2, quantizer = flat']) o;
DROP TABLE longest;

-- one process scans an index, whatever parallel plans would cost
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET min_parallel_index_scan_size = 0;
SET max_parallel_workers_per_gather = 4;
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops);
EXPLAIN (COSTS OFF) SELECT id FROM items ORDER BY v <-> '[1,2,3,4]' LIMIT 5;

DROP TABLE items, queries;
DROP FUNCTION search_one, search_exactly, find_all, try_longest, random_vector;
