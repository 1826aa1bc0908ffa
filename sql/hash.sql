-- The hash operator class of vector: hash joins, hash aggregates, hash indexes, hash partitions.
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'vector_ops' AND opcmethod = (SELECT oid FROM pg_am WHERE amname = 'hash');
-- equal vectors hash alike, -0 and 0 among them
SELECT vector_hash('[0,1,-0]') = vector_hash('[-0,1,0]'), vector_hash_extended('[0,-0]', 42) = vector_hash_extended('[-0,0]', 42);
-- unequal ones do not, and dimensions count
SELECT vector_hash('[0]') <> vector_hash('[0,0]'), vector_hash('[1,2]') <> vector_hash('[2,1]'), vector_hash('[1]') <> vector_hash('[-1]');
SELECT vector_hash_extended('[1,2]', 1) <> vector_hash_extended('[1,2]', 2);
-- with seed 0 the low half is the plain hash
SELECT count(*) FROM generate_series(1, 100) d, LATERAL (SELECT array_agg(sin(i * d)) ::vector AS v FROM generate_series(1, d) i) t
WHERE (vector_hash_extended(v, 0) & x'FFFFFFFF'::bigint) <> (vector_hash(v)::bigint & x'FFFFFFFF'::bigint);
SELECT count(DISTINCT vector_hash(ARRAY[i]::vector)) > 990 FROM generate_series(1, 1000) i;

CREATE TABLE hash_rows (id int, v vector(2));
INSERT INTO hash_rows SELECT i, ARRAY[i % 10, CASE WHEN i % 2 = 0 THEN 0 ELSE '-0'::float8 END]::float8[]::vector FROM generate_series(1, 1000) i;
ANALYZE hash_rows;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT v, count(*) FROM hash_rows GROUP BY v;
SELECT count(*), sum(n) FROM (SELECT v, count(*) AS n FROM hash_rows GROUP BY v) t;
SELECT count(*) FROM (SELECT DISTINCT v FROM hash_rows) t;
RESET enable_sort;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM hash_rows a JOIN hash_rows b ON a.v = b.v;
SELECT count(*) FROM hash_rows a JOIN hash_rows b ON a.v = b.v;
SELECT count(*) FROM hash_rows WHERE v IN ('[1,0]', '[2,-0]', '[3,1]', '[4,1]', '[5,1]', '[6,1]', '[7,1]', '[8,1]', '[9,1]', '[10,1]');
CREATE INDEX hash_index ON hash_rows USING hash (v);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT * FROM hash_rows WHERE v = '[3,0]';
SELECT count(*) FROM hash_rows WHERE v = '[3,0]';
SELECT count(*) FROM hash_rows WHERE v = '[3,1]';
RESET enable_seqscan;
CREATE TABLE hash_parts (v vector) PARTITION BY HASH (v);
CREATE TABLE hash_part0 PARTITION OF hash_parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hash_part1 PARTITION OF hash_parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO hash_parts SELECT v FROM hash_rows;
INSERT INTO hash_parts VALUES ('[0]'), ('[-0]');
SELECT count(DISTINCT tableoid) FROM hash_parts WHERE v = '[0]';
SELECT count(DISTINCT tableoid), count(*) FROM hash_parts;
DROP TABLE hash_parts, hash_rows;
