-- ann_recall: recall and times of a table's own rows as queries.
\set VERBOSITY terse
SET client_min_messages = warning;
SET enable_seqscan = off;
CREATE TABLE measured (id int PRIMARY KEY, v vector(16), h halfvec(16), s sparsevec(16), b bit(64), part int);
INSERT INTO measured SELECT i, v, v, v::sparsevec, string_agg(CASE WHEN sin(i * 7919 + j) > 0 THEN '1' ELSE '0' END, '')::bit(64), i % 3
FROM (SELECT i, random_unit_vector(16, i) v FROM generate_series(1, 600) i) r, generate_series(1, 64) j GROUP BY i, v;
-- what ann_recall says of all rows, and what SQL says
CREATE FUNCTION recall_of(op text, col text, k int, condition text DEFAULT 'true') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  q record;
  hits int := 0;
  wanted int := 0;
  found int[];
  farthest float8;
  r record;
BEGIN
  FOR q IN EXECUTE format('SELECT id, (%s)::text v FROM measured WHERE %s', col, condition) LOOP
    SET LOCAL enable_indexscan = off;
    SET LOCAL enable_bitmapscan = off;
    SET LOCAL enable_seqscan = on;
    EXECUTE format('SELECT d FROM (SELECT (%s) %s %L AS d FROM measured WHERE id <> $1 AND %s ORDER BY 1 LIMIT $2) r ORDER BY 1 DESC LIMIT 1',
      col, op, q.v, condition) INTO farthest USING q.id, k;
    SET LOCAL enable_indexscan = on;
    SET LOCAL enable_seqscan = off;
    EXECUTE format('SELECT count(*) FILTER (WHERE d <= $3) FROM (SELECT (%1$s) %2$s %4$L AS d, row_number() OVER () n FROM (SELECT * FROM measured WHERE %3$s ORDER BY (%1$s) %2$s %4$L LIMIT $2 + 1) r WHERE id <> $1) r WHERE n <= $2',
      col, op, condition, q.v) INTO r USING q.id, k, farthest + 1e-7;
    hits := hits + least(r.count, k);
    wanted := wanted + k;
  END LOOP;
  SELECT * INTO r FROM ann_recall('measured_i', k, 10000);
  RETURN format('%s queries, recall %s, agrees %s, interval %s, times %s', r.queries,
    CASE WHEN r.recall = 1 THEN 'all' WHEN r.recall > .9 THEN 'most' ELSE 'some' END,
    abs(r.recall - hits::float8 / wanted) < 1e-9, r.recall_low <= r.recall AND r.recall <= r.recall_high AND r.recall_low < r.recall_high AND r.recall_high <= 1,
    0 < r.ms_median AND r.ms_median <= r.ms_p99);
END $$;
SET hnsw.ef_search = 10;
CREATE INDEX measured_i ON measured USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 8);
SELECT recall_of('<->', 'v', 10);
SELECT recall_of('<->', 'v', 1);
SET hnsw.ef_search = 600;
SELECT recall_of('<->', 'v', 10);
-- a search that is cut short at 5 rows, itself one of them
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 5;
SELECT recall BETWEEN .35 AND .4 AS cut_short, queries FROM ann_recall('measured_i', 10, 10000);
SELECT recall_of('<->', 'v', 10);
RESET hnsw.iterative_scan;
SET hnsw.ef_search = 10;
-- other metrics and types
DROP INDEX measured_i;
CREATE INDEX measured_i ON measured USING hnsw (v vector_cosine_ops) WITH (m = 4, ef_construction = 8);
SELECT recall_of('<=>', 'v', 10);
DROP INDEX measured_i;
CREATE INDEX measured_i ON measured USING hnsw (h halfvec_ip_ops, part) WITH (m = 4, ef_construction = 8);
SELECT recall_of('<#>', 'h', 10);
DROP INDEX measured_i;
CREATE INDEX measured_i ON measured USING hnsw (s sparsevec_l1_ops) WITH (m = 4, ef_construction = 8);
SELECT recall_of('<+>', 's', 10);
DROP INDEX measured_i;
CREATE INDEX measured_i ON measured USING hnsw (b bit_jaccard_ops) WITH (m = 4, ef_construction = 8);
SELECT recall_of('<%>', 'b', 10);
DROP INDEX measured_i;
-- an expression, some rows
CREATE INDEX measured_i ON measured USING hnsw ((subvector(v, 1, 8)::vector(8)) vector_l2_ops) WHERE part < 2;
SELECT recall_of('<->', 'subvector(v, 1, 8)::vector(8)', 10, 'part < 2');
DROP INDEX measured_i;
-- lists
SET ivf.probes = 2;
SET ivfflat.probes = 2;
CREATE INDEX measured_i ON measured USING ivf (v vector_l2_ops) WITH (lists = 10);
SELECT recall_of('<->', 'v', 10);
SET ivf.probes = 10;
SELECT recall_of('<->', 'v', 10);
DROP INDEX measured_i;
CREATE INDEX measured_i ON measured USING ivfflat (h halfvec_cosine_ops) WITH (lists = 10);
SELECT recall_of('<=>', 'h', 10);
DROP INDEX measured_i;
CREATE INDEX measured_i ON measured USING ivf (b bit_hamming_ops) WITH (lists = 10);
SELECT recall_of('<~>', 'b', 10);
DROP INDEX measured_i;

-- the sample is the same each time; rows that the transaction does not see, NULL and zeros are no part of it
RESET hnsw.ef_search;
CREATE INDEX measured_i ON measured USING hnsw (v vector_cosine_ops);
SELECT a.recall = b.recall AS same, a.queries FROM ann_recall('measured_i', sample => 50) a, ann_recall('measured_i', sample => 50) b;
SELECT queries FROM ann_recall('measured_i');
INSERT INTO measured (id, v) VALUES (1001, NULL), (1002, array_fill(0, ARRAY[16])::vector);
DELETE FROM measured WHERE id <= 100;
SELECT queries FROM ann_recall('measured_i', 10, 10000);
-- copies of a vector are as near as each other
UPDATE measured SET v = '[1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]' WHERE id > 300;
SELECT recall, recall_low < 1 AS low, recall_high, queries FROM ann_recall('measured_i', 5, 10000);
-- fewer rows than are wanted, one, none
DELETE FROM measured WHERE id > 104;
SELECT recall, queries FROM ann_recall('measured_i');
DELETE FROM measured WHERE id > 101;
SELECT * FROM ann_recall('measured_i');
DELETE FROM measured;
SELECT * FROM ann_recall('measured_i');
SELECT * FROM ann_recall(NULL);

-- what is refused
SELECT ann_recall('measured_i', 0);
SELECT ann_recall('measured_i', 1001);
SELECT ann_recall('measured_i', 10, 0);
SELECT ann_recall('measured_i', 10, 10001);
SELECT ann_recall('measured');
SELECT ann_recall('measured_pkey');
SELECT ann_recall('no_index');
CREATE TABLE large (v vector(2000));
INSERT INTO large SELECT random_unit_vector(2000, i) FROM generate_series(1, 200) i;
CREATE INDEX large_i ON large USING ivf (v vector_l2_ops) WITH (lists = 2);
SET maintenance_work_mem = '1MB';
\set VERBOSITY default
SELECT ann_recall('large_i', sample => 200);
\set VERBOSITY terse
SELECT queries FROM ann_recall('large_i');
RESET maintenance_work_mem;
DROP TABLE large;

-- the owner measures, and functions of the index run as the owner of the table
CREATE ROLE regress_recall_owner;
CREATE ROLE regress_recall_other;
GRANT CREATE ON SCHEMA public TO regress_recall_owner;
SET ROLE regress_recall_owner;
CREATE TABLE owned (v vector(2));
INSERT INTO owned SELECT ARRAY[i, i]::vector FROM generate_series(1, 20) i;
CREATE FUNCTION who(vector) RETURNS vector IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  IF current_user <> 'regress_recall_owner' THEN RAISE 'run as %', current_user; END IF;
  RETURN $1;
END $$;
CREATE INDEX owned_i ON owned USING hnsw ((who(v)::vector(2)) vector_l2_ops);
SELECT recall FROM ann_recall('owned_i', 3);
GRANT SELECT ON owned TO regress_recall_other;
SET ROLE regress_recall_other;
SELECT ann_recall('owned_i', 3);
RESET ROLE;
SELECT recall FROM ann_recall('owned_i', 3);
SELECT current_user = session_user AS oneself;
DROP TABLE owned, measured;
DROP FUNCTION who(vector), recall_of(text, text, int, text);
REVOKE CREATE ON SCHEMA public FROM regress_recall_owner;
DROP ROLE regress_recall_owner, regress_recall_other;
