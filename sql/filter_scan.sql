-- Scans of a vector's index that are kept to rows of other indexes' bitmaps: what they return, and to whom.
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real)::vector FROM generate_series(1, dims) $$;
SELECT setseed(0.5);
CREATE TABLE goods (id int PRIMARY KEY, price int, tags int[], day int, body text, v vector(8)) WITH (fillfactor = 20);
INSERT INTO goods SELECT i, (i * 7919) % 10000, ARRAY[i % 50, i % 31], i / 100, 'word ' || i % 1000,
    CASE WHEN i % 100 > 0 THEN random_vector(8 + 0 * i) END
  FROM generate_series(1, 10000) i;
-- rows of equal vectors
UPDATE goods SET v = '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]' WHERE id % 100 = 1;
CREATE INDEX goods_price ON goods (price);
CREATE INDEX goods_tags ON goods USING gin (tags);
CREATE INDEX goods_day ON goods USING brin (day) WITH (pages_per_range = 4);
CREATE INDEX goods_body ON goods (body);
ANALYZE goods;

-- A query by a filter scan, which is the only plan that needs no sort, against the truth: whether it was one, the rows of
-- both, how many are the same, whether the distances ascend.
CREATE FUNCTION compare(condition text, n int DEFAULT NULL, at text DEFAULT '[0.5,0.4,0.5,0.6,0.5,0.4,0.5,0.6]')
  RETURNS TABLE (filter_scan bool, got_rows bigint, wanted bigint, same bigint, ascending bool)
  LANGUAGE plpgsql AS $$
DECLARE
  query text := format('SELECT id, v <-> %1$L AS distance FROM goods WHERE v IS NOT NULL AND %2$s ORDER BY v <-> %1$L LIMIT %3$s',
                       at, condition, coalesce(n::text, 'ALL'));
  line text;
BEGIN
  SET LOCAL enable_sort = off;
  SET LOCAL enable_seqscan = off;
  filter_scan := false;
  FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
    filter_scan := filter_scan OR line ~ 'Ann Filter Scan';
  END LOOP;
  EXECUTE format('CREATE TEMP TABLE got AS SELECT row_number() OVER () AS place, * FROM (%s) s', query);
  SET LOCAL enable_sort = on;
  SET LOCAL enable_indexscan = off;
  EXECUTE format('CREATE TEMP TABLE truth AS %s', query);
  RESET enable_seqscan; RESET enable_sort; RESET enable_indexscan;
  SELECT count(*) INTO got_rows FROM got;
  SELECT count(*) INTO wanted FROM truth;
  SELECT count(*) INTO same FROM got JOIN truth USING (id, distance);
  -- Of all rows those that were met too late come last.
  SELECT bool_and(distance >= before) OR n IS NULL INTO ascending FROM (SELECT distance, lag(distance, 1, 0::float8) OVER (ORDER BY place) AS before FROM got) s;
  DROP TABLE got, truth;
  RETURN NEXT;
END $$;
CREATE FUNCTION compare_all() RETURNS TABLE (condition text, filter_scan bool, got_rows bigint, wanted bigint, nearly bool, ascending bool)
  LANGUAGE sql VOLATILE AS $$
  SELECT c.condition, r.filter_scan, r.got_rows, r.wanted, r.same >= r.wanted * 0.9, r.ascending
  FROM (VALUES
    ('price < 300', 20),                                      -- one index
    ('price < 300', NULL),                                    -- all rows of the set
    ('price < 3000 AND tags @> ''{7}''', 10),                 -- two, AND
    ('(price < 100 OR tags @> ''{7,14}'')', NULL),            -- two, OR
    ('price IN (1, 2, 3, 4, 5, 6, 7, 8, 9)', NULL),
    ('day BETWEEN 30 AND 31', NULL),                          -- BRIN: whole pages, checked again
    ('day BETWEEN 30 AND 40 AND price < 4000', 30),
    ('price < 500 AND body LIKE ''%7''', 10),                 -- and a condition that no index knows
    ('price < 500 AND id % 100 = 1', NULL),                   -- equal vectors, some of them
    ('price < 0', 10)) c (condition, n), compare(c.condition, c.n) r $$;
CREATE INDEX goods_v ON goods USING hnsw (v vector_l2_ops);
SELECT * FROM compare_all();
SET hnsw.iterative_scan = relaxed_order;
SELECT filter_scan, got_rows, wanted, same FROM compare('price < 300');
RESET hnsw.iterative_scan;
-- rows that came, went or moved since
DELETE FROM goods WHERE id % 7 = 0;
UPDATE goods SET price = price + 1 WHERE id % 5 = 0;
SELECT filter_scan, got_rows, wanted, same FROM compare('price < 300');
VACUUM goods;
SELECT filter_scan, got_rows, wanted, same FROM compare('price < 300');
DROP INDEX goods_v;
CREATE INDEX goods_v ON goods USING ivf (v vector_l2_ops) WITH (lists = 40);
-- all lists are read at once
SET ivf.probes = 40;
SELECT * FROM compare_all();
RESET ivf.probes;
DROP INDEX goods_v;
CREATE INDEX goods_v ON goods USING hnsw (v vector_l2_ops);

-- How a set steers the search. One of few rows is read row by row: the index is hardly looked at. Of a larger one the graph's walk
-- takes the nodes that are in it; where these are hard to come by (here: far from the query, and too many for the memory) all nodes are
-- looked up in the set. A node of several rows passes with any of them.
CREATE FUNCTION costly(int) RETURNS bool LANGUAGE plpgsql COST 100000 AS $$ BEGIN RETURN $1 >= 0; END $$;
CREATE FUNCTION pages_of(query text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT json) ' || query INTO plan;
  plan := plan -> 0 -> 'Plan' -> 'Plans' -> 0;
  RETURN CASE WHEN plan ->> 'Custom Plan Provider' = 'Ann Filter Scan' THEN (plan ->> 'Shared Hit Blocks')::int + (plan ->> 'Shared Read Blocks')::int END;
END $$;
CREATE FUNCTION compare_steered() RETURNS TABLE (condition text, filter_scan bool, got_rows bigint, wanted bigint, nearly bool, ascending bool)
  LANGUAGE sql VOLATILE AS $$
  SELECT c.condition, r.filter_scan, r.got_rows, r.wanted, r.same >= r.wanted * 0.9, r.ascending
  FROM (VALUES
    ('price < 6000 AND costly(id)', 10),
    ('price < 6000 AND costly(id)', 3000),
    ('price < 6000 AND costly(id)', NULL),
    ('price < 6000 AND day < 70 AND costly(id)', 20),
    ('price < 6000 AND day < 70 AND costly(id)', NULL),
    ('price < 6000 AND id % 100 = 1 AND costly(id)', NULL)) c (condition, n), compare(c.condition, c.n, '[0.9,0.1,0.8,0.2,0.9,0.1,0.7,0.2]') r $$;
SET enable_sort = off;
SET enable_seqscan = off;
SELECT pages_of($$SELECT id FROM goods WHERE price < 30 AND costly(id) ORDER BY v <-> '[0.5,0.4,0.5,0.6,0.5,0.4,0.5,0.6]' LIMIT 10$$) < 100 AS few;
SELECT * FROM compare_steered();
DROP INDEX goods_day;
DROP INDEX goods_v;
CREATE INDEX goods_v ON goods USING hnsw (v vector_l2_ops, day);
SELECT * FROM compare_steered();
SET work_mem = '64kB';
SELECT * FROM compare_steered();
SELECT filter_scan, got_rows, wanted, same >= wanted * 0.9 AS nearly FROM compare('price < 3000 AND v <-> ''[9,9,9,9,9,9,9,9]'' < 23.2 AND costly(id)', 20);
RESET work_mem;
SET hnsw.iterative_scan = off;
SELECT filter_scan, got_rows BETWEEN 40 AND 90 AS as_many_as_ef FROM compare('price < 300 AND costly(id)');
RESET hnsw.iterative_scan;
SET hnsw.max_scan_tuples = 100;
SELECT filter_scan, got_rows < wanted AS cut_short FROM compare('price < 6000 AND costly(id)');
RESET hnsw.max_scan_tuples;
-- of a partial index the set may have rows that are not in it
DROP INDEX goods_v;
CREATE INDEX goods_v ON goods USING hnsw (v vector_l2_ops) WHERE id < 5000;
SELECT filter_scan, got_rows, wanted, same FROM compare('price < 300 AND id < 5000 AND costly(id)');
DROP INDEX goods_v;
CREATE INDEX goods_v ON goods USING ivf (v vector_l2_ops, day) WITH (lists = 40);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT pages_of($$SELECT id FROM goods WHERE price < 30 AND costly(id) ORDER BY v <-> '[0.5,0.4,0.5,0.6,0.5,0.4,0.5,0.6]' LIMIT 10$$) < 100 AS few;
SELECT * FROM compare_steered();
SELECT got_rows, wanted, same FROM compare('price < 30 AND day = 1 AND day = 2 AND costly(id)');
DROP FUNCTION pages_of, compare_steered;
RESET enable_sort;
RESET enable_seqscan;

-- a bitmap that has too little memory becomes one of whole pages
CREATE FUNCTION set_of(query text, OUT lossy bool, OUT removed bool) LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  lossy := false;
  removed := false;
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
    lossy := lossy OR line ~ 'Lossy Blocks in Set: [1-9]';
    removed := removed OR line ~ 'Rows Removed by Index Recheck: [1-9]';
  END LOOP;
END $$;
CREATE TABLE wide (id int, a int, b int, v vector(4)) WITH (fillfactor = 10);
INSERT INTO wide SELECT i, (i * 7919) % 30000, i % 2, random_vector(4 + 0 * i) FROM generate_series(1, 30000) i;
CREATE INDEX wide_v ON wide USING hnsw (v vector_l2_ops);
CREATE INDEX wide_a ON wide (a);
ANALYZE wide;
SET enable_sort = off;
SET work_mem = '64kB';
SELECT * FROM set_of($$SELECT id FROM wide WHERE a < 3000 AND costly(b) ORDER BY v <-> '[1,1,1,1]' LIMIT 50$$);
SELECT count(*), max(a) < 3000 AS all_pass FROM (SELECT * FROM wide WHERE a < 3000 AND costly(b) ORDER BY v <-> '[1,1,1,1]' LIMIT 3000) s;
-- what the set takes is bound by that memory, too: 16 kB and the header's; pages that are known have 56 bytes each in the bitmap
CREATE FUNCTION bytes_of_set() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  walk CURSOR FOR SELECT id FROM wide WHERE a < 3000 AND costly(b) ORDER BY v <-> '[1,1,1,1]';
  bytes bigint;
BEGIN
  OPEN walk;
  MOVE walk;
  SELECT total_bytes INTO bytes FROM pg_backend_memory_contexts WHERE name = 'ann row set';
  CLOSE walk;
  RETURN bytes;
END $$;
SELECT bytes_of_set() <= 64 * 1024 AS bound;
SET work_mem = '4MB';
SELECT * FROM set_of($$SELECT id FROM wide WHERE a < 3000 AND costly(b) ORDER BY v <-> '[1,1,1,1]' LIMIT 50$$);
RESET work_mem;
DROP FUNCTION bytes_of_set;

-- again and again: the set stays as long as what it depends on; projections; system columns; subqueries among the conditions
SELECT q.at, array_agg(s.id ORDER BY s.id) = (SELECT array_agg(id ORDER BY id) FROM wide WHERE a < q.at) AS right
FROM (VALUES (10), (20), (5)) q (at), LATERAL (SELECT id FROM wide WHERE a < q.at ORDER BY v <-> '[1,1,1,1]' LIMIT 100) s GROUP BY q.at;
SELECT count(*), count(DISTINCT s.id) >= 3 AS differ FROM (SELECT v FROM wide ORDER BY id LIMIT 5) q, LATERAL (SELECT id, a FROM wide WHERE a < 100 ORDER BY v <-> q.v LIMIT 3) s WHERE s.a < 100;
SELECT count(*) FROM (SELECT ctid, tableoid::regclass, a + 1, wide FROM wide WHERE a < 100 AND b IN (SELECT i FROM generate_series(0, 0) i) ORDER BY v <-> '[1,1,1,1]') s;
SELECT count(*) FROM (SELECT id FROM wide WHERE a < 100 AND b = (SELECT max(x.b) FROM wide x WHERE x.id < wide.id % 3 + 3) ORDER BY v <-> '[1,1,1,1]' LIMIT 10) s;
-- a cursor: forward, at the row that it is on, back to the start
BEGIN;
DECLARE walk SCROLL CURSOR FOR SELECT id FROM wide WHERE a < 20 ORDER BY v <-> '[1,1,1,1]';
MOVE 5 IN walk;
MOVE BACKWARD ALL IN walk;
MOVE ALL IN walk;
CLOSE walk;
DECLARE here CURSOR FOR SELECT * FROM wide WHERE a < 20 ORDER BY v <-> '[1,1,1,1]';
MOVE 3 IN here;
UPDATE wide SET b = -1 WHERE CURRENT OF here;
SELECT count(*) FROM wide WHERE b = -1 AND a < 20;
ROLLBACK;
BEGIN;
DELETE FROM wide WHERE id IN (SELECT id FROM wide WHERE a < 20 ORDER BY v <-> '[1,1,1,1]' LIMIT 5 FOR UPDATE);
SELECT count(*) FROM wide WHERE a < 20;
ROLLBACK;
RESET enable_sort;

-- the first statement of a connection
\c
SET enable_sort = off;
CREATE FUNCTION nodes_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ '(Scan|Cond|Filter)' THEN RETURN NEXT line; END IF;
  END LOOP;
END $$;
\c
EXPLAIN (COSTS OFF) SELECT id FROM wide WHERE a < 1500 AND costly(b) ORDER BY v <-> '[1,1,1,1]' LIMIT 10;

-- generic plans: the set is made of each execution's values
SET enable_sort = off;
SET plan_cache_mode = force_generic_plan;
PREPARE below(int, vector) AS SELECT count(*), count(DISTINCT id), max(a) FROM (SELECT id, a FROM wide WHERE a < $1 ORDER BY v <-> $2 LIMIT 1000) s;
SELECT ltrim(node) AS node FROM nodes_of('EXECUTE below(20, ''[1,1,1,1]'')') node WHERE node !~ 'Subquery';
EXECUTE below(20, '[1,1,1,1]');
EXECUTE below(7, '[1,1,1,1]');
EXECUTE below(0, '[1,1,1,1]');
EXECUTE below(NULL, '[1,1,1,1]');
EXECUTE below(300, NULL);
EXECUTE below(300, '[0,0,0,1]');
DEALLOCATE below;
RESET plan_cache_mode;
-- the inner side of a nested loop, with a set of its own for each outer row, for some of none; a set that stays and one that does not in one plan
SELECT setseed(0.3);
CREATE TABLE asked AS SELECT i AS id, i * 5 AS low, random_vector(4 + 0 * i) AS v FROM generate_series(-2, 30) i;
ANALYZE asked;
CREATE FUNCTION each_asked(condition text) RETURNS TABLE (id int, found int[]) LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'SELECT q.id, (SELECT array_agg(s.id ORDER BY s.place) FROM (SELECT w.id, row_number() OVER () AS place FROM
    (SELECT id FROM wide WHERE ' || condition || ' ORDER BY v <-> q.v LIMIT 4) w) s) FROM asked q';
END $$;
CREATE FUNCTION compare_asked(condition text) RETURNS TABLE (filter_scan bool, asked bigint, same bigint) LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL enable_indexscan = on;
  SELECT bool_or(p ~ 'Ann Filter Scan') INTO filter_scan FROM nodes_of('SELECT (SELECT array_agg(w.id) FROM (SELECT id FROM wide WHERE ' || condition || ' ORDER BY v <-> q.v LIMIT 4) w) FROM asked q') p;
  CREATE TEMP TABLE got AS SELECT * FROM each_asked(condition);
  SET LOCAL enable_indexscan = off;
  SET LOCAL enable_sort = on;
  CREATE TEMP TABLE truth AS SELECT * FROM each_asked(condition);
  SELECT count(*), count(*) FILTER (WHERE g.found IS NOT DISTINCT FROM t.found) INTO asked, same FROM got g JOIN truth t USING (id);
  DROP TABLE got, truth;
  SET LOCAL enable_sort = off;
  RETURN NEXT;
END $$;
SET hnsw.ef_search = 400;
SELECT c.condition, r.filter_scan, r.asked, r.same >= r.asked - 1 AS nearly FROM (VALUES ('a BETWEEN q.low AND q.low + 40'), ('a < 200'), ('a = q.low OR a BETWEEN 100 AND 200'), ('a < 200 AND b = q.id % 2')) c (condition), compare_asked(c.condition) r;
RESET hnsw.ef_search;
-- backwards from a cursor's end, and over and over
BEGIN;
DECLARE walk SCROLL CURSOR FOR SELECT id FROM wide WHERE a < 20 ORDER BY v <-> '[1,1,1,1]';
CREATE FUNCTION fetched(what text, walk text DEFAULT 'walk') RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
  c refcursor := walk;
  next int;
  found_ids int[] := '{}';
BEGIN
  LOOP
    IF what = 'forward' THEN FETCH FORWARD FROM c INTO next; ELSE FETCH BACKWARD FROM c INTO next; END IF;
    EXIT WHEN NOT FOUND;
    found_ids := found_ids || next;
  END LOOP;
  RETURN found_ids;
END $$;
SELECT fetched('forward') AS forward \gset
SELECT cardinality(:'forward'::int[]) AS rows, (SELECT array_agg(i ORDER BY n DESC) FROM unnest(:'forward'::int[]) WITH ORDINALITY u (i, n)) = fetched('backward') AS reversed;
SELECT fetched('forward') = :'forward'::int[] AS again;
-- a subtransaction ends in an error while a scan of it, or of the one around it, is open; scans that are left open end with the transaction
SAVEPOINT s;
DECLARE inner_walk CURSOR FOR SELECT id FROM wide WHERE a < 50 ORDER BY v <-> '[1,0,1,1]';
MOVE 7 IN inner_walk;
DECLARE failing CURSOR FOR SELECT 1 / (a - 3) FROM wide WHERE a < 4 ORDER BY v <-> '[1,0,1,1]';
\set VERBOSITY terse
FETCH ALL FROM failing;
\set VERBOSITY default
ROLLBACK TO s;
FETCH 1 FROM inner_walk;
ROLLBACK TO s;
MOVE BACKWARD ALL IN walk;
SELECT fetched('forward') = :'forward'::int[] AS again;
DECLARE open CURSOR FOR SELECT id FROM wide WHERE a < 50 ORDER BY v <-> '[1,0,1,1]';
MOVE 7 IN open;
COMMIT;
-- an open one meets rows that come, go and move: it gives what it saw
BEGIN;
DECLARE steady CURSOR FOR SELECT id FROM wide WHERE a < 40 ORDER BY v <-> '[1,1,1,1]';
MOVE 2 IN steady;
DELETE FROM wide WHERE a BETWEEN 5 AND 15;
UPDATE wide SET a = 100000 WHERE a BETWEEN 20 AND 30;
INSERT INTO wide SELECT 40000 + i, i, 0, random_vector(4 + 0 * i) FROM generate_series(0, 39) i;
SELECT cardinality(fetched('forward', 'steady')) AS others;
SELECT count(*) FROM (SELECT id FROM wide WHERE a < 40 ORDER BY v <-> '[1,1,1,1]') s;
ROLLBACK;

-- what EXPLAIN says, for programs
CREATE FUNCTION explained(query text, OUT node text, OUT rows int, OUT set_rows int, OUT lossy int, OUT conditions text, OUT children text[]) LANGUAGE plpgsql AS $$
DECLARE
  plan json;
BEGIN
  EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT json) ' || query INTO plan;
  plan := plan -> 0 -> 'Plan' -> 'Plans' -> 0;
  node := plan ->> 'Node Type' || ': ' || (plan ->> 'Custom Plan Provider');
  rows := (plan ->> 'Actual Rows')::numeric;
  set_rows := plan ->> 'Rows in Set';
  lossy := plan ->> 'Lossy Blocks in Set';
  conditions := concat_ws('; ', plan ->> 'Recheck Cond', plan ->> 'Filter');
  children := ARRAY(SELECT c ->> 'Node Type' FROM json_array_elements(plan -> 'Plans') c);
END $$;
SELECT node, rows, set_rows >= 30 AS all, lossy, conditions, children FROM explained($$SELECT id FROM wide WHERE a < 30 AND b = 1 ORDER BY v <-> '[1,1,1,1]' LIMIT 5$$);
SET work_mem = '64kB';
SELECT node, rows, set_rows < 30000 AS some, lossy > 0 AS lossy, conditions, children FROM explained($$SELECT id FROM wide WHERE a < 9000 OR a > 25000 ORDER BY v <-> '[1,1,1,1]' LIMIT 5000$$);
RESET work_mem;
EXPLAIN (COSTS OFF, VERBOSE) SELECT id FROM wide w WHERE a < 30 AND b = 1 ORDER BY v <-> '[1,1,1,1]' LIMIT 5;

-- AND, OR and lossy pages of them in little memory
CREATE INDEX wide_b ON wide USING hash (b);
CREATE INDEX wide_id ON wide USING brin (id) WITH (pages_per_range = 2);
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT id), bool_and(a < 9000 OR a > 25000) AS pass FROM (SELECT * FROM wide WHERE (a < 9000 OR a > 25000) ORDER BY v <-> '[1,1,1,1]') s;
SELECT count(*), count(DISTINCT id), bool_and(a < 9000 AND id BETWEEN 1000 AND 3000) AS pass FROM (SELECT * FROM wide WHERE a < 9000 AND id BETWEEN 1000 AND 3000 ORDER BY v <-> '[1,1,1,1]') s;
SELECT (SELECT count(*) FROM generate_series(1, 30000) i WHERE (i * 7919) % 30000 < 9000 OR (i * 7919) % 30000 > 25000) AS first,
  (SELECT count(*) FROM generate_series(1000, 3000) i WHERE (i * 7919) % 30000 < 9000) AS second;
RESET work_mem;

-- temporary tables and partitions
CREATE TEMP TABLE passing AS SELECT id, a, v FROM wide WHERE id % 3 = 0;
CREATE INDEX ON passing USING hnsw (v vector_l2_ops);
CREATE INDEX ON passing (a);
ANALYZE passing;
SELECT nodes_of($$SELECT id FROM passing WHERE a BETWEEN 30 AND 90 ORDER BY v <-> '[1,1,1,1]'$$);
SELECT count(*), bool_and(a BETWEEN 30 AND 90) AS pass FROM (SELECT a FROM passing WHERE a BETWEEN 30 AND 90 ORDER BY v <-> '[1,1,1,1]') s;
CREATE TABLE parts (id int, a int, v vector(4)) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10000);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10000) TO (50000);
INSERT INTO parts SELECT id, a, v FROM wide;
CREATE INDEX ON parts USING hnsw (v vector_l2_ops);
CREATE INDEX ON parts (a);
ANALYZE parts;
SELECT nodes_of($$SELECT id FROM parts WHERE a BETWEEN 30 AND 90 ORDER BY v <-> '[1,1,1,1]'$$);
SELECT array_agg(id) = (SELECT array_agg(id ORDER BY v <-> '[1,1,1,1]') FROM wide WHERE a BETWEEN 30 AND 90) AS same FROM (SELECT id FROM parts WHERE a BETWEEN 30 AND 90 ORDER BY v <-> '[1,1,1,1]') s;
SELECT nodes_of($$SELECT id FROM parts WHERE a BETWEEN 30 AND 90 AND id < 5000 ORDER BY v <-> '[1,1,1,1]'$$);
RESET enable_sort;
DROP TABLE asked, passing, parts;
DROP FUNCTION each_asked, compare_asked, fetched, explained;

-- Row-level security: conditions of users that might tell of hidden rows see none of them, neither through an index nor
-- in a set of whole pages.
CREATE FUNCTION tells(int) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 0.0001 AS $$
BEGIN
  IF $1 = 13 THEN RAISE NOTICE 'sees %', $1; END IF;
  RETURN true;
END $$;
CREATE ROLE ann_tenant;
SET enable_sort = off;
CREATE TABLE tenants (id int, tenant int, secret int, word text, amount numeric, v vector(4));
INSERT INTO tenants SELECT i, i / 100, CASE WHEN i / 100 = 3 THEN i % 10 ELSE 13 END, 'w' || i % 10, i % 10, random_vector(4 + 0 * i)
  FROM generate_series(1, 10000) i;
CREATE INDEX tenants_v ON tenants USING hnsw (v vector_l2_ops, tenant, secret, amount);
CREATE INDEX tenants_tenant ON tenants USING brin (tenant) WITH (pages_per_range = 8);
SET client_min_messages = warning;
CREATE INDEX tenants_secret ON tenants (tells(secret));
CREATE INDEX tenants_word ON tenants (word text_pattern_ops);
ANALYZE tenants;
RESET client_min_messages;
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (tenant = 3);
GRANT SELECT ON tenants TO ann_tenant;
CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM tenants WHERE tenant = 3;
GRANT SELECT ON guarded TO ann_tenant;
SET ROLE ann_tenant;
SELECT count(*) FROM (SELECT id FROM tenants WHERE tells(secret) ORDER BY v <-> '[1,1,1,1]' LIMIT 200) s;
-- equality of int is leakproof and goes to the index; what is not is checked above it, though an index knows it
SELECT nodes_of($$SELECT id FROM tenants WHERE secret = 5 AND tells(secret) ORDER BY v <-> '[1,1,1,1]' LIMIT 5$$);
SELECT nodes_of($$SELECT id FROM tenants WHERE amount IN (3, 5) ORDER BY v <-> '[1,1,1,1]' LIMIT 5$$);
SELECT nodes_of($$SELECT id FROM tenants WHERE secret IN (3, 5) ORDER BY v <-> '[1,1,1,1]' LIMIT 5$$);
RESET ROLE;
SELECT nodes_of($$SELECT id FROM tenants WHERE amount IN (3, 5) ORDER BY v <-> '[1,1,1,1]' LIMIT 5$$);
DROP INDEX tenants_v;
CREATE INDEX tenants_v ON tenants USING hnsw (v vector_l2_ops);
SET ROLE ann_tenant;
SELECT nodes_of($$SELECT id FROM tenants WHERE tells(secret) AND word ~<~ 'w3' ORDER BY v <-> '[1,1,1,1]' LIMIT 5$$);
SELECT count(*) FROM (SELECT id FROM tenants WHERE tells(secret) ORDER BY v <-> '[1,1,1,1]' LIMIT 200) s;
RESET ROLE;
ALTER TABLE tenants DISABLE ROW LEVEL SECURITY;
SELECT nodes_of($$SELECT id FROM guarded WHERE tells(secret) ORDER BY v <-> '[1,1,1,1]' LIMIT 5$$);
SELECT count(*) FROM (SELECT id FROM guarded WHERE tells(secret) ORDER BY v <-> '[1,1,1,1]' LIMIT 200) s;
RESET enable_sort;

DROP VIEW guarded;
DROP TABLE goods, wide, tenants;
DROP ROLE ann_tenant;
DROP FUNCTION random_vector, compare_all, compare, set_of, costly, nodes_of, tells;
