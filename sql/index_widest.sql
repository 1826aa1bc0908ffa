-- Values as wide as the types allow, in each access method with each operator class: build, inserts, searches, vacuum, check.
-- 24 rows of each kind, no two alike. The sparse ones have 8,192 elements, of the first or of the last dimensions, every fifth 16,000.
CREATE FUNCTION row_of(i int, n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT string_agg((((i * 31 + d) * (i + d) % 257) / 16.0 - 7)::real::text, ',' ORDER BY d) FROM generate_series(1, n) d $$;
CREATE FUNCTION sparse_row_of(i int, n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT string_agg(format('%s:%s', CASE WHEN i % 2 = 0 THEN d ELSE 1000000001 - d END, 1 + d * i % 7), ',') FROM generate_series(1, n) d $$;
CREATE TABLE widest AS SELECT i AS id, format('[%s]', row_of(i, 16000))::vector(16000) AS vector, format('[%s]', row_of(i, 16000))::halfvec(16000) AS halfvec,
  format('{%s}/1000000000', sparse_row_of(i, CASE WHEN i % 5 = 0 THEN 16000 ELSE 8192 END))::sparsevec(1000000000) AS sparsevec,
  repeat(i::bit(8)::text || (i * 37 % 251)::bit(8)::text, 4000)::bit(64000) AS bit FROM generate_series(1, 24) i;
-- Half of the rows come before the index and half after. How many find themselves; how many a scan to the end has, and has when a third is gone.
CREATE PROCEDURE try(method text, opclass text, operator text) LANGUAGE plpgsql AS $$
DECLARE
  n record; all_rows bigint; kept bigint;
  every text := format('SELECT count(DISTINCT id) FROM (SELECT id FROM tried ORDER BY v %s (SELECT v FROM tried WHERE id = 1)) r', operator);
BEGIN
  EXECUTE format('CREATE TABLE tried AS SELECT id, %s AS v FROM widest WHERE id <= 12', split_part(opclass, '_', 1));
  EXECUTE format('CREATE INDEX tried_v ON tried USING %s (v %s) %s', method, opclass, CASE WHEN method = 'hnsw' THEN '' ELSE 'WITH (lists = 2)' END);
  EXECUTE format('INSERT INTO tried SELECT id, %s FROM widest WHERE id > 12', split_part(opclass, '_', 1));
  EXECUTE format('SELECT count(*) FILTER (WHERE nearest.d <= q.v %1$s q.v) AS found, count(*) AS rows FROM tried q CROSS JOIN LATERAL
    (SELECT v %1$s q.v AS d FROM tried ORDER BY v %1$s q.v LIMIT 1) nearest', operator) INTO n;
  EXECUTE every INTO all_rows;
  DELETE FROM tried WHERE id % 3 = 0;
  EXECUTE every INTO kept;
  PERFORM ann_index_check('tried_v');
  RAISE INFO '% %: % of % found, all %, then %', method, opclass, n.found, n.rows, all_rows, kept;
END $$;
SET enable_seqscan = off;
SET enable_sort = off;
SET hnsw.ef_search = 100;
SET ivf.probes = 2;
SET ivfflat.probes = 2;
SELECT format('CALL try(%L, %L, %L)', method, kind || '_' || class || '_ops', operator), 'VACUUM tried', $$SELECT ann_index_check('tried_v')$$, 'DROP TABLE tried'
FROM (VALUES ('l2', '<->', '{hnsw,ivf,ivfflat}'), ('ip', '<#>', '{hnsw,ivf,ivfflat}'), ('cosine', '<=>', '{hnsw,ivf,ivfflat}'), ('l1', '<+>', '{hnsw}'),
  ('hamming', '<~>', '{hnsw,ivf,ivfflat}'), ('jaccard', '<%>', '{hnsw}')) c(class, operator, methods),
  unnest(methods::text[]) method, unnest('{vector,halfvec,sparsevec,bit}'::text[]) kind
WHERE (kind = 'bit') = (class IN ('hamming', 'jaccard')) AND (kind <> 'sparsevec' OR method = 'hnsw')
ORDER BY kind, method, class \gexec
DROP TABLE widest;
DROP PROCEDURE try;
DROP FUNCTION row_of, sparse_row_of;
