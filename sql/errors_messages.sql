-- What the messages say: each names the value that it is about.
\set SHOW_CONTEXT never
SELECT '1,2'::vector;
SELECT '[1,x,3]'::vector;
SELECT '[1,2'::vector;
SELECT '[1,'::vector;
SELECT '[1 2]'::vector;
SELECT '[1,2] and more'::vector;
SELECT '[]'::vector;
SELECT '[1,nan]'::vector;
SELECT '[1,-Infinity]'::vector;
SELECT '[1,4e38]'::vector;
-- a long literal is cut short, between characters
SELECT ('[' || repeat('1,', 100) || 'x' || repeat(',2', 100) || ']')::vector;
SELECT ('[' || repeat('é', 100) || ']')::vector;
SELECT ('[' || repeat('9', 200) || ']')::vector;
SELECT '[1,2,3]'::vector(2);
SELECT ('[' || repeat('1,', 16000) || '1]')::vector;
SELECT array_fill(0, ARRAY[16000])::vector || '[1]';
SELECT '[1]'::vector(1, 2);
SELECT '[1]'::vector(0);
SELECT '[1]'::vector(16001);
SELECT '[1,2]'::vector <-> '[1,2,3]';
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[1e-37]'::vector * '[1e-37]';
SELECT subvector('[1,2,3]'::vector, 4, 2);
SELECT '{{1,2},{3,4}}'::real[]::vector;
SELECT '{}'::real[]::vector;
SELECT '{1,NaN}'::real[]::vector;
SELECT '{1,-1e300,3}'::float8[]::vector;
SELECT '{1,NULL}'::int[]::vector;
-- a cast function over a type that it does not know
CREATE FUNCTION pg_temp.bigint_to_vector(bigint[], integer, boolean) RETURNS vector
  AS '$libdir/ann', 'ann_array_to_vector' LANGUAGE C;
SELECT pg_temp.bigint_to_vector('{1}', -1, false);
-- index hnsw
CREATE TABLE messages (v vector(3), any_dims vector);
INSERT INTO messages VALUES ('[1,2,3]', '[1,2,3]');
CREATE INDEX ON messages USING hnsw (any_dims vector_l2_ops);
CREATE INDEX ON messages USING hnsw (v vector_l2_ops) WITH (m = 40);
CREATE INDEX ON messages USING hnsw (v vector_l2_ops) WITH (m = 101);
CREATE INDEX ON messages USING hnsw (v vector_l2_ops) WITH (lists = 10);
CREATE INDEX messages_v ON messages USING hnsw (v vector_l2_ops);
INSERT INTO messages VALUES ('[1,2]');
SET enable_seqscan = off;
SELECT v FROM messages ORDER BY v <-> '[1,2]' LIMIT 1;
RESET enable_seqscan;
SET hnsw.ef_search = 0;
SET hnsw.iterative_scan = 'on';
SET ann.simd_target = 'none';
SELECT ann_index_check('messages');
DROP TABLE messages;
