-- Columns after the vector: each type and operator gives the rows that a sequential scan gives.
\set VERBOSITY terse
SET client_min_messages = warning;
SET TimeZone = 'America/New_York';

-- "rows, whether the index tells them apart (all conditions are Index Cond), whether they are the right ones"
CREATE FUNCTION same(conditions text, query vector DEFAULT '[1,2,3]') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  line text;
  plan text := '';
  found int[];
  wanted int[];
BEGIN
  SET LOCAL enable_seqscan = off;
  FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT id FROM typed WHERE %s ORDER BY v <-> %L', conditions, query) LOOP
    plan := plan || line;
  END LOOP;
  EXECUTE format('SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM typed WHERE %s ORDER BY v <-> %L) x', conditions, query) INTO found;
  SET LOCAL enable_seqscan = on;
  SET LOCAL enable_indexscan = off;
  EXECUTE format('SELECT array_agg(id ORDER BY id) FROM typed WHERE %s', conditions) INTO wanted;
  SET LOCAL enable_indexscan = on;
  RETURN coalesce(cardinality(wanted), 0) || ' rows, '
    || CASE WHEN plan !~ 'Index Scan' THEN 'no index' WHEN plan ~ 'Filter' THEN 'filtered' ELSE 'indexed' END
    || CASE WHEN found IS NOT DISTINCT FROM wanted THEN '' ELSE ', WRONG: ' || coalesce(cardinality(found), 0) END;
END $$;

CREATE TYPE mood AS ENUM ('sad', 'happy');
ALTER TYPE mood ADD VALUE 'ok' BEFORE 'happy';  -- its oid is the largest
CREATE TABLE typed (
  id int PRIMARY KEY, v vector(3), flag bool, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric,
  d date, t time, ts timestamp, tz timestamptz, u uuid, o oid, m mood, x text, vc varchar(9), bc char(9), ia int[], ta text[]);
INSERT INTO typed SELECT i, ARRAY[sin(i), cos(i), sin(3 * i)]::vector, i % 3 = 0, i % 20 - 10, (i % 25 - 12) * 100000000,
  (i % 30 - 15) * 600000000000000000, (i % 12 - 6) / 4.0, (i % 14 - 7) / 2.0, (i % 16 - 8) / 10.0,
  date '2024-03-01' + i % 40, time '00:00' + i % 24 * interval '1 hour', timestamp '2024-03-08' + i % 50 * interval '3 hours',
  timestamptz '2024-03-08' + i % 50 * interval '3 hours', md5((i % 9)::text)::uuid, (4294967280 + i % 10)::oid,
  (enum_range(NULL::mood))[1 + i % 3], 'text ' || i % 11, 'v' || i % 6, 'b' || i % 6,
  ARRAY[i % 7, i % 5], ARRAY['t' || i % 7, 'u' || i % 5]
FROM generate_series(1, 600) i;
UPDATE typed SET o = id % 10 WHERE id % 2 = 0;
UPDATE typed SET i4 = NULL, f8 = NULL, n = NULL, d = NULL, x = NULL, ia = NULL WHERE id % 31 = 0;
-- ends of ranges
UPDATE typed SET i2 = -32768, i4 = -2147483648, i8 = -9223372036854775808, f4 = '-inf', f8 = '-inf', n = '-inf', d = '-infinity', ts = '-infinity', tz = '-infinity' WHERE id = 1;
UPDATE typed SET i2 = 32767, i4 = 2147483647, i8 = 9223372036854775807, f4 = 'inf', f8 = 'inf', n = 'inf', d = 'infinity', ts = 'infinity', tz = 'infinity' WHERE id = 2;
UPDATE typed SET f4 = 'nan', f8 = 'nan', n = 'nan' WHERE id = 3;
UPDATE typed SET f4 = '-0', f8 = '-0' WHERE id = 4;
UPDATE typed SET ia = '{}', ta = '{}' WHERE id = 5;
UPDATE typed SET ia = '{NULL,3}', ta = '{NULL}', x = '' WHERE id = 6;
UPDATE typed SET v = '[1,2,3]' WHERE id BETWEEN 100 AND 140;  -- one vector, many values

-- all operators of ordered types
CREATE TABLE operators (op text);
INSERT INTO operators VALUES ('<'), ('<='), ('='), ('>='), ('>');

CREATE INDEX typed_v ON typed USING hnsw (v vector_l2_ops, flag, i2, i4, i8, f4, f8, n);
SELECT attributes, attribute_bytes, column_pages > 0 AS columns FROM ann_index_stats('typed_v');
SELECT ann_index_check('typed_v');
SELECT c, op, same(format('%s %s %s', split_part(c, ' ', 1), op, split_part(c, ' ', 2))) FROM operators,
  unnest('{i2 3,i2 40000,i2 ''-9223372036854775808''::int8,i4 100000000,i4 3::int2,i4 9223372036854775807,i4 -9223372036854775808,i8 -1200000000000000000,i8 7::int2,i8 9223372036854775807}'::text[]) c
ORDER BY c COLLATE "C", op COLLATE "C";
SELECT c, op, same(format('%s %s %s', split_part(c, ' ', 1), op, split_part(c, ' ', 2))) FROM operators,
  unnest(ARRAY['f4 0.5', 'f4 0::float4', 'f4 0.1::float8', 'f4 ''nan''', 'f4 ''inf''', 'f4 1e300', 'f8 0.5::float4', 'f8 -0.0::float8', 'f8 ''nan''', 'f8 ''-inf''', 'n 0.3', 'n 0.30000000000000000001',
    'n ''nan''', 'n ''-inf''', 'n 1e400::numeric']) c
ORDER BY c COLLATE "C", op COLLATE "C";
SELECT c, same(c) FROM unnest(ARRAY['i4 IS NULL', 'i4 IS NOT NULL', 'i4 = NULL::int', 'i4 BETWEEN -100000000 AND 300000000', 'i4 > 5 AND i4 < 3', 'i4 > 0 AND f8 < 1 AND n >= 0',
  'i4 IS NULL AND f8 IS NULL', 'i4 IS NULL AND f8 > 0', 'f8 IS NULL AND i4 = 3', 'v IS NOT NULL AND i2 = 3', 'i2 = 3 AND f4 = 0.5', 'i2 = 3 AND id % 2 = 1']) c;
-- what reaches the index in one way or another
SELECT c, regexp_replace(same(c), ', (filtered|indexed)', '') FROM unnest(ARRAY['flag', 'NOT flag', 'flag = true', 'flag IS TRUE', 'flag > false', 'i2 IN (3, 5, NULL)', 'i2 = ANY (''{}'')', 'i8 IN (-1200000000000000000, 4)',
  'i4 < ANY (''{1,2}'')', 'i2 = 3 OR i4 = 0', 'i2 <> 3', 'n IN (0.1, 0.2)']) c;
SELECT same('v IS NULL');
DROP INDEX typed_v;

CREATE INDEX typed_v ON typed USING hnsw (v vector_l2_ops, d, t, ts, tz, u);
SELECT ann_index_check('typed_v');
SELECT c, op, same(format('%s %s %s', split_part(c, ' ', 1), op, substr(c, strpos(c, ' ')))) FROM operators,
  unnest(ARRAY['d date ''2024-03-12''', 'd timestamp ''2024-03-12''', 'd timestamp ''2024-03-12 00:00:01''', 'd timestamptz ''2024-03-12 02:00+00''', 'd date ''infinity''', 'd timestamp ''-infinity''',
    't time ''12:00''', 'ts timestamp ''2024-03-10 03:00''', 'ts date ''2024-03-10''', 'ts timestamptz ''2024-03-10 03:00-04''', 'ts timestamptz ''infinity''',
    'ts date ''5874897-12-31''', 'ts date ''infinity''', 'tz timestamptz ''2024-03-10 03:00-04''', 'tz date ''2024-03-10''', 'tz timestamp ''2024-03-10 02:30''',
    'tz date ''5874897-12-31''', 'tz timestamp ''-infinity''', 'u ''c81e728d-9d4c-2f63-6f06-7f89cc14862c''']) c
ORDER BY c COLLATE "C", op COLLATE "C";
DROP INDEX typed_v;

CREATE INDEX typed_v ON typed USING hnsw (v vector_l2_ops, o, m, x, vc, bc, ia, ta);
SELECT ann_index_check('typed_v');
SELECT c, op, same(format('%s %s %s', split_part(c, ' ', 1), op, split_part(c, ' ', 2))) FROM operators, unnest(ARRAY['o 3', 'o 4294967285', 'm ''ok''', 'm ''sad''', 'm ''happy''']) c
ORDER BY c COLLATE "C", op COLLATE "C";
SELECT c, same(c) FROM unnest(ARRAY['x = ''text 3''', 'x = ''''', 'x = ''none''', 'x IS NULL', 'vc = ''v3''', 'bc = ''b3''', 'bc = ''b3    ''', 'x = ''text 3'' AND m > ''sad''',
  'ia && ''{3}''', 'ia && ''{3,4}''', 'ia @> ''{3,4}''', 'ia @> ''{}''', 'ia && ''{}''', 'ia @> ''{NULL}''', 'ia && ''{NULL,3}''', 'ia IS NULL', 'ta && ''{t3}''', 'ta @> ''{t3,u1}''', 'ta && ''{t3}'' AND ta && ''{u1}'' AND ia @> ''{3}''']) c;
SELECT c, regexp_replace(same(c), ', (filtered|indexed)', '') FROM unnest(ARRAY['x LIKE ''text 1%''', 'x > ''text 3''', 'x IN (''text 3'', ''text 4'')', 'm IN (''ok'')', 'm = ANY (''{sad,happy}'')', 'ia = ''{3,3}''', 'ia <@ ''{1,2,3}''']) c;

-- a parameter, and a plan that is made before it is known
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
PREPARE generic(text, mood, int[]) AS SELECT count(*), bool_and(x = $1 AND m >= $2 AND ia && $3) FROM (SELECT * FROM typed WHERE x = $1 AND m >= $2 AND ia && $3 ORDER BY v <-> '[1,2,3]' LIMIT 4) l;
EXPLAIN (COSTS OFF) EXECUTE generic('text 3', 'ok', '{3}');
EXECUTE generic('text 3', 'ok', '{3}');
EXECUTE generic('text 4', 'sad', '{0}');
EXECUTE generic('text 4', NULL, '{0}');
RESET plan_cache_mode;
-- a join gives the value: a scan for each outer row
EXPLAIN (COSTS OFF) SELECT k, near.id FROM generate_series(1, 3) k CROSS JOIN LATERAL (SELECT id FROM typed WHERE x = 'text ' || k ORDER BY v <-> '[1,2,3]' LIMIT 2) near;
SELECT k, count(*), bool_and(near.x = 'text ' || k) FROM generate_series(1, 3) k CROSS JOIN LATERAL (SELECT x FROM typed WHERE x = 'text ' || k ORDER BY v <-> '[1,2,3]' LIMIT 2) near GROUP BY k ORDER BY k;
RESET enable_seqscan;

-- a collation under which different strings are equal
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE loosely (id serial, v vector(2), x text COLLATE loose, a text[] COLLATE loose);
INSERT INTO loosely (v, x, a) SELECT ARRAY[i, 1], (ARRAY['Ann', 'ann', 'ANN', 'Bob'])[1 + i % 4], ARRAY[(ARRAY['Ann', 'ann', 'ANN', 'Bob'])[1 + i % 4]] FROM generate_series(1, 40) i;
CREATE INDEX ON loosely USING hnsw (v vector_l2_ops, x, a);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM loosely WHERE x = 'aNN' ORDER BY v <-> '[0,0]';
SELECT count(*) FROM (SELECT id FROM loosely WHERE x = 'aNN' ORDER BY v <-> '[0,0]') l;
SELECT count(*) FROM (SELECT id FROM loosely WHERE x = 'aNN' COLLATE "C" ORDER BY v <-> '[0,0]') l;
SELECT count(*) FROM (SELECT id FROM loosely WHERE a && '{aNN}' ORDER BY v <-> '[0,0]') l;
RESET enable_seqscan;

-- an update of an attribute only: the row joins its vector's node
SELECT nodes AS nodes_before FROM ann_index_stats('typed_v') \gset
UPDATE typed SET x = 'changed ' || id % 3 WHERE id % 5 = 0;
SELECT nodes - :nodes_before <= 3 AS joined, ann_index_check('typed_v') FROM ann_index_stats('typed_v');
SELECT same('x = ''changed 1'''), same('x = ''text 3'''), same('x = ''changed 1'' AND m = ''ok''');
DELETE FROM typed WHERE id % 7 = 0;
VACUUM typed;
SELECT chain_chunks, ann_index_check('typed_v') FROM ann_index_stats('typed_v');
SELECT same('x = ''changed 1'''), same('x = ''text 3'''), same('x = ''changed 1'' AND m = ''ok'''), same('x IS NULL');
INSERT INTO typed (id, v, x) SELECT i, ARRAY[i % 50, 1, 0]::vector, 'new ' || i % 3 FROM generate_series(2001, 2300) i;
SELECT same('x = ''new 1'''), same('m IS NULL'), ann_index_check('typed_v');
DROP TABLE typed;

-- nothing is linked for it: three or four records of WAL a row, where a new vector takes ten
CREATE TABLE moved (id int, a int, b text, v vector(16));
INSERT INTO moved SELECT i, i % 10, 'word ' || i % 10, random_unit_vector(16, i) FROM generate_series(1, 1000) i;
CREATE INDEX moved_v ON moved USING hnsw (v vector_l2_ops, a, b);
CREATE FUNCTION records_a_row(change text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, WAL, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT json) UPDATE moved SET ' || change || ' WHERE id % 10 = 3' INTO plan;
  RETURN (plan -> 0 -> 'Plan' ->> 'WAL Records')::float8 / 100;
END $$;
SELECT records_a_row('a = a + 1') < 5 AS attribute, records_a_row('a = id, b = NULL') < 5 AS attributes, records_a_row('v = random_unit_vector(16, -id)') > 8 AS vector, ann_index_check('moved_v');
DROP FUNCTION records_a_row;
DROP TABLE moved;

-- an index that was created empty, and each metric
CREATE TABLE late (id int, v vector(3), a int, b float8);
CREATE INDEX late_l2 ON late USING hnsw (v vector_l2_ops, a, b);
CREATE INDEX late_l1 ON late USING hnsw (v vector_l1_ops, a) WITH (m = 4, ef_construction = 10);
CREATE INDEX late_ip ON late USING hnsw (v vector_ip_ops, b);
CREATE INDEX late_cosine ON late USING hnsw (v vector_cosine_ops, a, b);
INSERT INTO late SELECT i, ARRAY[sin(i), cos(i), sin(3 * i)]::vector, i % 10, i % 4 FROM generate_series(1, 1500) i;
SELECT c.relname, ann_index_check(c.oid), attributes, rows FROM pg_class c, ann_index_stats(c.oid) WHERE relname LIKE 'late\_%' ORDER BY 1;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT FROM late WHERE a = 3 AND b < 2 ORDER BY v <-> '[1,1,1]') l;
SELECT count(*) FROM (SELECT FROM late WHERE a = 3 ORDER BY v <+> '[1,1,1]') l;
SELECT count(*) FROM (SELECT FROM late WHERE b = 3 ORDER BY v <#> '[1,1,1]') l;
SELECT count(*) FROM (SELECT FROM late WHERE a = 3 AND b = 1 ORDER BY v <=> '[1,1,1]') l;
SELECT count(*) FROM (SELECT FROM late WHERE a = 3 AND b = 1 ORDER BY v <=> '[0,0,0]') l;
RESET enable_seqscan;

-- what cannot be an attribute
CREATE TABLE refused (v vector(3), w vector(3), a int, j json, p point, jj json[], u1 uuid, u2 uuid, u3 uuid, u4 uuid);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, j);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, p);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, jj);
CREATE INDEX ON refused USING hnsw (a, v vector_l2_ops);
CREATE INDEX ON refused USING hnsw (a);
CREATE INDEX ON refused USING ivf (a);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, w vector_l2_ops);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops) INCLUDE (a);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, a, a, a, a, a, a, a, a, a);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, u1, u2, u3, u4, a);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, u1, u2, u3, u4);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, a DESC);

-- citext, once it is there
SELECT ann_add_citext();
CREATE EXTENSION citext;
SELECT ann_add_citext();
CREATE TABLE typed (id int, v vector(3), x citext);
INSERT INTO typed SELECT i, ARRAY[i % 17, 1, 2]::vector, (ARRAY['Ann', 'ann', 'ANN', 'Bob'])[1 + i % 4] FROM generate_series(1, 200) i;
CREATE INDEX typed_v ON typed USING hnsw (v vector_l2_ops, x);
SELECT same('x = ''aNN'''), same('x = ''nobody'''), same('x IS NULL');
SELECT amname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcname = 'citext_ops' AND amname IN ('hnsw', 'ivf', 'ivfflat') ORDER BY 1;
DROP TABLE typed;
DROP EXTENSION citext CASCADE;

-- hints
\set VERBOSITY default
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, a, a, a, a, a, a, a, a, a);
CREATE INDEX ON refused USING ivf (v vector_l2_ops, u1, u2, u3, u4, a);
CREATE INDEX ON refused USING ivf (v vector_l2_ops, jj);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops) INCLUDE (a);
CREATE INDEX ON refused USING ivfflat (v vector_l2_ops, a) INCLUDE (j);
CREATE INDEX ON refused USING hnsw (a, v vector_l2_ops);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, w vector_l2_ops);
CREATE INDEX ON refused USING hnsw (v vector_l2_ops, j);
\set VERBOSITY terse

DROP TABLE operators, loosely, late, refused;
DROP COLLATION loose;
DROP TYPE mood;
DROP FUNCTION same;
