-- hnsw, ivf and ivfflat on bit: each operator class, equal strings, zeros, long ones, binary quantization, mistakes.
CREATE TABLE strings (id int PRIMARY KEY, b bit(100));
-- 60 kinds, of each some with other bits at the end
INSERT INTO strings SELECT i, ('x' || md5((i % 60)::text))::bit(70) || ('x' || md5(i::text))::bit(30) FROM generate_series(1, 600) i;
INSERT INTO strings VALUES (1001, NULL), (1002, repeat('0', 100)::bit(100)), (1003, repeat('1', 100)::bit(100));
-- Queries' distances to their ten nearest rows by an index, against a sort; how many differ. Ties make ids no measure.
CREATE FUNCTION misses(op text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE found bigint := 0; query bit(100); exact float8[]; answer float8[];
BEGIN
  FOR query IN SELECT b FROM strings WHERE id % 50 = 7 OR id IN (1002, 1003) LOOP
    SET LOCAL enable_indexscan = off;
    EXECUTE format('SELECT array_agg(d ORDER BY d) FROM (SELECT b %s $1 AS d FROM strings WHERE b IS NOT NULL ORDER BY 1 LIMIT 10) t', op) INTO exact USING query;
    SET LOCAL enable_indexscan = on;
    EXECUTE format('SELECT array_agg(d) FROM (SELECT b %s $1 AS d FROM strings ORDER BY b %1$s $1 LIMIT 10) t', op) INTO answer USING query;
    found := found + (SELECT count(*) FROM unnest(exact, answer) u(e, a) WHERE e IS DISTINCT FROM a);
  END LOOP;
  RETURN found;
END $$;
-- Rows of a scan to its end, and whether their distances ascend; what is found late comes last.
CREATE FUNCTION to_the_end(op text, query bit) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
  EXECUTE format('SELECT count(*) || '' rows, '' || count(*) FILTER (WHERE n <= 300 AND d < before) || '' out of order'' FROM
    (SELECT d, lag(d) OVER () AS before, row_number() OVER () AS n FROM (SELECT b %s $1 AS d FROM strings ORDER BY b %1$s $1) o) t', op) INTO answer USING query;
  RETURN answer;
END $$;
SET enable_seqscan = off;
CREATE INDEX strings_index ON strings USING hnsw (b bit_hamming_ops);
EXPLAIN (COSTS OFF) SELECT id FROM strings ORDER BY b <~> repeat('01', 50)::bit(100) LIMIT 3;
SELECT misses('<~>');
SELECT to_the_end('<~>', repeat('01', 50)::bit(100));
SELECT ann_index_check('strings_index');
SELECT metric, dims, traversal_bits, refinement_bits, nodes, rows FROM ann_index_stats('strings_index');
-- a query of NULL
SELECT count(*) FROM (SELECT id FROM strings ORDER BY b <~> NULL LIMIT 700) t;
-- rows that come and go, many of them equal
INSERT INTO strings SELECT i, repeat('01', 50)::bit(100) FROM generate_series(2001, 2100) i;
INSERT INTO strings SELECT i, ('x' || md5(i::text))::bit(100) FROM generate_series(3001, 3100) i;
SELECT nodes, rows FROM ann_index_stats('strings_index');
SELECT count(*), min(id), max(id) FROM (SELECT id FROM strings ORDER BY b <~> repeat('01', 50)::bit(100) LIMIT 100) t;
SELECT misses('<~>');
DELETE FROM strings WHERE id BETWEEN 2002 AND 2099 OR id % 3 = 0;
VACUUM strings;
SELECT misses('<~>');
SELECT to_the_end('<~>', repeat('01', 50)::bit(100));
SELECT count(*) FROM strings WHERE b IS NOT NULL;
SELECT ann_index_check('strings_index');
DROP INDEX strings_index;
CREATE INDEX strings_index ON strings USING hnsw (b bit_jaccard_ops);
EXPLAIN (COSTS OFF) SELECT id FROM strings ORDER BY b <%> repeat('01', 50)::bit(100) LIMIT 3;
SELECT misses('<%>');
SELECT to_the_end('<%>', repeat('01', 50)::bit(100));
-- of strings without a one all rows are as far as can be
SELECT to_the_end('<%>', repeat('0', 100)::bit(100));
INSERT INTO strings SELECT i, repeat('0', 100)::bit(100) FROM generate_series(4001, 4020) i;
INSERT INTO strings SELECT i, repeat('0', 99 - i % 5)::bit(100) | B'1'::bit(100) FROM generate_series(4101, 4110) i;
SELECT misses('<%>');
DELETE FROM strings WHERE id BETWEEN 4001 AND 4010;
VACUUM strings;
SELECT misses('<%>');
SELECT to_the_end('<%>', repeat('01', 50)::bit(100));
SELECT ann_index_check('strings_index');
DROP INDEX strings_index;
CREATE INDEX strings_index ON strings USING ivf (b bit_hamming_ops) WITH (lists = 10);
EXPLAIN (COSTS OFF) SELECT id FROM strings ORDER BY b <~> repeat('01', 50)::bit(100) LIMIT 3;
SELECT misses('<~>');
SELECT to_the_end('<~>', repeat('01', 50)::bit(100));
SELECT metric, quantizer, dims FROM ann_index_stats('strings_index');
INSERT INTO strings SELECT i, ('x' || md5(i::text))::bit(100) FROM generate_series(5001, 5100) i;
DELETE FROM strings WHERE id % 7 = 0;
VACUUM strings;
SELECT misses('<~>');
SELECT ann_retrain('strings_index');
SELECT misses('<~>');
SELECT to_the_end('<~>', repeat('01', 50)::bit(100));
SELECT ann_index_check('strings_index');
DROP INDEX strings_index;
CREATE INDEX strings_index ON strings USING ivfflat (b bit_hamming_ops) WITH (lists = 3);
SET ivfflat.probes = 3;
SELECT misses('<~>');
SELECT ann_index_check('strings_index');
DROP INDEX strings_index;
-- more lists than there are strings
CREATE TABLE few (id int, b bit(3));
INSERT INTO few SELECT i, (i % 4)::bit(3) FROM generate_series(1, 40) i;
CREATE INDEX few_index ON few USING ivfflat (b bit_hamming_ops) WITH (lists = 100);
SET ivfflat.probes = 100;
SELECT b, count(*) FROM (SELECT b FROM few ORDER BY b <~> B'111' LIMIT 20) t GROUP BY b ORDER BY b;
SELECT ann_index_check('few_index');
CREATE INDEX few_hnsw ON few USING hnsw (b bit_hamming_ops);
SELECT nodes, rows FROM ann_index_stats('few_hnsw');
DROP TABLE few;
-- attributes
CREATE INDEX strings_index ON strings USING hnsw (b bit_hamming_ops, id);
EXPLAIN (COSTS OFF) SELECT id FROM strings WHERE id < 100 ORDER BY b <~> repeat('01', 50)::bit(100) LIMIT 3;
SELECT count(*) = (SELECT count(*) FROM strings WHERE id < 100) FROM (SELECT id FROM strings WHERE id < 100 ORDER BY b <~> repeat('01', 50)::bit(100) LIMIT 1000) t;
DROP INDEX strings_index;
-- binary quantization: the index on signs finds rows, the vectors put them into order
CREATE TABLE floats (id int, v vector(16));
INSERT INTO floats SELECT i, ARRAY(SELECT sin(i * j) FROM generate_series(1, 16) j)::vector FROM generate_series(1, 300) i;
CREATE INDEX floats_index ON floats USING hnsw ((binary_quantize(v)::bit(16)) bit_hamming_ops);
EXPLAIN (COSTS OFF) SELECT id FROM (SELECT id, v FROM floats ORDER BY binary_quantize(v)::bit(16) <~> binary_quantize('[1,2,3,4,5,6,7,8,-1,-2,-3,-4,-5,-6,-7,-8]'::vector) LIMIT 20) t
  ORDER BY v <=> '[1,2,3,4,5,6,7,8,-1,-2,-3,-4,-5,-6,-7,-8]' LIMIT 3;
SELECT f.id = (SELECT id FROM (SELECT id, v FROM floats ORDER BY binary_quantize(v)::bit(16) <~> binary_quantize(f.v) LIMIT 20) t ORDER BY v <=> f.v LIMIT 1) FROM floats f WHERE f.id IN (3, 170);
CREATE INDEX floats_lists ON floats USING ivf ((binary_quantize(v)::bit(16)) bit_hamming_ops);
SELECT ann_index_check('floats_index'), ann_index_check('floats_lists');
DROP TABLE floats;
-- as long as can be: a node fills its page
CREATE TABLE wide (id int, b bit(64000));
INSERT INTO wide SELECT i, repeat(lpad(i::bit(16)::text, 20, '1'), 3200)::bit(64000) FROM generate_series(1, 40) i;
CREATE INDEX wide_hnsw ON wide USING hnsw (b bit_hamming_ops);
SELECT w.id = (SELECT id FROM wide ORDER BY b <~> w.b LIMIT 1) FROM wide w WHERE w.id IN (3, 17);
SELECT ann_index_check('wide_hnsw');
DROP INDEX wide_hnsw;
CREATE INDEX wide_hnsw ON wide USING hnsw (b bit_jaccard_ops);
SELECT w.id = (SELECT id FROM wide ORDER BY b <%> w.b LIMIT 1) FROM wide w WHERE w.id IN (3, 17);
DROP INDEX wide_hnsw;
CREATE INDEX wide_ivf ON wide USING ivf (b bit_hamming_ops) WITH (lists = 2);
SELECT w.id = (SELECT id FROM wide ORDER BY b <~> w.b LIMIT 1) FROM wide w WHERE w.id IN (3, 17);
SELECT ann_index_check('wide_ivf');
RESET enable_seqscan;
\set VERBOSITY terse
CREATE INDEX ON wide USING hnsw (b bit_hamming_ops) WITH (m = 50, ef_construction = 100);
CREATE INDEX ON strings USING hnsw (b bit_hamming_ops) WITH (code_bits = 4);
CREATE INDEX ON strings USING ivf (b bit_hamming_ops) WITH (quantizer = rabitq);
CREATE INDEX ON strings USING ivf (b bit_hamming_ops) WITH (rerank = index);
CREATE TABLE vectors (v vector(3), b bit);
CREATE INDEX ON vectors USING ivf (v vector_l2_ops) WITH (quantizer = bits);
CREATE TABLE longer (b bit(64001), v varbit(3));
CREATE INDEX ON longer USING hnsw (b bit_hamming_ops);
CREATE INDEX ON longer USING ivfflat (b bit_hamming_ops);
CREATE INDEX ON longer USING hnsw (v bit_hamming_ops);
CREATE INDEX ON vectors USING hnsw ((binary_quantize(v)) bit_jaccard_ops);
CREATE INDEX ON strings USING hnsw (b);
CREATE INDEX ON strings USING ivf (b bit_jaccard_ops);
CREATE INDEX ON strings USING hnsw (b bit_hamming_ops);
SET enable_seqscan = off;
SELECT id FROM strings ORDER BY b <~> B'11' LIMIT 1;
RESET enable_seqscan;
\set VERBOSITY default
DROP TABLE strings, wide, vectors, longer;
DROP FUNCTION misses(text), to_the_end(text, bit);
