-- Options of CREATE INDEX and settings: defaults, ranges, errors with their SQLSTATE.
\set VERBOSITY sqlstate
CREATE TABLE t (v vector(3), any_dims vector, n int);
INSERT INTO t VALUES ('[1,2,3]', '[1,2,3]', 1), ('[4,5,6]', '[4,5,6,7]', 2);

-- at the ends of the ranges
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 2, ef_construction = 4);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 100, ef_construction = 1000);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (code_bits = 2);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (code_bits = 8);
SELECT reloptions FROM pg_class WHERE relname LIKE 't_v_idx%' ORDER BY relname;
DROP INDEX t_v_idx, t_v_idx1, t_v_idx2, t_v_idx3;

-- beyond them
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 1);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 101);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_construction = 3);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (ef_construction = 1001);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (code_bits = 1);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (code_bits = 9);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 'many');
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (lists = 10);
-- ef_construction below 2 * m, at CREATE and at ALTER
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 31);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) WITH (m = 33);
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 16, ef_construction = 32);
ALTER INDEX t_v SET (m = 17);
ALTER INDEX t_v SET (m = 8);
ALTER INDEX t_v RESET (m);
SELECT reloptions FROM pg_class WHERE relname = 't_v';
DROP INDEX t_v;

-- what the index may be made on
CREATE INDEX ON t USING hnsw (any_dims vector_l2_ops);
CREATE INDEX ON t USING hnsw ((any_dims::vector(3)) vector_l2_ops);
CREATE INDEX ON t USING hnsw ((any_dims::vector) vector_l2_ops);
CREATE INDEX ON t USING hnsw (v);
CREATE INDEX ON t USING hnsw (n vector_l2_ops);
CREATE INDEX ON t USING hnsw (v vector_ops);
CREATE UNIQUE INDEX ON t USING hnsw (v vector_l2_ops);
CREATE INDEX ON t USING hnsw (v vector_l2_ops, v vector_l2_ops);
CREATE INDEX ON t USING hnsw (v vector_l2_ops) INCLUDE (n);
CREATE INDEX ON t USING hnsw (v vector_l2_ops ASC);
CREATE INDEX ON t USING hnsw (v vector_l2_ops NULLS FIRST);
ALTER TABLE t ADD EXCLUDE USING hnsw (v vector_l2_ops WITH =);
-- an operator class whose functions are not the extension's own
CREATE FUNCTION my_distance(vector, vector) RETURNS float8
  LANGUAGE sql IMMUTABLE AS 'SELECT 0::float8';
CREATE OPERATOR CLASS my_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 my_distance(vector, vector);
CREATE INDEX ON t USING hnsw (v my_ops);

-- amvalidate
\set VERBOSITY terse
SELECT opcname, amvalidate(o.oid) FROM pg_opclass o JOIN pg_am a ON a.oid = opcmethod
  WHERE amname = 'hnsw' ORDER BY 1;
CREATE OPERATOR CLASS mixed_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 l1_distance(vector, vector);
CREATE OPERATOR CLASS empty_ops FOR TYPE vector USING hnsw AS STORAGE vector;
CREATE OPERATOR CLASS search_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 = (vector, vector), OPERATOR 2 <-> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_l2_squared_distance(vector, vector);
CREATE OPERATOR CLASS same_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_l2_squared_distance(vector, vector);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'mixed_ops';
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'empty_ops';
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'search_ops';
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'same_ops';
-- a class of one's own over our functions works, whatever a search_path offers under their names
CREATE SCHEMA trap;
CREATE FUNCTION trap.vector_l2_squared_distance(vector, vector) RETURNS float8
  LANGUAGE sql IMMUTABLE AS 'SELECT 0::float8';
SET search_path = trap, public;
CREATE INDEX t_v ON t USING hnsw (v same_ops);
SET enable_seqscan = off;
SELECT v FROM t ORDER BY v <-> '[4,5,6]' LIMIT 1;
RESET enable_seqscan;
RESET search_path;
DROP SCHEMA trap CASCADE;

-- what the access method can do
SELECT p, pg_indexam_has_property(a.oid, p) AS able FROM pg_am a,
  unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include']) p
  WHERE amname = 'hnsw';
SELECT p, pg_index_has_property('t_v'::regclass, p) AS able FROM
  unnest(ARRAY['clusterable', 'index_scan', 'bitmap_scan', 'backward_scan']) p;
SELECT p, pg_index_column_has_property('t_v'::regclass, 1, p) AS able FROM
  unnest(ARRAY['orderable', 'distance_orderable', 'returnable', 'search_array', 'search_nulls']) p;
CLUSTER t USING t_v;
DROP TABLE t;
\set VERBOSITY sqlstate

-- settings
SELECT name, setting, vartype, min_val, max_val, enumvals, boot_val FROM pg_settings
  WHERE name LIKE 'hnsw.%' ORDER BY name;
SET hnsw.ef_search = 0;
SET hnsw.ef_search = 1;
SET hnsw.ef_search = 2147483647;
SET hnsw.ef_search = 2147483648;
SET hnsw.ef_search = 'wide';
SHOW hnsw.ef_search;
RESET hnsw.ef_search;
SHOW hnsw.ef_search;
SET hnsw.iterative_scan = 'off';
SET hnsw.iterative_scan = relaxed_order;
SET hnsw.iterative_scan = strict_order;
SET hnsw.iterative_scan = 'on';
SHOW hnsw.iterative_scan;
SET hnsw.max_scan_tuples = -1;
SET hnsw.max_scan_tuples = 20000;
SHOW hnsw.max_scan_tuples;
SET hnsw.scan_mem_multiplier = 0.5;
SET hnsw.scan_mem_multiplier = 1.5;
SET hnsw.scan_mem_multiplier = 1001;
SHOW hnsw.scan_mem_multiplier;
SET hnsw.no_such_setting = 1;
RESET ALL;

-- Whether ef_search is set, and not only its value, follows RESET, SET LOCAL and rollback: a set
-- value of 40 is narrow, unset lets the index's own number rule.
CREATE TABLE s (id int, v vector(48));
SELECT setseed(0.25);
INSERT INTO s SELECT i, (SELECT array_agg(random()::real)::vector FROM generate_series(1, 48 + 0 * i))
  FROM generate_series(1, 3000) i;
CREATE INDEX s_v ON s USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 8);
ANALYZE s;
SET hnsw.iterative_scan = 'off';
-- rows that one beam gives, with nothing streamed after it
CREATE FUNCTION beam() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT count(*) FROM (SELECT id FROM s ORDER BY v <-> (SELECT v FROM s WHERE id = 1) LIMIT 2900) r $$;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT beam() AS unset \gset
SET hnsw.ef_search = 40;
SELECT beam() = 40 AS set_to_40, :unset > 40 AS unset_is_wider;
RESET hnsw.ef_search;
SELECT beam() = :unset AS after_reset;
BEGIN;
SET LOCAL hnsw.ef_search = 40;
SELECT beam() = 40 AS set_local;
COMMIT;
SELECT beam() = :unset AS after_set_local;
BEGIN;
SET hnsw.ef_search = 40;
SAVEPOINT inner_one;
RESET hnsw.ef_search;
SELECT beam() = :unset AS reset_inside;
ROLLBACK TO inner_one;
SELECT beam() = 40 AS after_rollback_to;
ROLLBACK;
SELECT beam() = :unset AS after_rollback;
ALTER FUNCTION beam() SET hnsw.ef_search = 50;
SELECT beam() = 50 AS in_function;
RESET ALL;
DROP FUNCTION beam;
DROP TABLE s;
DROP OPERATOR FAMILY my_ops USING hnsw;
DROP OPERATOR FAMILY mixed_ops USING hnsw;
DROP OPERATOR FAMILY empty_ops USING hnsw;
DROP OPERATOR FAMILY search_ops USING hnsw;
DROP OPERATOR FAMILY same_ops USING hnsw;
DROP FUNCTION my_distance;
