-- hnsw on sparsevec: builds, inserts, vacuum, checks, whole scans in order.
CREATE FUNCTION sparse_of(seed int, n int, dims int) RETURNS sparsevec LANGUAGE sql IMMUTABLE AS $$
  SELECT format('{%s}/%s', string_agg(format('%s:%s', d, 1 + (d * 7 + seed) % 9), ',' ORDER BY d), dims)::sparsevec
  FROM (SELECT DISTINCT 1 + (abs(hashint4(seed * 1000 + i)::bigint) % (1 + i * i)) % dims AS d FROM generate_series(1, n) i) t $$;
CREATE FUNCTION same_order(query text, exact text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE found float8[]; wanted float8[];
BEGIN
  SET LOCAL enable_seqscan = off;
  EXECUTE 'SELECT array_agg(d) FROM (' || query || ') t' INTO found;
  SET LOCAL enable_seqscan = on;
  EXECUTE 'SELECT array_agg(d ORDER BY d) FROM (' || exact || ') t' INTO wanted;
  RETURN CASE WHEN found = wanted THEN 'same, ' || cardinality(found) ELSE 'other' END;
END $$;
CREATE TABLE sparse_rows (id int, v sparsevec(100000));
INSERT INTO sparse_rows SELECT i, sparse_of(i, 30, 100000) FROM generate_series(1, 1500) i;
INSERT INTO sparse_rows VALUES (0, NULL), (-1, '{}/100000'), (-2, sparse_of(7, 30, 100000)), (-3, sparse_of(7, 30, 100000));
CREATE INDEX sparse_l2 ON sparse_rows USING hnsw (v sparsevec_l2_ops);
CREATE INDEX sparse_ip ON sparse_rows USING hnsw (v sparsevec_ip_ops);
CREATE INDEX sparse_cosine ON sparse_rows USING hnsw (v sparsevec_cosine_ops);
CREATE INDEX sparse_l1 ON sparse_rows USING hnsw (v sparsevec_l1_ops);
SELECT ann_index_check('sparse_l2'), ann_index_check('sparse_ip'), ann_index_check('sparse_cosine'), ann_index_check('sparse_l1');
SELECT metric, dims, rows FROM unnest(ARRAY['sparse_l2', 'sparse_ip', 'sparse_cosine', 'sparse_l1']) i, ann_index_stats(i::regclass);
-- rows that come later, longer ones too; updates and deletions
INSERT INTO sparse_rows SELECT i, sparse_of(i, 30, 100000) FROM generate_series(2001, 2200) i;
INSERT INTO sparse_rows SELECT 5000, format('{%s}/100000', string_agg(i || ':' || i % 3 + 1, ',' ORDER BY i))::sparsevec FROM generate_series(1, 5000) i;
DELETE FROM sparse_rows WHERE id % 5 = 1;
VACUUM sparse_rows;
SELECT ann_index_check('sparse_l2'), ann_index_check('sparse_ip'), ann_index_check('sparse_cosine'), ann_index_check('sparse_l1');
-- all rows, in the order of exact distances
SET hnsw.iterative_scan = strict_order;
SET max_parallel_workers_per_gather = 0;
SELECT o, same_order(format('SELECT v %s q AS d FROM sparse_rows, sparse_of(7, 30, 100000) q ORDER BY v %1$s sparse_of(7, 30, 100000) LIMIT 3', o),
  format('SELECT d FROM (SELECT (v %s sparse_of(7, 30, 100000)) AS d FROM sparse_rows OFFSET 0) t ORDER BY d LIMIT 3', o))
FROM unnest(ARRAY['<->', '<=>', '<+>']) o;
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM sparse_rows ORDER BY v <-> '{1:1}/100000') t;
SELECT count(*) FROM (SELECT id FROM sparse_rows ORDER BY v <#> '{1:1}/100000') t;
SELECT count(*) FROM (SELECT id FROM sparse_rows ORDER BY v <=> '{1:1}/100000') t;
SELECT count(*) FROM (SELECT id FROM sparse_rows ORDER BY v <+> '{}/100000') t;
SELECT id, v <-> sparse_of(7, 30, 100000) AS d FROM sparse_rows ORDER BY v <-> sparse_of(7, 30, 100000) LIMIT 3;
SELECT id FROM sparse_rows ORDER BY v <+> '{}/100000' LIMIT 1;
-- errors
SELECT id FROM sparse_rows ORDER BY v <-> '{1:1}/3' LIMIT 1;
CREATE INDEX ON sparse_rows USING hnsw ((v::sparsevec) sparsevec_l2_ops);
CREATE INDEX ON sparse_rows USING hnsw (v sparsevec_l2_ops) WITH (code_bits = 4);
RESET enable_seqscan;
DROP TABLE sparse_rows;
DROP FUNCTION sparse_of, same_order;
