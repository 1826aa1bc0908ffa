-- Which plans are chosen where hnsw, ivf, ivfflat and a sort compete, with every enable_* setting on.
CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  line text;
  nodes text[] := '{}';
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ '(Sort|Scan)' AND line !~ '(Sort Key|Presorted)' THEN
      nodes := nodes || regexp_replace(line, '^[ >-]*', '');
    END IF;
  END LOOP;
  RETURN array_to_string(nodes, ', ');
END $$;

CREATE TABLE t100 (id int PRIMARY KEY, twenty int, tenth int, v vector(16));
CREATE TABLE t10000 (LIKE t100 INCLUDING ALL);
CREATE TABLE t50000 (LIKE t100 INCLUDING ALL);
-- Vectors of two halves, of which there are 250 kinds.
CREATE FUNCTION fill(tbl regclass, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('WITH halves AS MATERIALIZED (
      SELECT h, (SELECT array_agg(random()::real) FROM generate_series(1, 8 + 0 * h))::vector AS v FROM generate_series(0, 249) h)
    INSERT INTO %s SELECT i, i / 20, i %% 10, a.v || b.v FROM generate_series(0, %s - 1) i
      JOIN halves a ON a.h = i %% 250 JOIN halves b ON b.h = i / 250', tbl, n);
  EXECUTE format('CREATE INDEX ON %s (twenty)', tbl);
  EXECUTE format('CREATE INDEX %1$s_hnsw ON %1$s USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 16)', tbl);
  EXECUTE format('CREATE INDEX %1$s_ivf ON %1$s USING ivf (v vector_l2_ops)', tbl);
  EXECUTE format('CREATE INDEX %1$s_cosine_ivf ON %1$s USING ivf (v vector_cosine_ops)', tbl);
  EXECUTE format('CREATE INDEX %1$s_ip_ivfflat ON %1$s USING ivfflat (v vector_ip_ops)', tbl);
  EXECUTE format('ANALYZE %s', tbl);
END $$;
SELECT setseed(0.5);
SELECT fill('t100', 100);
SELECT fill('t10000', 10000);
SELECT fill('t50000', 50000);

-- LIMIT: a search for few rows, a sort for many
CREATE FUNCTION plans(op text, clause text DEFAULT '') RETURNS TABLE (tbl text, lim text, plan text) LANGUAGE sql AS $$
  SELECT t, l, plan_of(format('SELECT id FROM %s %s ORDER BY v %s array_fill(0.5::real, ARRAY[16])::vector LIMIT %s', t, clause, op, l))
  FROM unnest(ARRAY['t100', 't10000', 't50000']) t, unnest(ARRAY['1', '10', '1000', '40000', 'ALL']) l
$$;
-- hnsw and ivf; for 1,000 rows they are about equal
SELECT tbl, lim, CASE lim WHEN '1000' THEN regexp_replace(plan, 'hnsw|ivf', '(hnsw or ivf)') ELSE plan END AS plan FROM plans('<->');
-- ivf alone
SELECT * FROM plans('<=>');
-- ivfflat alone
SELECT * FROM plans('<#>');
-- no index
SELECT * FROM plans('<+>') WHERE lim = '10';

-- filters: many rows pass, some, few; the last by an index of their own
SELECT * FROM plans('<->', 'WHERE tenth < 9') WHERE lim = '10';
SELECT * FROM plans('<->', 'WHERE tenth = 1') WHERE lim = '10';
SELECT * FROM plans('<=>', 'WHERE tenth = 1') WHERE lim = '10';
SELECT * FROM plans('<->', 'WHERE twenty = 1') WHERE lim = '10';
SELECT * FROM plans('<=>', 'WHERE twenty = 1') WHERE lim = '10';
SELECT * FROM plans('<=>', 'WHERE id < 3') WHERE lim = '10';

-- what settings cost: more lists more, and never less for an answer that they cut short
CREATE FUNCTION costs(op text, lim text) RETURNS TABLE (startup float8, total float8) LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  SET LOCAL enable_sort = off;
  EXECUTE format('EXPLAIN (FORMAT json) SELECT id FROM t50000 ORDER BY v %s array_fill(0.5::real, ARRAY[16])::vector LIMIT %s', op, lim) INTO plan;
  RETURN QUERY SELECT (plan->0->'Plan'->>'Startup Cost')::float8, (plan->0->'Plan'->>'Total Cost')::float8;
END $$;
SELECT startup AS adaptive, total AS all_rows FROM costs('<=>', 'ALL') \gset
SET ivf.probes = 1;
SELECT startup AS one FROM costs('<=>', '10') \gset
SET ivf.probes = 100;
SELECT startup AS hundred FROM costs('<=>', '10') \gset
SET ivf.max_probes = 10;
SELECT startup AS ten FROM costs('<=>', '10') \gset
SET ivf.probes = -1;
SELECT startup AS at_most_ten FROM costs('<=>', '10') \gset
SET ivf.iterative_scan = off;
SELECT :one < :ten AS one, :ten < :hundred AS ten, :at_most_ten = :ten AS at_most, :one < :adaptive AS adaptive,
  total > :all_rows / 2 AS not_cheap FROM costs('<=>', 'ALL');
RESET ivf.probes;
RESET ivf.max_probes;
RESET ivf.iterative_scan;
SELECT startup AS one FROM costs('<#>', '10') \gset
SET ivfflat.probes = 50;
SELECT :one < startup AS more FROM costs('<#>', '10');
RESET ivfflat.probes;

-- with few lists to look at, ivf is the cheaper one
SET hnsw.ef_search = 400;
SET ivf.probes = 4;
SELECT * FROM plans('<->') WHERE lim = '10';
RESET hnsw.ef_search;
RESET ivf.probes;

-- a LIMIT that is not known yet
PREPARE nearest(int) AS SELECT id FROM t10000 ORDER BY v <=> array_fill(0.5::real, ARRAY[16])::vector LIMIT $1;
SET plan_cache_mode = force_generic_plan;
SELECT plan_of('EXECUTE nearest(10)');
RESET plan_cache_mode;

DROP TABLE t100, t10000, t50000;
DROP FUNCTION plan_of, fill, plans, costs;
