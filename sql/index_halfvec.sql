-- hnsw, ivf and ivfflat on halfvec: each operator class, expressions, wide vectors, mistakes.
CREATE TABLE halves (id int PRIMARY KEY, v halfvec(8));
INSERT INTO halves SELECT i, ARRAY(SELECT sin(i * j) * (1 + i % 5) FROM generate_series(1, 8) j)::halfvec FROM generate_series(1, 500) i;
INSERT INTO halves VALUES (1001, NULL), (1002, '[0,0,0,0,0,0,0,0]');
-- The ten nearest of ten rows by an index and by a sort; how many differ.
CREATE FUNCTION misses(op text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint := 0; query halfvec; exact int[]; answer int[];
BEGIN
  FOR query IN SELECT v FROM halves WHERE id % 50 = 7 LOOP
    SET LOCAL enable_indexscan = off;
    EXECUTE format('SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM halves WHERE v IS NOT NULL AND NOT v <=> v = ''NaN'' ORDER BY v %s $1, id LIMIT 10) t', op) INTO exact USING query;
    SET LOCAL enable_indexscan = on;
    EXECUTE format('SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM halves ORDER BY v %s $1 LIMIT 10) t', op) INTO answer USING query;
    found := found + (SELECT count(*) FROM unnest(exact) e WHERE e <> ALL (answer));
  END LOOP;
  RETURN found;
END $$;
CREATE INDEX halves_index ON halves USING hnsw (v halfvec_l2_ops);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM halves ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 3;
SELECT misses('<->');
SELECT ann_index_check('halves_index');
-- rows that come and go
INSERT INTO halves VALUES (1003, '[9,9,9,9,9,9,9,9]');
SELECT id FROM halves ORDER BY v <-> '[9,9,9,9,9,9,9,9]' LIMIT 1;
DELETE FROM halves WHERE id = 1003;
VACUUM halves;
SELECT id FROM halves ORDER BY v <-> '[9,9,9,9,9,9,9,9]' LIMIT 1;
SELECT ann_index_check('halves_index');
DROP INDEX halves_index;
CREATE INDEX halves_index ON halves USING hnsw (v halfvec_ip_ops);
SELECT misses('<#>');
DROP INDEX halves_index;
CREATE INDEX halves_index ON halves USING hnsw (v halfvec_cosine_ops);
SELECT misses('<=>');
DROP INDEX halves_index;
CREATE INDEX halves_index ON halves USING hnsw (v halfvec_l1_ops);
SELECT misses('<+>');
DROP INDEX halves_index;
CREATE INDEX halves_index ON halves USING ivf (v halfvec_l2_ops) WITH (lists = 5);
SELECT misses('<->');
SELECT ann_index_check('halves_index');
DROP INDEX halves_index;
CREATE INDEX halves_index ON halves USING ivf (v halfvec_ip_ops) WITH (lists = 5, quantizer = sq8);
SELECT misses('<#>');
DROP INDEX halves_index;
CREATE INDEX halves_index ON halves USING ivfflat (v halfvec_cosine_ops) WITH (lists = 3);
SET ivfflat.probes = 3;
SELECT misses('<=>');
SELECT ann_index_check('halves_index');
DROP INDEX halves_index;
-- an expression that halves a vector's storage in the index only
CREATE TABLE floats (id int, v vector(4));
INSERT INTO floats SELECT i, ARRAY[i, i * 2, i * 3, i % 7]::vector FROM generate_series(1, 200) i;
CREATE INDEX floats_index ON floats USING hnsw ((v::halfvec(4)) halfvec_l2_ops);
EXPLAIN (COSTS OFF) SELECT id FROM floats ORDER BY v::halfvec(4) <-> '[50,100,150,1]' LIMIT 3;
SELECT id FROM floats ORDER BY v::halfvec(4) <-> '[50,100,150,1]' LIMIT 3;
-- wide, out of line
CREATE TABLE wide (id int, v halfvec(5000));
INSERT INTO wide SELECT i, ARRAY(SELECT sin(i * j) FROM generate_series(1, 5000) j)::halfvec FROM generate_series(1, 20) i;
CREATE INDEX wide_index ON wide USING hnsw (v halfvec_l2_ops);
SELECT w.id = (SELECT id FROM wide ORDER BY v <-> w.v LIMIT 1) FROM wide w WHERE w.id IN (3, 17);
RESET enable_seqscan;
\set VERBOSITY sqlstate
CREATE INDEX ON halves USING hnsw (v);
CREATE INDEX ON halves USING ivf (v halfvec_l1_ops);
CREATE INDEX ON halves USING hnsw (v vector_l2_ops);
CREATE TABLE any_dims (v halfvec);
CREATE INDEX ON any_dims USING hnsw (v halfvec_l2_ops);
CREATE INDEX ON halves USING hnsw (v halfvec_l2_ops);
SELECT id FROM halves ORDER BY v <-> '[1,2]' LIMIT 1;
\set VERBOSITY default
DROP TABLE halves, floats, wide, any_dims;
DROP FUNCTION misses(text);
