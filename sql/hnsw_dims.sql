-- From 1 to 16,000 dimensions: build, insert, search, vacuum, check.
SET enable_seqscan = off;
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real - 0.5)::vector FROM generate_series(1, dims) $$;

-- Of `n` rows half are there before the index and half come after; each row is its own nearest
-- neighbour, all rows are returned, and none is lost to a vacuum of others.
CREATE FUNCTION try_dims(dims int, n int, opclass text, operator text)
  RETURNS TABLE (self_found bigint, all_rows bigint, after_delete bigint) LANGUAGE plpgsql AS $$
DECLARE
  self text := format('SELECT count(*) FROM (SELECT v FROM t ORDER BY id LIMIT 40) q
    WHERE (SELECT id FROM (SELECT id, v FROM t ORDER BY v %s q.v LIMIT 1) r WHERE r.v = q.v) IS NOT NULL', operator);
  everything text := format('SELECT count(DISTINCT id) FROM
    (SELECT id FROM t ORDER BY v %s (SELECT v FROM t WHERE id = 1) LIMIT 100000) r', operator);
BEGIN
  PERFORM setseed(0.4);
  EXECUTE format('CREATE TABLE t (id int, v vector(%s))', dims);
  INSERT INTO t SELECT i, random_vector(dims + 0 * i) FROM generate_series(1, n / 2) i;
  EXECUTE format('CREATE INDEX t_v ON t USING hnsw (v %s)', opclass);
  INSERT INTO t SELECT i, random_vector(dims + 0 * i) FROM generate_series(n / 2 + 1, n) i;
  EXECUTE self INTO self_found;
  EXECUTE everything INTO all_rows;
  DELETE FROM t WHERE id > 40 AND id % 2 = 0;
  EXECUTE everything INTO after_delete;
  RETURN NEXT;
END $$;
CREATE PROCEDURE show_dims(dims int, n int, opclass text, operator text) LANGUAGE plpgsql AS $$
DECLARE
  r record;
BEGIN
  SELECT * INTO r FROM try_dims(dims, n, opclass, operator);
  RAISE INFO '% x % %: found %, all % %', n, dims, opclass, r.self_found, r.all_rows, r.after_delete;
END $$;

CALL show_dims(1, 500, 'vector_l2_ops', '<->');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(1, 500, 'vector_l1_ops', '<+>');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(2, 500, 'vector_l2_ops', '<->');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(2, 500, 'vector_cosine_ops', '<=>');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(3, 500, 'vector_l2_ops', '<->');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(100, 300, 'vector_l1_ops', '<+>');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(2000, 200, 'vector_l2_ops', '<->');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(2000, 200, 'vector_l1_ops', '<+>');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(2001, 100, 'vector_cosine_ops', '<=>');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(4000, 100, 'vector_l2_ops', '<->');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(16000, 80, 'vector_l2_ops', '<->');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(16000, 80, 'vector_cosine_ops', '<=>');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;
CALL show_dims(16000, 80, 'vector_l1_ops', '<+>');
VACUUM t; SELECT ann_index_check('t_v'); DROP TABLE t;

-- the smallest and the largest lists where a slot holds most
CREATE TABLE t (id int, v vector(16000));
SELECT setseed(0.4);
INSERT INTO t SELECT i, random_vector(16000 + 0 * i) FROM generate_series(1, 20) i;
CREATE INDEX t_v ON t USING hnsw (v vector_l2_ops) WITH (m = 100, ef_construction = 200, code_bits = 8);
SELECT ann_index_check('t_v');
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <-> (SELECT v FROM t WHERE id = 1) LIMIT 100) r;
DROP INDEX t_v;
CREATE INDEX t_v ON t USING hnsw (v vector_ip_ops) WITH (m = 2, ef_construction = 4, code_bits = 2);
SELECT ann_index_check('t_v');
SELECT count(*) FROM (SELECT id FROM t ORDER BY v <#> (SELECT v FROM t WHERE id = 1) LIMIT 100) r;
DROP TABLE t;
DROP PROCEDURE show_dims;
DROP FUNCTION try_dims, random_vector;
