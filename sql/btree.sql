-- The default btree operator class of vector.
CREATE TABLE btree_rows (v vector);
INSERT INTO btree_rows SELECT (ARRAY[i % 10, i / 10 % 10, i / 100])[1:1 + i % 3]::vector FROM generate_series(0, 999) i;
INSERT INTO btree_rows VALUES (NULL), ('[-0]'), ('[0,0,0,0]');
CREATE INDEX btree_index ON btree_rows (v);
ANALYZE btree_rows;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM btree_rows WHERE v = '[1]';
SELECT count(*) FROM btree_rows WHERE v = '[1]';
SELECT count(*) FROM btree_rows WHERE v = '[0]';
SELECT count(*) FROM btree_rows WHERE v < '[1]';
SELECT count(*) FROM btree_rows WHERE v <= '[1]';
SELECT count(*) FROM btree_rows WHERE v > '[9,9]';
SELECT count(*) FROM btree_rows WHERE v >= '[9,9]';
EXPLAIN (COSTS OFF) SELECT v FROM btree_rows ORDER BY v LIMIT 3;
SELECT v FROM btree_rows ORDER BY v LIMIT 3;
SELECT v FROM btree_rows ORDER BY v DESC NULLS LAST LIMIT 2;
SELECT count(*) FROM (SELECT v, lag(v) OVER (ORDER BY v) AS before FROM btree_rows) t WHERE before > v;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'vector_ops' AND opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree');
-- unique constraints and merge joins rest on it
CREATE TEMP TABLE unique_rows (v vector UNIQUE);
INSERT INTO unique_rows VALUES ('[1,0]'), ('[1]');
\set VERBOSITY sqlstate
INSERT INTO unique_rows VALUES ('[1,-0]');
\set VERBOSITY default
SET enable_hashjoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM btree_rows a JOIN btree_rows b USING (v);
SELECT count(*) FROM btree_rows a JOIN btree_rows b USING (v);
SELECT DISTINCT v FROM btree_rows WHERE v < '[0,1]' ORDER BY v;
DROP TABLE btree_rows;
