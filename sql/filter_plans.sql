-- Which plans are chosen for filters, with every enable_* setting on.
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real)::vector FROM generate_series(1, dims) $$;
-- The nodes of a plan that matter, one a line.
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ '(Sort|Scan|Append|Loop|Aggregate|Subquery|Index Cond|Recheck|Filter)' AND line !~ '(Sort Key|Presorted)' THEN
      RETURN NEXT regexp_replace(line, '->  ', '');
    END IF;
  END LOOP;
END $$;

SELECT setseed(0.5);
-- Three columns of the same values: in the vector's index, in an index of its own, in none.
CREATE TABLE shop (id int, inside int, beside int, nowhere int, flag bool, v vector(8));
INSERT INTO shop SELECT i, n, n, n, n % 50 = 0, random_vector(8 + 0 * i)
  FROM (SELECT i, (i * 7919) % 20000 AS n FROM generate_series(1, 20000) i) s;
CREATE INDEX shop_v ON shop USING hnsw (v vector_l2_ops, inside, flag);
CREATE INDEX shop_beside ON shop (beside);
ANALYZE shop;
CREATE FUNCTION slow(int) RETURNS bool LANGUAGE plpgsql COST 2000 AS $$ BEGIN RETURN $1 >= 0; END $$;
CREATE FUNCTION plans(condition text) RETURNS TABLE (selectivity text, plan text) LANGUAGE plpgsql AS $$
DECLARE
  step record;
BEGIN
  FOR step IN SELECT * FROM (VALUES ('100 %', 20000), ('10 %', 2000), ('1 %', 200), ('0.1 %', 20), ('0.01 %', 2)) s (name, below) LOOP
    selectivity := step.name;
    FOR plan IN SELECT plan_of(format('SELECT id FROM shop WHERE ' || condition || $q$ ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$q$, step.below)) LOOP
      RETURN NEXT;
      selectivity := '';
    END LOOP;
  END LOOP;
END $$;
\pset format unaligned
\pset tuples_only on
SELECT * FROM plans('inside < %s');
SELECT * FROM plans('beside < %s');
SELECT * FROM plans('nowhere < %s');
SELECT * FROM plans('inside < 10000 AND beside < %s');
-- a condition that takes its time
SELECT * FROM plans('beside < %s AND slow(nowhere)');

-- An error while a filter scan is planned leaves nothing in the costs of what is planned next. The predicate's operator is asked
-- again for each path, and fails once at its n-th call.
CREATE SEQUENCE calls;
CREATE FUNCTION is_below(int, int) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF nextval('public.calls') = current_setting('test.fail_at')::int THEN RAISE 'failed'; END IF;
  RETURN $1 < $2;
END $$;
CREATE OPERATOR <<< (LEFTARG = int, RIGHTARG = int, PROCEDURE = is_below, RESTRICT = scalarltsel);
SET test.fail_at = 0;
CREATE TABLE stall (id int, beside int, kind int, v vector(8));
INSERT INTO stall SELECT id, beside, id % 4, v FROM shop WHERE id <= 2000;
CREATE INDEX stall_v ON stall USING hnsw (v vector_l2_ops) WHERE kind <<< 3;
CREATE INDEX stall_beside ON stall (beside);
ANALYZE stall;
CREATE FUNCTION cost_of(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
  RETURN plan -> 0 -> 'Plan' ->> 'Total Cost';
END $$;
CREATE FUNCTION costs_after_errors(OUT errors int, OUT same bool) LANGUAGE plpgsql AS $$
DECLARE
  bare text := $q$SELECT id FROM shop ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$q$;
  before float8 := cost_of(bare);
  called int;
BEGIN
  errors := 0;
  same := true;
  PERFORM setval('calls', 1);
  PERFORM cost_of($q$SELECT id FROM stall WHERE kind <<< 3 AND beside < 200 AND slow(id) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$q$);
  SELECT last_value INTO called FROM calls;
  FOR i IN 2 .. called LOOP
    PERFORM setval('calls', 1), set_config('test.fail_at', i::text, false);
    BEGIN
      PERFORM cost_of($q$SELECT id FROM stall WHERE kind <<< 3 AND beside < 200 AND slow(id) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$q$);
    EXCEPTION WHEN raise_exception THEN errors := errors + 1;
    END;
    same := same AND cost_of(bare) = before;
  END LOOP;
  same := same AND errors >= called - 1;
END $$;
SELECT errors > 0 AS errors, same FROM costs_after_errors();
RESET test.fail_at;

-- lists of values, flags, nulls, beside another condition or another's set
SELECT plan_of($$SELECT id FROM shop WHERE inside IN (1, 2, 3) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE flag AND inside = ANY ('{1,50,100}') ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE NOT flag ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE flag IS TRUE ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE flag IS NOT TRUE ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE 5 > inside AND inside IS NOT NULL ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE NOT flag AND beside < 2000 AND slow(nowhere) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE (beside < 800 OR beside > 19200) AND slow(nowhere) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM shop WHERE beside < 2000 AND slow(nowhere) AND nowhere > 3 AND now() > '2000-01-01' ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SET enable_bitmapscan = off;
SELECT * FROM plan_of($$SELECT id FROM shop WHERE beside < 2000 AND slow(nowhere) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$) p WHERE p ~ 'Custom';
RESET enable_bitmapscan;

-- no LIMIT, or a long one: a sort
SELECT plan_of($$SELECT id FROM shop WHERE inside < 2000 ORDER BY v <-> '[1,2,3,4,5,6,7,8]'$$);
SELECT plan_of($$SELECT id FROM shop WHERE beside < 2000 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 1500$$);

-- a second index without the column does not hide the one with it
CREATE INDEX shop_bare ON shop USING hnsw (v vector_l2_ops);
SELECT plan_of($$SELECT id FROM shop WHERE inside IN (1, 2, 3) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
DROP INDEX shop_bare;

-- parameters: generic plans
SET plan_cache_mode = force_generic_plan;
PREPARE equal_inside(vector, int) AS SELECT id FROM shop WHERE inside = $2 ORDER BY v <-> $1 LIMIT 10;
SELECT plan_of($$EXECUTE equal_inside('[1,2,3,4,5,6,7,8]', 10)$$);
PREPARE any_inside(vector, int[]) AS SELECT id FROM shop WHERE inside = ANY ($2) ORDER BY v <-> $1 LIMIT 10;
SELECT plan_of($$EXECUTE any_inside('[1,2,3,4,5,6,7,8]', '{10}')$$);
PREPARE below_beside(vector, int) AS SELECT id FROM shop WHERE beside BETWEEN 0 AND $2 AND slow(nowhere) ORDER BY v <-> $1 LIMIT 10;
SELECT plan_of($$EXECUTE below_beside('[1,2,3,4,5,6,7,8]', 10)$$);
RESET plan_cache_mode;

-- joins: for each row of another table; and a table that is joined to the nearest
CREATE TABLE asked (id int, at int, v vector(8));
INSERT INTO asked SELECT i, i * 100, random_vector(8 + 0 * i) FROM generate_series(1, 5) i;
CREATE TABLE label (id int PRIMARY KEY, name text);
INSERT INTO label SELECT i, 'label ' || i FROM generate_series(1, 20000) i;
ANALYZE asked, label;
SELECT plan_of($$SELECT a.id, s.id FROM asked a, LATERAL (SELECT id FROM shop WHERE inside = a.at ORDER BY v <-> a.v LIMIT 3) s$$);
SELECT plan_of($$SELECT a.id, s.id FROM asked a, LATERAL (SELECT id FROM shop WHERE inside < 2000 ORDER BY v <-> a.v LIMIT 3) s$$);
SELECT plan_of($$SELECT a.id, s.id FROM asked a, LATERAL (SELECT id FROM shop WHERE beside < 1000 AND slow(nowhere) ORDER BY v <-> a.v LIMIT 3) s$$);
SELECT plan_of($$SELECT s.id, name FROM shop s JOIN label USING (id) WHERE inside < 2000 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);

-- partitioned tables, the key of partitions in the index and not
CREATE TABLE parted (id int, part int, beside int, v vector(8)) PARTITION BY LIST (part);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
INSERT INTO parted SELECT i, i % 2, (i * 7919) % 20000, random_vector(8 + 0 * i) FROM generate_series(1, 20000) i;
CREATE INDEX ON parted USING hnsw (v vector_l2_ops, part);
CREATE INDEX ON parted (beside);
ANALYZE parted;
SELECT plan_of($$SELECT id FROM parted WHERE part = 1 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM parted WHERE part IN (0, 1) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM parted WHERE beside < 1200 AND slow(id) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
DROP TABLE parted;
CREATE TABLE parted (id int, part int, inside int, v vector(8)) PARTITION BY LIST (part);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
INSERT INTO parted SELECT i, i % 2, (i * 7919) % 20000, random_vector(8 + 0 * i) FROM generate_series(1, 20000) i;
CREATE INDEX ON parted USING hnsw (v vector_l2_ops, inside);
ANALYZE parted;
SELECT plan_of($$SELECT id FROM parted WHERE part = 1 AND inside < 500 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM parted WHERE inside IN (1, 2, 3, 4, 5) ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);

-- ivf
DROP INDEX shop_v;
CREATE INDEX shop_v ON shop USING ivf (v vector_l2_ops);
SELECT * FROM plans('beside < %s');
SELECT * FROM plans('nowhere < %s');

\pset format aligned
\pset tuples_only off
DEALLOCATE ALL;
DROP TABLE shop, asked, label, parted, stall;
DROP OPERATOR <<< (int, int);
DROP FUNCTION random_vector, plan_of, plans, slow, is_below, cost_of, costs_after_errors;
DROP SEQUENCE calls;
