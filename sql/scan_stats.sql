-- ann_index_scan_stats: what the last scan of this session has cost.
SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM ann_index_scan_stats();

CREATE TABLE scanned (id int PRIMARY KEY, v vector(8), part int);
INSERT INTO scanned SELECT i, random_unit_vector(8, i), i % 20 FROM generate_series(1, 2000) i;
CREATE INDEX scanned_hnsw ON scanned USING hnsw (v vector_l2_ops, part);
SELECT count(*) FROM ann_index_scan_stats();
-- a query that wants n rows, and what it has cost
CREATE FUNCTION cost_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  s record;
  r record;
BEGIN
  FOR r IN EXECUTE query LOOP END LOOP;
  FOR s IN SELECT * FROM ann_index_scan_stats() LOOP
    RETURN NEXT format('%s ef %s, probes %s, rows %s, resumed %s, filtered %s, way %s', s.index, s.ef, s.probes,
      s.rows, s.resumed, s.filtered, s.way);
    RETURN NEXT format('candidates enough %s, pages %s, read %s, unpinned %s, distances %s', s.candidates >= s.rows,
      s.pages > s.pages_read, s.pages_read BETWEEN 0 AND s.pages, s.pages_unpinned BETWEEN 0 AND s.pages,
      s.exact_distances BETWEEN 0 AND s.candidates);
  END LOOP;
END $$;
SELECT ann_index_check('scanned_hnsw');
SET hnsw.ef_search = 40;
SELECT cost_of(format('SELECT id FROM scanned ORDER BY v <-> %L LIMIT %s', random_unit_vector(8, 7777), n)) FROM unnest('{1,100,10}'::int[]) n;
-- a wider walk looks at more; most pages are known by now
SELECT candidates AS narrow FROM ann_index_scan_stats() \gset
SET hnsw.ef_search = 200;
SELECT cost_of(format('SELECT id FROM scanned ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
SELECT candidates > :narrow AS wider, pages_unpinned > candidates AS unpinned, pages_unpinned < pages AS not_all FROM ann_index_scan_stats();
-- nothing was wanted beyond ef
SET hnsw.iterative_scan = off;
SET hnsw.ef_search = 40;
SELECT cost_of(format('SELECT id FROM scanned ORDER BY v <-> %L', random_unit_vector(8, 7777)));
RESET hnsw.iterative_scan;
-- all: the walk, and a sweep for what it has not reached
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY v <-> '[1,2,3,4,5,6,7,8]') s;
SELECT index, rows, candidates >= 2000 AS candidates, resumed > 3 AS resumed, way, exact_distances BETWEEN 1 AND 2000 AS distances
FROM ann_index_scan_stats();
-- filters: where many rows pass by the graph, where few do by a sweep of the columns
SELECT cost_of(format('SELECT id FROM scanned WHERE part = 3 ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
SELECT cost_of(format('SELECT id FROM scanned WHERE part >= 1 ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
SELECT cost_of(format('SELECT id FROM scanned WHERE part < 1 ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
-- each repetition is a scan: the last is told of
SELECT count(*) FROM unnest('{3,5}'::int[]) n, LATERAL (SELECT id FROM scanned ORDER BY v <-> random_unit_vector(8, n) LIMIT n) s;
SELECT index, rows FROM ann_index_scan_stats();
-- a scan that is not over says nothing yet
BEGIN;
DECLARE c CURSOR FOR SELECT id FROM scanned ORDER BY v <-> '[1,2,3,4,5,6,7,8]';
FETCH 2 FROM c \g /dev/null
SELECT rows FROM ann_index_scan_stats();
CLOSE c;
SELECT rows FROM ann_index_scan_stats();
COMMIT;
DROP INDEX scanned_hnsw;

CREATE INDEX scanned_ivf ON scanned USING ivf (v vector_l2_ops, part) WITH (lists = 20);
SET ivf.probes = 5;
SELECT cost_of(format('SELECT id FROM scanned ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
SET ivf.probes = 20;
SELECT cost_of(format('SELECT id FROM scanned ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
SELECT candidates FROM ann_index_scan_stats();
SELECT cost_of(format('SELECT id FROM scanned WHERE part = 3 ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
SELECT candidates FROM ann_index_scan_stats();
SET ivf.probes = 5;
SELECT count(*) FROM (SELECT id FROM scanned ORDER BY v <-> '[1,2,3,4,5,6,7,8]') s;
SELECT probes, candidates, rows, resumed FROM ann_index_scan_stats();
DROP INDEX scanned_ivf;
SELECT index::text ~ '^[0-9]+$' AS dropped FROM ann_index_scan_stats();

CREATE INDEX scanned_flat ON scanned USING ivfflat (v vector_l2_ops) WITH (lists = 10);
SET ivfflat.probes = 3;
SELECT cost_of(format('SELECT id FROM scanned ORDER BY v <-> %L LIMIT 10', random_unit_vector(8, 7777)));
-- a session's own
\c -
SELECT count(*) FROM ann_index_scan_stats();
DROP TABLE scanned;
DROP FUNCTION cost_of(text);
