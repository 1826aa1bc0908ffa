-- ivf and ivfflat: order, streaming, the rows that are hard to get right.
SET enable_seqscan = off;
SET client_min_messages = warning;
CREATE TABLE items (id int, v vector(3));
INSERT INTO items SELECT i, ARRAY[i % 40, i / 40, i % 7]::vector FROM generate_series(1, 2000) i;
INSERT INTO items VALUES (5001, NULL), (5002, NULL), (5003, '[0,0,0]');

-- each quantizer and metric: the nearest, and all rows, each once, in order; those of lists that were read too late to be come
-- last, in theirs
CREATE FUNCTION in_order(op text, q vector) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r record;
  last float8 := '-infinity';
  n int := 0;
  late bool := false;
  ids int[] := '{}';
BEGIN
  FOR r IN EXECUTE format('SELECT id, v %1$s $1 AS d FROM items ORDER BY v %1$s $1', op) USING q LOOP
    IF r.d < last - 1e-6 THEN
      IF late OR n < 100 THEN RETURN 'out of order at ' || n; END IF;
      late := true;
    END IF;
    last := r.d;
    n := n + 1;
    ids := ids || r.id;
  END LOOP;
  RETURN n || ' ' || (SELECT count(DISTINCT x) FROM unnest(ids) x);
END $$;
CREATE FUNCTION try(method text, opclass text, op text, options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
BEGIN
  EXECUTE format('CREATE INDEX items_v ON items USING %s (v %s) WITH (%s)', method, opclass, options);
  result := in_order(op, '[3,4,5]');
  PERFORM ann_index_check('items_v');
  INSERT INTO items SELECT 10000 + i, ARRAY[i, 1, 1]::vector FROM generate_series(1, 100) i;
  result := result || ', ' || in_order(op, '[3,4,5]');
  PERFORM ann_index_check('items_v');
  DELETE FROM items WHERE id > 10000;
  DROP INDEX items_v;
  RETURN result;
END $$;
SELECT options, opclass, try('ivf', opclass, op, options)
FROM unnest(ARRAY['lists = 20', 'lists = 20, rerank = heap', 'lists = 20, rabitq_bits = 2', 'lists = 1, quantizer = sq8',
    'lists = 20, quantizer = flat', 'lists = 5, quantizer = pq, pq_segments = 3', 'lists = 5, quantizer = pq, pq_bits = 8, rerank = index']) WITH ORDINALITY o(options, n),
  (VALUES ('vector_l2_ops', '<->'), ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>')) m(opclass, op)
ORDER BY n, opclass;

-- a LIMIT is never cut short, whatever the filter and the number of lists
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (lists = 50);
SET ivf.probes = 1;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> '[3,4,5]' LIMIT 1500) x;
SELECT count(*) FROM (SELECT id FROM items WHERE id % 100 = 1 ORDER BY v <-> '[3,4,5]' LIMIT 15) x;
SET ivf.iterative_scan = off;
SELECT count(*) < 1500 AS short FROM (SELECT id FROM items ORDER BY v <-> '[3,4,5]' LIMIT 1500) x;
SET ivf.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> '[3,4,5]' LIMIT 1500) x;
SET ivf.max_probes = 2;
SELECT count(*) < 1500 AS short FROM (SELECT id FROM items ORDER BY v <-> '[3,4,5]' LIMIT 1500) x;
RESET ivf.max_probes;
RESET ivf.iterative_scan;
RESET ivf.probes;

-- a query without distances: all rows that have a vector
SELECT count(*), count(v) FROM (SELECT v FROM items ORDER BY v <-> (SELECT NULL::vector)) x;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <-> (SELECT NULL::vector) LIMIT 10) x;

-- rescans, cursors
SELECT o.id, (SELECT array_agg(id) FROM (SELECT id FROM items i ORDER BY i.v <-> o.v LIMIT 2) n) IS NOT NULL AS found
FROM items o WHERE o.id IN (1, 2, 5001) ORDER BY 1;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM items ORDER BY v <-> '[3,3,4]';
FETCH 1 FROM c;
INSERT INTO items VALUES (6000, '[3,3,4]');
DELETE FROM items WHERE id <= 100;
MOVE 1999 FROM c;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
ROLLBACK;
DROP INDEX items_v;

-- tables of one row, of none, of the same row many times
CREATE TABLE few (id int, v vector(4));
CREATE INDEX few_v ON few USING ivf (v vector_cosine_ops);
SELECT id FROM few ORDER BY v <=> '[1,2,3,4]';
SELECT ann_index_check('few_v');
INSERT INTO few VALUES (1, '[1,1,1,1]'), (2, '[0,0,0,0]'), (3, NULL);
SELECT id FROM few ORDER BY v <=> '[1,2,3,4]';
INSERT INTO few SELECT 10 + i, '[1,1,1,1]' FROM generate_series(1, 3000) i;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM few ORDER BY v <=> '[1,2,3,4]') x;
REINDEX INDEX few_v;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM few ORDER BY v <=> '[1,2,3,4]') x;
SELECT lists, rows, dead_slots FROM ann_index_stats('few_v');
TRUNCATE few;
SELECT ann_index_check('few_v');

-- an index that was created before its rows trains itself, in vacuum or when told to
INSERT INTO few SELECT i, ARRAY[sin(i), cos(i), sin(i * 3), cos(i * 5)]::vector FROM generate_series(1, 3000) i;
SELECT lists, rows FROM ann_index_stats('few_v');
VACUUM few;
SELECT lists > 100 AS lists, rows, epoch FROM ann_index_stats('few_v');
SELECT ann_index_check('few_v');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM few ORDER BY v <=> '[1,2,3,4]') x;
SELECT ann_retrain('few_v');
SELECT lists > 100 AS lists, rows, epoch FROM ann_index_stats('few_v');
DELETE FROM few WHERE id % 10 <> 0;
VACUUM few;
SELECT ann_index_check('few_v');
SELECT rows, dead_slots < 100 AS moved FROM ann_index_stats('few_v');
SELECT pg_relation_size('few_v') AS size \gset
INSERT INTO few SELECT i, ARRAY[sin(i), cos(i), sin(i * 3), cos(i * 5)]::vector FROM generate_series(1, 3000) i WHERE i % 10 <> 0;
SELECT pg_relation_size('few_v') <= :size AS pages_used_again;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM few ORDER BY v <=> '[1,2,3,4]') x;

-- expressions, partial indexes, unlogged and temporary tables
CREATE INDEX items_e ON items USING ivf ((v::vector(3)) vector_l2_ops) WHERE id < 1000;
SELECT id FROM items WHERE id < 1000 ORDER BY (v::vector(3)) <-> '[3,3,4]' LIMIT 1;
CREATE UNLOGGED TABLE unlogged (v vector(2));
CREATE INDEX unlogged_v ON unlogged USING ivf (v vector_l2_ops);
INSERT INTO unlogged VALUES ('[1,2]');
SELECT v FROM unlogged ORDER BY v <-> '[1,1]';
CREATE TEMP TABLE temporary (v vector(2));
CREATE INDEX temporary_v ON temporary USING ivfflat (v) WITH (lists = 3);
INSERT INTO temporary SELECT ARRAY[i, 1]::vector FROM generate_series(1, 100) i;
SELECT v FROM temporary ORDER BY v <-> '[50,1]' LIMIT 1;
SELECT ann_index_check('temporary_v');

-- above 4,096 lists centroids are found, and lists chosen, in two steps
CREATE TABLE many (id int, v vector(4));
INSERT INTO many SELECT i, ARRAY[sin(i), cos(i * 2), sin(i * 3.3), cos(i * 5.1)]::vector FROM generate_series(1, 24000) i;
CREATE INDEX many_v ON many USING ivf (v vector_l2_ops) WITH (lists = 5000);
SELECT lists, rows, empty_lists, imbalance < 2 AS balanced FROM ann_index_stats('many_v');
SELECT ann_index_check('many_v');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many ORDER BY v <-> '[0.1,0.2,0.3,0.4]') x;
SET ivf.probes = 64;
-- of 500, by their own vectors
SELECT count(*) FROM generate_series(1, 24000, 48) i, LATERAL (SELECT id FROM many ORDER BY v <-> (SELECT v FROM many WHERE id = i) LIMIT 1) n WHERE n.id = i;
RESET ivf.probes;
DROP TABLE many;

-- vectors that do not fit a page
CREATE TABLE wide (id int, v vector(4000));
INSERT INTO wide SELECT i, (SELECT array_agg(((i * j) % 97)::real) FROM generate_series(1, 4000) j)::vector FROM generate_series(1, 40) i;
CREATE INDEX wide_flat ON wide USING ivf (v vector_l2_ops) WITH (quantizer = flat);
INSERT INTO wide SELECT i, (SELECT array_agg(((i * j) % 97)::real) FROM generate_series(1, 4000) j)::vector FROM generate_series(41, 60) i;
SELECT ann_index_check('wide_flat');
SELECT id FROM wide ORDER BY v <-> (SELECT v FROM wide WHERE id = 50) LIMIT 1;
DELETE FROM wide WHERE id < 35;
VACUUM wide;
SELECT ann_index_check('wide_flat');
SELECT count(*) FROM (SELECT id FROM wide ORDER BY v <-> (SELECT v FROM wide WHERE id = 50)) x;
DROP INDEX wide_flat;
CREATE INDEX wide_rabitq ON wide USING ivf (v vector_l2_ops);
INSERT INTO wide SELECT i, (SELECT array_agg(((i * j) % 97)::real) FROM generate_series(1, 4000) j)::vector FROM generate_series(61, 80) i;
SELECT ann_index_check('wide_rabitq');
SELECT id FROM wide ORDER BY v <-> (SELECT v FROM wide WHERE id = 50) LIMIT 1;
SELECT count(*) FROM (SELECT id FROM wide ORDER BY v <-> (SELECT v FROM wide WHERE id = 50)) x;
DROP TABLE items, few, unlogged, wide;
DROP FUNCTION in_order, try;
