-- ivf: centroids that the user gives in a table.
\set SHOW_CONTEXT never
CREATE SCHEMA given;
CREATE TABLE items (id int, v vector(2));
INSERT INTO items SELECT i, ARRAY[i % 50, i / 50]::vector FROM generate_series(0, 2499) i;
CREATE TABLE given.centroids (id int, place vector);
INSERT INTO given.centroids SELECT i, ARRAY[5 + 10 * (i % 5), 5 + 10 * (i / 5)]::vector FROM generate_series(0, 24) i;

-- what an index says of itself, and whether each row is found, in order
CREATE FUNCTION look(index regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  r record;
  n int;
BEGIN
  PERFORM ann_index_check(index);
  SELECT lists, rows, empty_lists INTO r FROM ann_index_stats(index);
  SET LOCAL enable_seqscan = off;
  SELECT count(DISTINCT id) INTO n FROM (SELECT id FROM items ORDER BY v <-> '[20,20]') x;
  RETURN format('%s lists, %s empty, %s rows, %s found', r.lists, r.empty_lists, r.rows, n);
END $$;

CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (centroids = 'given.centroids');
SELECT look('items_v');
-- each list is around its centroid; of a row between two, rounding decides
SELECT largest_list BETWEEN 100 AND 121 AS is_around, imbalance < 1.02 AS is_even FROM ann_index_stats('items_v');
SELECT pg_get_indexdef('items_v'::regclass);
\d items_v
REINDEX INDEX items_v;
SELECT look('items_v');
INSERT INTO given.centroids VALUES (25, '[100,100]');
SELECT ann_retrain('items_v');
SELECT look('items_v');
REINDEX INDEX CONCURRENTLY items_v;
SELECT look('items_v');

-- dropped or renamed: the index stays as it is; what would read the table says so, VACUUM goes on
ALTER TABLE given.centroids RENAME TO elsewhere;
INSERT INTO items SELECT 2500 + i, ARRAY[i % 50, i / 50]::vector FROM generate_series(0, 99) i;
SELECT ann_retrain('items_v');
REINDEX INDEX items_v;
VACUUM items;
SELECT look('items_v');
INSERT INTO items SELECT 3000 + i, ARRAY[i % 50, i / 50]::vector FROM generate_series(0, 9999) i;
VACUUM items;
SELECT look('items_v');
ALTER TABLE given.elsewhere RENAME TO centroids;
VACUUM items;
SELECT look('items_v'), epoch FROM ann_index_stats('items_v');
DELETE FROM items WHERE id >= 2500;
DROP INDEX items_v;

-- an index that is there before its rows has its lists at once; vacuum finds the rest when there are some
DELETE FROM given.centroids WHERE id NOT IN (1, 5, 12);
CREATE TABLE later (id int, v vector(2));
CREATE INDEX later_v ON later USING ivf (v vector_cosine_ops) WITH (centroids = 'given.centroids', quantizer = pq);
SELECT lists, empty_lists, epoch FROM ann_index_stats('later_v');
INSERT INTO later SELECT id, v FROM items;
VACUUM later;
SELECT lists, empty_lists, rows, epoch FROM ann_index_stats('later_v');
VACUUM later;
SELECT epoch FROM ann_index_stats('later_v');
SELECT ann_index_check('later_v');
DROP TABLE later;

-- values that are no table's name, or are meant to be more than one
CREATE FUNCTION create_index(centroids text, opclass text DEFAULT 'vector_l2_ops', options text DEFAULT '') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE format('CREATE INDEX items_v ON items USING ivf (v %s) WITH (centroids = %L%s)', opclass, centroids, options);
  DROP INDEX items_v;
  RETURN 'created';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN SQLSTATE || ' ' || SQLERRM || ' ' || detail || ' ' || hint;
END $$;
SELECT name, create_index(name) FROM unnest(ARRAY['', ' ', '.', 'centroids', 'given.', '.centroids', 'given.centroids.id', 'postgres.given.centroids',
  'given.centroids; DROP TABLE items', 'given.centroids;DROP', 'given.(SELECT place FROM given.centroids)', 'given.centroids WHERE true', '"given.centroids',
  'given."centroids" "', 'given.centroids -- ', $$given.centroids' OR '1'='1$$, '"given.centroids"', 'given.none', 'none.centroids',
  ' GIVEN . Centroids ', '"given"."centroids"', '"Given".centroids', 'x; DROP TABLE items']) name;
SELECT count(*) FROM items;

-- a name means the same whatever search_path says
CREATE SCHEMA shadow;
CREATE TABLE shadow.centroids (place vector(2));
INSERT INTO shadow.centroids VALUES ('[1,1]'), ('[2,2]');
CREATE TEMP TABLE centroids (place vector(2));
INSERT INTO centroids VALUES ('[1,1]');
SET search_path = shadow, given, public;
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (centroids = 'given.centroids');
SELECT lists FROM ann_index_stats('items_v');
DROP INDEX items_v;
SELECT create_index('centroids');
RESET search_path;
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (centroids = 'pg_temp.centroids');
SELECT lists FROM ann_index_stats('items_v');
DROP INDEX items_v;
DROP TABLE centroids;
DROP SCHEMA shadow CASCADE;

-- names that need quotes
CREATE SCHEMA "a.b";
CREATE TABLE "a.b"."x""; DROP TABLE items; --" (place vector(2));
INSERT INTO "a.b"."x""; DROP TABLE items; --" VALUES ('[1,1]'), ('[30,30]');
SELECT create_index('"a.b"."x""; DROP TABLE items; --"');
SELECT create_index('a.b.x');
DROP SCHEMA "a.b" CASCADE;

-- options that contradict it
SELECT create_index('given.centroids', options => ', lists = 5');
SELECT create_index('given.centroids', options => ', lists = 0');
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (lists = 5);
ALTER INDEX items_v SET (centroids = 'given.centroids');
ALTER INDEX items_v RESET (lists);
ALTER INDEX items_v SET (centroids = 'given.centroids');
ALTER INDEX items_v SET (lists = 5);
-- it takes effect at REINDEX
SELECT lists FROM ann_index_stats('items_v');
REINDEX INDEX items_v;
SELECT lists FROM ann_index_stats('items_v');
ALTER INDEX items_v RESET (centroids);
REINDEX INDEX items_v;
SELECT lists FROM ann_index_stats('items_v');
DROP INDEX items_v;
CREATE INDEX items_v ON items USING ivfflat (v vector_l2_ops) WITH (centroids = 'given.centroids');

-- what is not a table, or not readable now
CREATE VIEW given.a_view AS SELECT place FROM given.centroids;
CREATE MATERIALIZED VIEW given.stored AS SELECT place FROM given.centroids;
CREATE SEQUENCE given.sequence;
CREATE TYPE given.composite AS (place vector);
CREATE INDEX an_index ON given.centroids (id);
SELECT name, create_index(name) FROM unnest(ARRAY['given.a_view', 'given.stored', 'given.sequence', 'given.composite', 'given.an_index', 'pg_catalog.pg_class']) name;

-- partitions, children, other columns, dropped columns, domains
CREATE DOMAIN given.place AS vector CHECK (vector_dims(VALUE) = 2);
CREATE TABLE given.parted (n int, place given.place) PARTITION BY LIST (n);
CREATE TABLE given.part1 (extra text, place given.place, n int);
ALTER TABLE given.part1 DROP COLUMN extra;
ALTER TABLE given.parted ATTACH PARTITION given.part1 FOR VALUES IN (1);
CREATE TABLE given.part2 PARTITION OF given.parted FOR VALUES IN (2);
INSERT INTO given.parted VALUES (1, '[1,1]'), (2, '[30,30]'), (2, '[40,10]');
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (centroids = 'given.parted');
SELECT look('items_v');
DROP INDEX items_v;
INSERT INTO given.parted VALUES (1, '[40,10]');
SELECT create_index('given.parted');
CREATE TABLE given.two (a vector(2), b vector(2));
CREATE TABLE given.no (a real[], b text);
SELECT name, create_index(name) FROM unnest(ARRAY['given.two', 'given.no']) name;

-- vectors that are no centroids
CREATE TABLE given.bad (place vector);
SELECT create_index('given.bad');
CREATE FUNCTION try(places text[], opclass text DEFAULT 'vector_l2_ops') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  TRUNCATE given.bad;
  INSERT INTO given.bad SELECT p::vector FROM unnest(places) p;
  RETURN create_index('given.bad', opclass);
END $$;
SELECT places, opclass, try(places::text[], opclass) FROM (VALUES
  ('{"[1,2]",NULL}', 'vector_l2_ops'), ('{"[1,2]","[1,2,3]"}', 'vector_l2_ops'), ('{[1]}', 'vector_l2_ops'),
  ('{"[1,2]","[3,4]","[1,2]"}', 'vector_l2_ops'), ('{"[0,2]","[-0,2]"}', 'vector_ip_ops'), ('{"[0,0]"}', 'vector_l2_ops'),
  ('{"[1,2]","[0,0]"}', 'vector_cosine_ops'), ('{"[1,2]","[2,4]"}', 'vector_cosine_ops'), ('{"[1,2]","[2,4]"}', 'vector_ip_ops'),
  ('{"[1e38,-3e38]","[1e-40,1]"}', 'vector_l2_ops'), ('{"[1,2]"}', 'vector_l2_ops')) x(places, opclass);
TRUNCATE given.bad;
INSERT INTO given.bad SELECT ARRAY[i, i % 3]::vector FROM generate_series(1, 262145) i;
SELECT create_index('given.bad');
TRUNCATE given.bad;

-- rows that the statement's snapshot does not see are not there
INSERT INTO given.bad VALUES ('[1,2]');
BEGIN;
INSERT INTO given.bad VALUES ('[3,4]');
SAVEPOINT s;
INSERT INTO given.bad VALUES ('[5,6]');
ROLLBACK TO s;
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (centroids = 'given.bad');
SELECT lists FROM ann_index_stats('items_v');
ROLLBACK;

-- the owner of the indexed table must be allowed to read it, whoever builds
CREATE ROLE ivf_owner;
CREATE ROLE ivf_other;
GRANT CREATE ON SCHEMA public TO ivf_owner;
ALTER TABLE items OWNER TO ivf_owner;
SELECT create_index('given.bad');
GRANT USAGE ON SCHEMA given TO ivf_owner;
SELECT create_index('given.bad');
SET ROLE ivf_owner;
SELECT create_index('given.bad');
RESET ROLE;
GRANT SELECT ON given.bad TO ivf_owner;
SELECT create_index('given.bad');
SET ROLE ivf_owner;
CREATE INDEX items_v ON items USING ivf (v vector_l2_ops) WITH (centroids = 'given.bad');
SELECT ann_retrain('items_v');
RESET ROLE;
-- rights that are gone
REVOKE SELECT ON given.bad FROM ivf_owner;
REINDEX INDEX items_v;
SELECT ann_retrain('items_v');
GRANT SELECT ON given.bad TO ivf_owner;
-- policies are not passed by
ALTER TABLE given.bad ENABLE ROW LEVEL SECURITY;
REINDEX INDEX items_v;
CREATE POLICY all_rows ON given.bad TO ivf_owner USING (true);
SELECT ann_retrain('items_v');
ALTER TABLE given.bad DISABLE ROW LEVEL SECURITY;
REINDEX INDEX items_v;
DROP TABLE items;
DROP FUNCTION look, create_index, try;
REVOKE ALL ON SCHEMA public FROM ivf_owner;
\set VERBOSITY terse
DROP SCHEMA given CASCADE;
DROP ROLE ivf_owner, ivf_other;
