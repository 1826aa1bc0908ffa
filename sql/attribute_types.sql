-- Random conditions on columns of each type that can stand beside a vector, with the values at the ends of the type, NULLs, and lists of many
-- constants: an index gives the rows that a sequential scan gives, whether its rows have vectors of their own or share them, and after writes.
SET client_min_messages = warning;
SET TimeZone = 'Asia/Kathmandu';
CREATE EXTENSION citext;
SELECT ann_add_citext();
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
ALTER TYPE mood ADD VALUE 'fine' BEFORE 'happy';
CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
-- values, and of what other types constants may be
CREATE TABLE types (number int, name text, operators text[], also text[], pool text[]);
INSERT INTO types VALUES
  (1, 'bool', '{<,<=,=,>=,>}', '{}', '{t,f}'),
  (2, 'int2', '{<,<=,=,>=,>}', '{int4,int8}', '{-32768,-32767,-1,0,1,7,7,300,32766,32767}'),
  (3, 'int4', '{<,<=,=,>=,>}', '{int2,int8}', '{-2147483648,-2147483647,-32768,-1,0,1,7,7,300,32767,2147483646,2147483647}'),
  (4, 'int8', '{<,<=,=,>=,>}', '{int2,int4}', '{-9223372036854775808,-9223372036854775807,-2147483648,-1,0,1,7,7,32767,2147483647,9223372036854775806,9223372036854775807}'),
  (5, 'float4', '{<,<=,=,>=,>}', '{float8}', '{-Infinity,-3.4028235e38,-1.5,-1e-45,-0,0,1e-45,0.1,1.5,1.5000001,16777217,3.4028235e38,Infinity,NaN}'),
  (6, 'float8', '{<,<=,=,>=,>}', '{float4}', '{-Infinity,-1.7976931348623157e308,-1.5,-5e-324,-0,0,5e-324,0.1,0.10000000000000002,1.5,1.7976931348623157e308,Infinity,NaN}'),
  (7, 'numeric', '{<,<=,=,>=,>}', '{}', '{-Infinity,-1e400,-1e308,-1.5,-1e-400,0,1e-400,0.1,0.10000000000000000001,0.10000000000000000002,9007199254740992,9007199254740993,1e308,1e400,Infinity,NaN}'),
  (8, 'oid', '{<,<=,=,>=,>}', '{}', '{0,1,2147483647,2147483648,4294967295}'),
  (9, 'date', '{<,<=,=,>=,>}', '{timestamp,timestamptz}', '{-infinity,4714-11-24 BC,1999-12-31,2000-01-01,2024-03-10,2024-03-11,294276-12-31,infinity}'),
  (10, 'time', '{<,<=,=,>=,>}', '{}', '{00:00,00:00:00.000001,12:00,23:59:59.999999,24:00}'),
  (11, 'timestamp', '{<,<=,=,>=,>}', '{date,timestamptz}', '{-infinity,4714-11-24 00:00 BC,1999-12-31 23:59:59.999999,2000-01-01,2024-03-10 02:30,2024-03-10 05:45,294276-12-31 23:59:59.999999,infinity}'),
  (12, 'timestamptz', '{<,<=,=,>=,>}', '{date,timestamp}', '{-infinity,4714-11-24 00:00+00 BC,1999-12-31 23:59:59.999999,2000-01-01 00:00+00,2024-03-10 02:30,2024-03-10 00:00,294276-12-31 00:00+00,infinity}'),
  (13, 'uuid', '{<,<=,=,>=,>}', '{}', '{00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001,00000000-0000-0001-0000-000000000000,80000000-0000-0000-0000-000000000000,ffffffff-ffff-ffff-ffff-ffffffffffff}'),
  (14, 'mood', '{<,<=,=,>=,>}', '{}', '{sad,ok,fine,happy}'),
  (15, 'text', '{=}', '{varchar}', '{"",a,A,á,"a ",ab,"a\\b","it''s"}'),
  (16, 'text COLLATE loose', '{=}', '{}', '{"",a,A,á,Á,"a ",ab,AB}'),
  (17, 'varchar(5)', '{=}', '{text}', '{"",a,A,"a ",ab}'),
  (18, 'char(4)', '{=}', '{}', '{"",a,A,"a ",ab}'),
  (19, 'citext', '{=}', '{}', '{"",a,A,á,Á,"a ",ab,AB}'),
  (20, 'int[]', '{&&,@>}', '{}', '{"{}","{NULL}","{1}","{1,2}","{2,1,2}","{NULL,3}","{{1,2},{3,4}}","{2147483647,-2147483648}"}'),
  (21, 'text[]', '{&&,@>}', '{}', '{"{}","{NULL}","{a}","{a,b}","{A,\"\"}","{NULL,b}"}'),
  (22, 'numeric[]', '{&&,@>}', '{}', '{"{}","{1}","{1.0}","{1.00,2}","{NaN}","{1e400,Infinity}"}'),
  (23, 'uuid[]', '{&&,@>}', '{}', '{"{}","{00000000-0000-0000-0000-000000000000}","{ffffffff-ffff-ffff-ffff-ffffffffffff,00000000-0000-0000-0000-000000000000}"}');
SELECT setseed(0.4);
CREATE FUNCTION any_of(text[]) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT $1[1 + floor(random() * cardinality($1))] $$;
DO $$
BEGIN
  EXECUTE (SELECT 'CREATE TABLE rows (id int PRIMARY KEY, v vector(3), ' || string_agg(format('c%s %s', number, name), ', ' ORDER BY number) || ')' FROM types);
END $$;
CREATE FUNCTION fill(low int, high int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  -- a third have vectors of their own, the others share forty
  EXECUTE (SELECT format('INSERT INTO rows SELECT i, CASE WHEN i %% 3 = 0 THEN ARRAY[random(), random(), random()] ELSE ARRAY[i %% 8, i %% 5, 1] END::vector, ', 0)
      || string_agg(format('CASE WHEN random() > 0.1 THEN any_of(%L)::%s END', pool, split_part(name, ' COLLATE', 1)), ', ' ORDER BY number)
      || format(' FROM generate_series(%s, %s) i', low, high) FROM types);
END $$;
SELECT fill(1, 600);

-- a condition on one column
CREATE FUNCTION condition(kind types) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  c text := 'c' || kind.number;
  plain text := split_part(kind.name, ' COLLATE', 1);
  dice float8 := random();
  other text := any_of(kind.also);
  value text := any_of(kind.pool);
BEGIN
  IF dice < 0.1 THEN RETURN c || ' IS NULL'; END IF;
  IF dice < 0.15 THEN RETURN c || ' IS NOT NULL'; END IF;
  IF dice < 0.3 AND kind.operators @> '{=}' THEN
    RETURN format('%s = ANY (%L::%s[])', c, ARRAY(SELECT CASE WHEN random() > 0.02 THEN any_of(kind.pool) END FROM generate_series(1, (ARRAY[0, 1, 2, 3, 40, 400])[1 + floor(random() * 6)::int])), plain);
  END IF;
  IF dice < 0.4 AND cardinality(kind.operators) = 5 THEN RETURN format('%s BETWEEN %L AND %L', c, value, any_of(kind.pool)); END IF;
  IF dice < 0.6 AND other IS NOT NULL AND (other !~ '^int' OR abs(value::numeric) < CASE other WHEN 'int2' THEN 32768 WHEN 'int4' THEN 2147483648 ELSE 9.2e18 END)
    AND (other <> 'float4' OR value !~ 'e-?3..') AND (other <> 'timestamp' OR value !~ '294276|4714') AND (other <> 'timestamptz' OR value !~ '294276|4714') THEN
    RETURN format('%s %s %L::%s::%s', c, any_of(kind.operators), value, plain, other);
  END IF;
  RETURN format('%s %s %L', c, any_of(kind.operators), value);
END $$;
CREATE FUNCTION ids(conditions text, by_index bool) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
  found_ids int[];
BEGIN
  PERFORM set_config('enable_seqscan', (NOT by_index)::text, true), set_config('enable_sort', (NOT by_index)::text, true), set_config('enable_indexscan', by_index::text, true);
  EXECUTE format('SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM rows WHERE %s ORDER BY v <-> ''[1,2,3]'') r', conditions) INTO found_ids;
  RETURN found_ids;
END $$;
-- Of n conditions on each of the columns, every third with another: how many the index sees whole, how many rows it gives that are not right.
CREATE FUNCTION judge(columns int[], n int) RETURNS TABLE (number int, indexed bool, wrong text[]) LANGUAGE plpgsql AS $$
DECLARE
  kind types;
  other types;
  clause text;
  line text;
BEGIN
  FOR kind IN SELECT * FROM types t WHERE t.number = ANY (columns) ORDER BY t.number LOOP
    number := kind.number;
    indexed := false;
    wrong := '{}';
    FOR i IN 1 .. n LOOP
      clause := condition(kind);
      IF i % 3 = 0 THEN
        SELECT * INTO other FROM types t WHERE t.number = columns[1 + i % cardinality(columns)];
        clause := clause || ' AND ' || condition(other);
      END IF;
      PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true), set_config('enable_indexscan', 'on', true);
      FOR line IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT id FROM rows WHERE %s ORDER BY v <-> ''[1,2,3]''', clause) LOOP
        indexed := indexed OR line ~ ('Index Cond: .*c' || kind.number);
      END LOOP;
      IF ids(clause, true) IS DISTINCT FROM ids(clause, false) THEN wrong := wrong || clause; END IF;
    END LOOP;
    RETURN NEXT;
  END LOOP;
END $$;
CREATE FUNCTION judge_all(method text) RETURNS TABLE (judged bigint, by_index bigint, mistakes text[]) LANGUAGE plpgsql AS $$
DECLARE
  columns int[];
BEGIN
  judged := 0; by_index := 0; mistakes := '{}';
  FOREACH columns SLICE 1 IN ARRAY '{{1,2,3,4,5,6,7,8},{9,10,11,12,13,14,15,16},{16,17,18,19,20,21,22,23}}'::int[] LOOP
    EXECUTE format('CREATE INDEX rows_v ON rows USING %s (v vector_l2_ops, c%s)', method, array_to_string(columns, ', c'));
    FOR step IN 1 .. 2 LOOP
      SELECT judged + count(*), by_index + count(*) FILTER (WHERE indexed), mistakes || array_agg(wrong[1]) FILTER (WHERE wrong <> '{}')
        INTO judged, by_index, mistakes FROM judge(columns, 14);
      EXIT WHEN step = 2;
      -- rows come, go and change their values
      DELETE FROM rows WHERE id % 4 = columns[1] % 4;
      EXECUTE (SELECT 'UPDATE rows SET ' || string_agg(format('c%s = any_of(%L)::%s', t.number, pool, split_part(name, ' COLLATE', 1)), ', ') || ' WHERE id % 5 = 1' FROM types t WHERE t.number = ANY (columns));
      PERFORM fill((SELECT max(id) + 1 FROM rows), (SELECT max(id) + 150 FROM rows));
    END LOOP;
    PERFORM ann_index_check('rows_v');
    DROP INDEX rows_v;
  END LOOP;
  RETURN NEXT;
END $$;
SET ivfflat.probes = 1000;
SELECT method, j.* FROM unnest('{hnsw,ivf,ivfflat}'::text[]) method, judge_all(method) j;
RESET ivfflat.probes;

-- the partition key in the index and not, an attribute beside it
CREATE TABLE split (id int, part int, a int, v vector(3)) PARTITION BY LIST (part);
CREATE TABLE split_1 PARTITION OF split FOR VALUES IN (1, 2);
CREATE TABLE split_3 PARTITION OF split FOR VALUES IN (3);
CREATE TABLE split_rest PARTITION OF split DEFAULT;
INSERT INTO split SELECT i, nullif(i % 5, 0), i % 7, ARRAY[sin(i), cos(i), i % 4]::vector FROM generate_series(1, 700) i;
CREATE FUNCTION same_parts(columns text, conditions text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  query text := format('SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM split WHERE %s ORDER BY v <-> ''[1,0,2]'') s', conditions);
  found_ids int[];
  wanted int[];
BEGIN
  EXECUTE 'CREATE INDEX split_v ON split USING hnsw (v vector_l2_ops, ' || columns || ')';
  PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true), set_config('enable_indexscan', 'on', true);
  EXECUTE query INTO found_ids;
  PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true), set_config('enable_indexscan', 'off', true);
  EXECUTE query INTO wanted;
  DROP INDEX split_v;
  RETURN CASE WHEN found_ids IS NOT DISTINCT FROM wanted THEN cardinality(wanted) || ' rows' ELSE 'WRONG: ' || coalesce(cardinality(found_ids), 0) END;
END $$;
SELECT conditions, same_parts('part, a', conditions) AS key_inside, same_parts('a', conditions) AS key_outside
FROM unnest('{part = 1,part = 2 AND a = 3,part IN (1\,3) AND a < 2,part IS NULL AND a > 5,a = 4,part > 2 AND a IN (1\,2\,3)}'::text[]) conditions;

DROP FUNCTION any_of, fill, condition, ids, judge, judge_all, same_parts;
DROP TABLE split, rows, types;
DROP TYPE mood;
DROP COLLATION loose;
DROP EXTENSION citext CASCADE;
