-- Range search: v <<->> sphere(q, r) is v <-> q < r, with an index and without.
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real - 0.5)::vector FROM generate_series(1, dims) $$;
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    -- PostgreSQL 18 says so of what it takes although it is off.
    CONTINUE WHEN line LIKE '%Disabled: true';
    RETURN NEXT regexp_replace(line, '->  ', '');
  END LOOP;
END $$;

-- the type
SELECT sphere('[1,2]', 0.5), (sphere('[1,2]', 2)).radius, ROW('[1,2]', 'Infinity')::sphere_vector;
SELECT sphere(NULL, 1) IS NULL AS no_center, sphere('[1]', NULL) IS NULL AS no_radius;
CREATE TABLE spheres (id int, s sphere_vector);
INSERT INTO spheres VALUES (1, sphere('[0,0]', 5)), (2, sphere('[3,4]', 5.001)), (3, ROW(NULL, 1)), (4, ROW('[0,0]', NULL)), (5, NULL);
SELECT id, '[0,0]'::vector <<->> s AS within FROM spheres ORDER BY id;
SELECT id, '[3,4]'::vector <<->> s AS within FROM spheres ORDER BY id;

-- the radius itself is outside; nothing is nearer than 0
SELECT r, v <<->> sphere('[0,0]', r) AS l2, v <<+>> sphere('[0,0]', r) AS l1,
  v <<=>> sphere('[-4,3]', r) AS cosine, v <<#>> sphere('[1,1]', r) AS ip
FROM (VALUES ('[3,4]'::vector)) t(v), unnest('{-Infinity,-8,-7,-6.99,-1,0,0.999,1,1.001,4.999,5,5.001,7,7.001,Infinity}'::float8[]) r;
-- a vector of zeros has no cosine distance; what overflows is infinitely far
SELECT '[0,0]'::vector <<=>> sphere('[1,1]', 'Infinity') AS zero, '[1,1]'::vector <<=>> sphere('[0,0]', 'Infinity') AS center,
  '[3e38,0]'::vector <<->> sphere('[-3e38,0]', 'Infinity') AS overflow;
-- it is what the distance says, for any radius and short and long vectors
SELECT count(*) AS all, count(*) FILTER (WHERE (v <<->> sphere(q, v <-> q)) OR NOT v <<->> sphere(q, (v <-> q) * 1.0000001)
  OR (v <<#>> sphere(q, v <#> q)) OR (v <<=>> sphere(q, v <=> q)) OR (v <<+>> sphere(q, v <+> q))) AS wrong
FROM (SELECT random_vector(1 + i) AS v, random_vector(1 + i) AS q FROM generate_series(1, 300) i) t;

-- errors
\set SHOW_CONTEXT never
\set VERBOSITY sqlstate
SELECT sphere('[1,2]', 'NaN');
SELECT '[1,2]'::vector <<->> ROW('[1,2]', 'NaN')::sphere_vector;
SELECT '[1,2]'::vector <<->> sphere('[1,2,3]', 1);
SELECT '[1,2]'::vector <<->> '(1,2)'::sphere_vector;
\set VERBOSITY default
SELECT sphere('[1,2]', 'NaN');

-- with an index, of each method and metric: the same rows as without
CREATE TABLE points (id int PRIMARY KEY, kind int, v vector(8));
SELECT setseed(0.4);
INSERT INTO points SELECT i, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 3000) i;
INSERT INTO points VALUES (4001, 1, NULL), (4002, 2, '[0,0,0,0,0,0,0,0]');
ANALYZE points;
CREATE FUNCTION within(op text, q vector, r float8, by_index bool, tail text DEFAULT '') RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
  ids int[];
BEGIN
  PERFORM set_config('enable_seqscan', (NOT by_index)::text, true);
  PERFORM set_config('enable_indexscan', by_index::text, true);
  EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM points WHERE v %1$s sphere($1, $2) %2$s) f', op, tail) INTO ids USING q, r;
  RETURN ids;
END $$;
CREATE FUNCTION sorted(int[]) RETURNS int[] LANGUAGE sql AS $$ SELECT array_agg(i ORDER BY i) FROM unnest($1) i $$;
-- of radii that few, some, many and all rows are within: rows within, of those the index gives, others that it gives
CREATE FUNCTION compare(access_method text, metric text, op text) RETURNS TABLE (nth int, within bigint, complete bool, wrong bigint, ordered bool) LANGUAGE plpgsql AS $$
DECLARE
  q vector := '[0.1,0.2,0,0,-0.1,0.05,0,0.3]';
  r float8;
BEGIN
  EXECUTE format('CREATE INDEX points_v ON points USING %I (v vector_%s_ops)', access_method, metric);
  FOREACH nth IN ARRAY '{0,1,7,100,1500,3000}'::int[] LOOP
    EXECUTE format('SELECT d FROM (SELECT v %1$s $1 AS d FROM points WHERE v IS NOT NULL AND v %1$s $1 <> ''NaN'' ORDER BY 1 OFFSET $2 LIMIT 1) s', op) INTO r USING q, nth;
    RETURN QUERY WITH e AS (SELECT unnest(within('<' || op || '>', q, r, false)) AS id), f AS (SELECT unnest(within('<' || op || '>', q, r, true)) AS id)
      SELECT nth, (SELECT count(*) FROM e), coalesce((SELECT count(*) FROM e JOIN f USING (id)) = (SELECT count(*) FROM e), true),
        (SELECT count(*) FROM f) - (SELECT count(*) FROM f JOIN e USING (id)),
        coalesce((SELECT sorted(within('<' || op || '>', q, r, true, format('ORDER BY v %s %L LIMIT 20', op, q))) = sorted(within('<' || op || '>', q, r, false, format('ORDER BY v %s %L LIMIT 20', op, q)))), true);
  END LOOP;
  DROP INDEX points_v;
END $$;
-- so many candidates and lists that nothing is missed
SET hnsw.ef_search = 400;
SET ivf.probes = 1000;
SET ivf.epsilon = 5;
SET ivfflat.probes = 1000;
SELECT a, m, c.* FROM (VALUES ('hnsw', 'l2', '<->'), ('hnsw', 'ip', '<#>'), ('hnsw', 'cosine', '<=>'), ('hnsw', 'l1', '<+>'),
  ('ivf', 'l2', '<->'), ('ivf', 'ip', '<#>'), ('ivf', 'cosine', '<=>')) t(a, m, op), compare(a, m, op) c;
SELECT a, m, c.* FROM (VALUES ('ivfflat', 'l2', '<->'), ('ivfflat', 'cosine', '<=>')) t(a, m, op), compare(a, m, op) c;
RESET ivf.probes;
RESET ivf.epsilon;
RESET ivfflat.probes;

CREATE INDEX points_v ON points USING hnsw (v vector_l2_ops);
SET enable_seqscan = off;
-- no radius, none that is positive, no center: no rows; any distance: all that have one
SELECT count(*) FROM points WHERE v <<->> (SELECT sphere('[0,0,0,0,0,0,0,0]', NULL));
SELECT count(*) FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 0);
SELECT count(*) FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', -1);
SELECT count(*) FROM points WHERE v <<->> (SELECT ROW(NULL, 1)::sphere_vector);
SELECT count(*) FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 'Infinity');
SELECT count(*) FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 1e300);
\set VERBOSITY sqlstate
SELECT count(*) FROM points WHERE v <<->> sphere('[0,0]', 1);
SELECT count(*) FROM points WHERE v <<->> (SELECT ROW('[0,0,0,0,0,0,0,0]', 'NaN')::sphere_vector);
\set VERBOSITY default
-- several spheres: around one center, around two
SELECT plan_of($$SELECT id FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 0.6) AND v <<->> sphere('[0,0,0,0,0,0,0,0]', 0.5)$$);
CREATE FUNCTION in_both(by_index bool, one vector, two vector, tail text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  found text;
BEGIN
  PERFORM set_config('enable_seqscan', (NOT by_index)::text, true);
  PERFORM set_config('enable_indexscan', by_index::text, true);
  EXECUTE 'SELECT count(*) || '' '' || coalesce(sum(id), 0) FROM (SELECT id FROM points WHERE v <<->> sphere($1, 0.6) AND v <<->> sphere($2, 0.7) AND v <<->> sphere($2, 0.65) ' || tail || ') s'
    INTO found USING one, two;
  RETURN found;
END $$;
SELECT in_both(true, one, two, tail) = in_both(false, one, two, tail) AS same, in_both(true, one, two, tail) LIKE '0 %' AS none
FROM (VALUES ('[0,0,0,0,0,0,0,0]'::vector, '[0,0,0,0,0,0,0,0]'::vector), ('[0,0,0,0,0,0,0,0]', '[0.2,0,0,0,0,0,0,0]'), ('[0,0,0,0,0,0,0,0]', '[5,0,0,0,0,0,0,0]')) c(one, two),
  (VALUES (''), ('ORDER BY v <-> $1'), ('ORDER BY v <-> $2 LIMIT 5'), ('ORDER BY v <-> ''[0.1,0,0,0,0,0,0,0]'' LIMIT 5')) t(tail);
-- with other conditions; prepared, with a plan for any sphere; in a cursor
SELECT count(*) = (SELECT count(*) FROM points WHERE v <-> '[0,0,0,0,0,0,0,0]' < 0.7 AND kind = 3) AS same, min(kind) FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 0.7) AND kind = 3;
SET plan_cache_mode = force_generic_plan;
PREPARE near(vector, float8) AS SELECT count(*) FROM points WHERE v <<->> sphere($1, $2);
SELECT plan_of($$EXECUTE near('[0,0,0,0,0,0,0,0]', 0.5)$$);
EXECUTE near('[0,0,0,0,0,0,0,0]', 0.3);
EXECUTE near('[0,0,0,0,0,0,0,0]', 'Infinity');
EXECUTE near(NULL, 1);
RESET plan_cache_mode;
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM points WHERE v <<->> sphere((SELECT v FROM points WHERE id = 7), 0.6) ORDER BY v <-> (SELECT v FROM points WHERE id = 7);
FETCH 1 FROM c;
COMMIT;
-- a join: pairs of near rows, the index is searched for each outer one
SELECT plan_of($$SELECT a.id, b.id FROM (SELECT * FROM points WHERE id <= 50) a JOIN points b ON b.v <<->> sphere(a.v, 0.3) AND b.id <> a.id$$);
SELECT count(*) = (SELECT count(*) FROM points a JOIN points b ON a.v <-> b.v < 0.3 AND b.id <> a.id WHERE a.id <= 50) AS same
FROM (SELECT * FROM points WHERE id <= 50) a JOIN points b ON b.v <<->> sphere(a.v, 0.3) AND b.id <> a.id;
-- without an order of its own the index serves nothing else
SELECT plan_of($$SELECT id FROM points WHERE NOT v <<->> sphere('[0,0,0,0,0,0,0,0]', 1)$$);
SELECT plan_of($$SELECT id FROM points WHERE v <<=>> sphere('[1,0,0,0,0,0,0,0]', 1)$$);
-- iterative_scan = off: what the first search found
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 40;
SELECT count(*) BETWEEN 1 AND 40 AS first_search FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 'Infinity');
RESET hnsw.iterative_scan;
SET hnsw.ef_search = 400;
-- deleted rows are not found, vacuumed or not; new ones are
DELETE FROM points WHERE id % 3 = 0;
SELECT count(*) = (SELECT count(*) FROM points WHERE v IS NOT NULL AND v <-> '[0,0,0,0,0,0,0,0]' < 0.7) AS same FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 0.7);
VACUUM points;
INSERT INTO points SELECT 5000 + i, 0, random_vector(8 + 0 * i) FROM generate_series(1, 200) i;
SELECT count(*) = (SELECT count(*) FROM points WHERE v IS NOT NULL AND v <-> '[0,0,0,0,0,0,0,0]' < 0.7) AS same FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 0.7);
-- what overflows is farther than any radius, and hides nothing but itself
INSERT INTO points VALUES (6001, 0, '[3e38,3e38,0,0,0,0,0,0]');
SELECT count(*) = (SELECT count(*) - 1 FROM points WHERE v IS NOT NULL) AS all FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 'Infinity');
-- an empty table
TRUNCATE points;
SELECT count(*) FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 1);
RESET enable_seqscan;
RESET hnsw.ef_search;

-- plans, with every enable_* setting on: the index for few rows, all rows read for most
DROP INDEX points_v;
INSERT INTO points SELECT i, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 20000) i;
CREATE INDEX points_v ON points USING hnsw (v vector_l2_ops);
ANALYZE points;
SELECT plan_of($$SELECT id FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 0.3)$$);
SELECT plan_of($$SELECT id FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 2)$$);
SELECT plan_of($$SELECT id FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 2) ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM points WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 2) ORDER BY v <-> '[0,0,0,0,0,0,0,0]'$$);
-- estimates: nothing, next to nothing, some, nearly all, all; of a column without statistics; of any sphere
CREATE FUNCTION estimate(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
  RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SELECT r, n = 0 AS none, expected BETWEEN n / 4 - 3 AND n * 4 + 3 AS good FROM (SELECT r, estimate(format('SELECT FROM points WHERE v <<->> sphere(%L, %s)', '[0,0,0,0,0,0,0,0]', r)) AS expected,
  (SELECT count(*) FROM points WHERE v <-> '[0,0,0,0,0,0,0,0]' < r) AS n FROM unnest('{-1,0.1,0.3,0.4,0.5,0.6,0.8,1,2}'::float8[]) r) s;
SELECT r, expected BETWEEN n / 4 - 3 AND n * 4 + 110 AS good FROM (SELECT r, estimate(format('SELECT FROM points WHERE v <<#>> sphere(%L, %s)', '[1,1,0,0,0,0,0,0]', r)) AS expected,
  (SELECT count(*) FROM points WHERE v <#> '[1,1,0,0,0,0,0,0]' < r) AS n FROM unnest('{-2,-0.9,-0.5,0,0.5,2}'::float8[]) r) s;
SELECT estimate($$SELECT FROM spheres, points WHERE v <<->> s$$) > 0 AS joined, estimate($$SELECT FROM points WHERE v <<->> sphere((SELECT v FROM points WHERE id = 1), 1)$$) AS any;
CREATE TABLE unknown AS SELECT id, v FROM points;
ALTER TABLE unknown SET (autovacuum_enabled = off);
SELECT estimate($$SELECT FROM unknown WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 1)$$) BETWEEN 1 AND 500 AS unknown;
DROP INDEX points_v;
UPDATE points SET v = NULL WHERE id % 2 = 0;
UPDATE points SET v = '[1,1,1,1,1,1,1,1]' WHERE id % 4 = 1;
ANALYZE points;
SELECT estimate($$SELECT FROM points WHERE v <<->> sphere('[1,1,1,1,1,1,1,1]', 0.01)$$) BETWEEN 4500 AND 5500 AS common,
  estimate($$SELECT FROM points WHERE v <<->> sphere('[1,1,1,1,1,1,1,1]', 100)$$) BETWEEN 9500 AND 10500 AS not_null;

-- operator classes are looked at
CREATE OPERATOR CLASS good_ops FOR TYPE vector USING hnsw AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, OPERATOR 2 <<->> (vector, sphere_vector), FUNCTION 1 vector_l2_squared_distance(vector, vector);
CREATE OPERATOR CLASS foreign_ops FOR TYPE vector USING hnsw AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, OPERATOR 2 <<=>> (vector, sphere_vector), FUNCTION 1 vector_l2_squared_distance(vector, vector);
CREATE OPERATOR CLASS equal_ops FOR TYPE vector USING ivf AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, OPERATOR 2 <#> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 vector_l2_squared_distance(vector, vector);
CREATE OPERATOR CLASS third_ops FOR TYPE vector USING ivf AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, OPERATOR 3 <<->> (vector, sphere_vector), FUNCTION 1 vector_l2_squared_distance(vector, vector);
SELECT opcname, amvalidate(o.oid) FROM pg_opclass o WHERE opcname ~ '^(good|foreign|equal|third)_ops$' OR (opcname ~ '^(vector|halfvec)_(l2|ip|cosine|l1)_ops$' AND opckeytype = 0) ORDER BY 1, o.opcmethod;
DROP OPERATOR FAMILY good_ops USING hnsw;
DROP OPERATOR FAMILY foreign_ops USING hnsw;
DROP OPERATOR FAMILY equal_ops USING ivf;
DROP OPERATOR FAMILY third_ops USING ivf;

-- who may not read the column learns nothing of it by estimates
CREATE ROLE range_reader;
CREATE VIEW part WITH (security_barrier) AS SELECT * FROM points WHERE id = 3;
GRANT SELECT ON part TO range_reader;
SET ROLE range_reader;
SELECT estimate($$SELECT FROM part WHERE v <<->> sphere('[1,1,1,1,1,1,1,1]', 0.01)$$) AS one;
RESET ROLE;
DROP VIEW part;
DROP ROLE range_reader;
-- halfvec: spheres of its own, made of a halfvec, a vector or a literal
SELECT pg_typeof(sphere('[1,2]', 1)) AS literal, pg_typeof(sphere('[1,2]'::vector, 1)) AS vector, pg_typeof(sphere('[1,2]'::halfvec, 1)) AS halfvec, sphere('[1,2.0001]', 1)::sphere_halfvec;
SELECT v <<->> sphere(q, v <-> q) AS l2, v <<->> sphere(q, (v <-> q) * 1.001) AS more, v <<#>> sphere(q, v <#> q) AS ip, v <<#>> sphere(q, (v <#> q) * 0.999) AS more,
  v <<=>> sphere(q, v <=> q) AS cosine, v <<=>> sphere(q, (v <=> q) * 1.001) AS more, v <<+>> sphere(q, v <+> q) AS l1, v <<+>> sphere(q, (v <+> q) * 1.001) AS more
FROM (VALUES ('[1,2,3]'::halfvec, '[3,5,4]'::halfvec)) t(v, q);
SELECT '[1,2]'::halfvec <<->> NULL::sphere_halfvec IS NULL AS none, '[1,2]'::halfvec <<->> ROW(NULL, 1)::sphere_halfvec IS NULL AS no_center;
\set SHOW_CONTEXT never
\set VERBOSITY terse
SELECT '[1,2]'::halfvec <<->> sphere('[1,2,3]', 1);
SELECT '[1,2]'::halfvec <<->> sphere('[1,70000]', 1);
SELECT sphere('[1,2]'::halfvec, 'NaN');
SELECT sphere('[1,2', 1);
-- a type that its owner has changed
BEGIN;
ALTER TYPE sphere_halfvec ALTER ATTRIBUTE center TYPE text;
SELECT sphere('[1,2]'::halfvec, 1);
ROLLBACK;
BEGIN;
ALTER TYPE sphere_halfvec ALTER ATTRIBUTE center TYPE text;
SELECT '[1,2]'::halfvec <<->> '("[1,2]",1)'::sphere_halfvec;
ROLLBACK;
\set VERBOSITY default
SELECT setseed(0.7);
CREATE TABLE halves AS SELECT i AS id, random_vector(8 + 0 * i)::halfvec(8) AS v FROM generate_series(1, 2000) i;
ANALYZE halves;
-- Radii that few, some and all are within: whether the index is used and gives what a sequential scan gives.
CREATE FUNCTION halves_within(operator text, method text) RETURNS TABLE (radius float8, by_index bool, all_of_some bool) LANGUAGE plpgsql AS $$
DECLARE
  query text;
  found int[];
  wanted int[];
  line text;
BEGIN
  EXECUTE format('CREATE INDEX halves_v ON halves USING %s (v halfvec_%s_ops)', method,
    CASE operator WHEN '<->' THEN 'l2' WHEN '<#>' THEN 'ip' WHEN '<=>' THEN 'cosine' ELSE 'l1' END);
  FOREACH radius IN ARRAY CASE operator WHEN '<#>' THEN '{-0.5,-0.2,Infinity}' WHEN '<=>' THEN '{0.2,0.6,Infinity}' WHEN '<->' THEN '{0.5,0.8,Infinity}' ELSE '{1,1.8,Infinity}' END::float8[] LOOP
    query := format('SELECT coalesce(array_agg(id ORDER BY id), ''{}'') FROM halves WHERE v <%s> sphere(''[0.25,-0.25,0.1,0.4,-0.3,0.2,0.1,0]'', %L)', operator, radius);
    SET LOCAL enable_seqscan = off;
    by_index := false;
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
      by_index := by_index OR line ~ 'Index Scan using halves_v';
    END LOOP;
    EXECUTE query INTO found;
    SET LOCAL enable_seqscan = on;
    SET LOCAL enable_indexscan = off;
    EXECUTE query INTO wanted;
    SET LOCAL enable_indexscan = on;
    all_of_some := found = wanted AND cardinality(found) > 5 AND (cardinality(found) = 2000) = (radius = 'Infinity');
    RETURN NEXT;
  END LOOP;
  DROP INDEX halves_v;
END $$;
SET hnsw.ef_search = 400;
SET ivf.probes = 1000;
SET ivf.epsilon = 5;
SET ivfflat.probes = 100;
SELECT operator, method, w.* FROM unnest('{<->,<#>,<=>,<+>}'::text[]) WITH ORDINALITY o (operator, n), unnest('{hnsw,ivf,ivfflat}'::text[]) WITH ORDINALITY m (method, k),
  halves_within(operator, method) w WHERE operator <> '<+>' OR method = 'hnsw' ORDER BY n, k, radius;
RESET hnsw.ef_search;
RESET ivf.probes;
RESET ivf.epsilon;
RESET ivfflat.probes;
-- a literal, a parameter of any type, another table's row; estimates
CREATE INDEX halves_v ON halves USING hnsw (v halfvec_l2_ops);
SET enable_seqscan = off;
SELECT plan_of($$SELECT id FROM halves WHERE v <<->> sphere('[0,0,0,0,0,0,0,0]', 0.3) ORDER BY v <-> '[0,0,0,0,0,0,0,0]' LIMIT 3$$);
SET plan_cache_mode = force_generic_plan;
PREPARE by_text AS SELECT count(*) FROM halves WHERE v <<->> sphere($1, $2);
PREPARE by_vector(vector, float8) AS SELECT count(*) FROM halves WHERE v <<->> sphere($1, $2);
PREPARE by_halfvec(halfvec, float8) AS SELECT count(*) FROM halves WHERE v <<->> sphere($1, $2);
EXECUTE by_text('[0,0,0,0,0,0,0,0]', 0.5);
EXECUTE by_vector('[0,0,0,0,0,0,0,0]', 0.5);
EXECUTE by_halfvec('[0,0,0,0,0,0,0,0]', 0.5);
SELECT count(*) AS same FROM halves WHERE v <-> '[0,0,0,0,0,0,0,0]' < 0.5;
RESET plan_cache_mode;
SELECT count(*) = (SELECT count(*) FROM halves a JOIN halves b ON a.v <-> b.v < 0.4 WHERE a.id <= 20) AS same
FROM (SELECT * FROM halves WHERE id <= 20) a JOIN halves b ON b.v <<->> sphere(a.v, 0.4);
RESET enable_seqscan;
SELECT r, expected BETWEEN n / 4 - 3 AND n * 4 + 3 AS good FROM (SELECT r, estimate(format('SELECT FROM halves WHERE v <<->> sphere(%L, %s)', '[0,0,0,0,0,0,0,0]', r)) AS expected,
  (SELECT count(*) FROM halves WHERE v <-> '[0,0,0,0,0,0,0,0]' < r) AS n FROM unnest('{0.1,0.5,0.8,2}'::float8[]) r) s;
DEALLOCATE ALL;
DROP TABLE halves;
DROP FUNCTION halves_within;

DROP TABLE points, spheres, unknown;
DROP FUNCTION random_vector, plan_of, within, compare, in_both, estimate;
DROP FUNCTION sorted(int[]);

-- which spheres hold a vector
CREATE TABLE spheres AS SELECT i AS id, sphere(ARRAY[i, 0]::vector, 2.5) AS s FROM generate_series(1, 50) i;
ANALYZE spheres;
SELECT array_agg(id ORDER BY id) FROM spheres WHERE '[10,0]'::vector <<->> s;
DROP TABLE spheres;
