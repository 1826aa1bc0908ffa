-- Which plans are chosen, with every enable_* setting on.
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real)::vector FROM generate_series(1, dims) $$;

-- The nodes of a plan that matter, one a line.
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ '(Limit|Sort|Scan|Append|Loop|Aggregate|Subquery)' AND line !~ '(Sort Key|Presorted)' THEN
      RETURN NEXT regexp_replace(line, '->  ', '');
    END IF;
  END LOOP;
END $$;

SELECT setseed(0.5);
CREATE TABLE tiny (id int, v vector(8));
INSERT INTO tiny SELECT i, random_vector(8 + 0 * i) FROM generate_series(1, 50) i;
CREATE INDEX tiny_v ON tiny USING hnsw (v vector_l2_ops);
CREATE TABLE big (id int PRIMARY KEY, category int, tenth int, v vector(8));
INSERT INTO big SELECT i, i % 1000, i % 10, random_vector(8 + 0 * i) FROM generate_series(1, 10000) i;
CREATE INDEX big_v ON big USING hnsw (v vector_l2_ops);
CREATE INDEX big_category ON big (category);
ANALYZE tiny, big;

-- LIMIT: the index, but not where reading all rows is cheaper
SELECT plan_of($$SELECT id FROM big ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM big ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 100$$);
SELECT plan_of($$SELECT id FROM big ORDER BY '[1,2,3,4,5,6,7,8]' <-> v LIMIT 10$$);
SELECT plan_of($$SELECT id FROM tiny ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);

-- no LIMIT: a sort
SELECT plan_of($$SELECT id FROM big ORDER BY v <-> '[1,2,3,4,5,6,7,8]'$$);
SELECT plan_of($$SELECT id FROM big ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 9000$$);

-- no ORDER BY that the index knows: never the index
SELECT plan_of($$SELECT id FROM big LIMIT 10$$);
SELECT plan_of($$SELECT count(*) FROM big$$);
SELECT plan_of($$SELECT id FROM big ORDER BY v <=> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM big ORDER BY v <-> '[1,2,3,4,5,6,7,8]' DESC LIMIT 10$$);
SELECT plan_of($$SELECT id FROM big WHERE v <-> '[1,2,3,4,5,6,7,8]' < 1$$);
SET enable_seqscan = off;
SELECT plan_of($$SELECT count(v) FROM tiny$$);
RESET enable_seqscan;

-- filters: streaming through the index when many rows pass, the other index and a sort when few do
SELECT plan_of($$SELECT id FROM big WHERE tenth = 1 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM big WHERE id < 20 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM big WHERE category = 7 ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);

-- one search for each outer row
SELECT plan_of($$SELECT t.id, b.id FROM tiny t, LATERAL (SELECT id FROM big ORDER BY v <-> t.v LIMIT 3) b$$);

-- a partial index serves queries that imply its predicate, and only those
CREATE INDEX big_partial ON big USING hnsw (v vector_cosine_ops) WHERE tenth = 3;
SELECT plan_of($$SELECT id FROM big WHERE tenth = 3 ORDER BY v <=> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);
SELECT plan_of($$SELECT id FROM big WHERE tenth = 4 ORDER BY v <=> '[1,2,3,4,5,6,7,8]' LIMIT 10$$);

-- parameters: custom and generic plans
PREPARE nearest(vector, int) AS SELECT id FROM big ORDER BY v <-> $1 LIMIT $2;
SET plan_cache_mode = force_custom_plan;
SELECT plan_of($$EXECUTE nearest('[1,2,3,4,5,6,7,8]', 10)$$);
SET plan_cache_mode = force_generic_plan;
SELECT plan_of($$EXECUTE nearest('[1,2,3,4,5,6,7,8]', 10)$$);
RESET plan_cache_mode;

-- a search of a wider beam costs more
CREATE FUNCTION startup_cost(query text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
  RETURN (plan->0->'Plan'->>'Startup Cost')::float8;
END $$;
SELECT startup_cost($$SELECT id FROM big ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 1$$) AS narrow \gset
SET hnsw.ef_search = 200;
SELECT startup_cost($$SELECT id FROM big ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 1$$) > :narrow AS costs_more;
-- and shows in EXPLAIN (SETTINGS)
CREATE FUNCTION settings_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (SETTINGS, FORMAT json) ' || query INTO plan;
  RETURN plan->0->'Settings'->>'hnsw.ef_search';
END $$;
SELECT settings_of('SELECT id FROM tiny');
RESET hnsw.ef_search;

DROP TABLE tiny, big;
DROP FUNCTION random_vector, plan_of, startup_cost, settings_of;

-- two distances are no order that one scan gives
CREATE TABLE two_keys (id int, v vector(2));
INSERT INTO two_keys SELECT i, ARRAY[i % 100, i / 100]::vector FROM generate_series(1, 5000) i;
CREATE INDEX ON two_keys USING hnsw (v vector_l2_ops);
ANALYZE two_keys;
SELECT id FROM two_keys ORDER BY v <-> '[3,3]', v <-> '[9,3]' LIMIT 2;
DROP TABLE two_keys;
