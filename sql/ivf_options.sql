-- ivf and ivfflat: options, settings, and the errors about them.
\set VERBOSITY verbose
\set SHOW_CONTEXT never
CREATE TABLE t (v vector(8));
CREATE FUNCTION create_index(method text, options text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
BEGIN
  EXECUTE format('CREATE INDEX t_v ON t USING %s (v vector_l2_ops) WITH (%s)', method, options);
  DROP INDEX t_v;
  RETURN 'created';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN SQLSTATE || ' ' || SQLERRM || ' ' || detail;
END $$;
SELECT o, create_index('ivf', o) FROM unnest(ARRAY[
  'lists = 0', 'lists = -1', 'lists = 262144', 'lists = 262145', 'quantizer = rabitq', 'quantizer = RaBitQ', 'quantizer = zip',
  'rabitq_bits = 0', 'rabitq_bits = 1', 'rabitq_bits = 3', 'rabitq_bits = 9', 'pq_bits = 5', 'pq_bits = 8',
  'quantizer = pq, pq_segments = 8', 'quantizer = pq, pq_segments = 9', 'rerank = index', 'rerank = table',
  'rerank = index, rabitq_bits = 1', 'rerank = index, quantizer = flat', 'rerank = index, quantizer = pq', 'probes = 1']) o;
SELECT o, create_index('ivfflat', o) FROM unnest(ARRAY['lists = 0', 'lists = 1', 'lists = 32768', 'lists = 32769', 'lists = 262144', 'lists = 262145', 'quantizer = flat']) o;

-- settings
SHOW ivf.probes;
SHOW ivf.max_probes;
SHOW ivf.iterative_scan;
SHOW ivf.epsilon;
SHOW ivfflat.probes;
SHOW ivfflat.max_probes;
SHOW ivfflat.iterative_scan;
\set VERBOSITY default
SET ivf.probes = -2;
SET ivf.max_probes = -1;
SET ivf.epsilon = 11;
SET ivf.iterative_scan = maybe;
SET ivfflat.probes = 0;
SET ivfflat.probes = 32769;
SET ivfflat.max_probes = 0;
SET ivfflat.iterative_scan = maybe;
SET ivf.unknown = 1;

-- columns
CREATE TABLE bare (v vector);
CREATE INDEX ON bare USING ivf (v vector_l2_ops);
CREATE INDEX ON t USING ivf (v);
CREATE INDEX ON t USING ivf (v vector_l1_ops);
CREATE INDEX ON t USING ivf (v vector_l2_ops, v vector_l2_ops);
CREATE UNIQUE INDEX ON t USING ivf (v vector_l2_ops);
CREATE TABLE longest (v vector(16000));
CREATE INDEX ON longest USING ivf (v vector_l2_ops) WITH (quantizer = pq, pq_bits = 8, pq_segments = 16000);

-- operator classes
SELECT amname, opcname, opcdefault, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE amname IN ('ivf', 'ivfflat') ORDER BY 1, 2;
-- all that the extension has are valid
SELECT count(*), bool_and(amvalidate(c.oid)) FROM pg_opclass c JOIN pg_depend d ON d.classid = 'pg_opclass'::regclass AND d.objid = c.oid
WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ann');
-- L1 is hnsw's
CREATE OPERATOR CLASS my_l1_ops FOR TYPE vector USING ivf AS OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 l1_distance(vector, vector);
CREATE OPERATOR CLASS my_l1_ops FOR TYPE vector USING ivfflat AS OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 l1_distance(vector, vector);
SELECT amname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcname = 'my_l1_ops' ORDER BY 1;
\set VERBOSITY sqlstate
CREATE INDEX ON t USING ivf (v my_l1_ops);
CREATE INDEX ON t USING ivfflat (v my_l1_ops);
\set VERBOSITY default
CREATE INDEX ON t USING ivf (v my_l1_ops);
CREATE UNLOGGED TABLE unlogged (v vector(8));
CREATE INDEX ON unlogged USING ivfflat (v my_l1_ops);
DROP TABLE unlogged;
DROP OPERATOR FAMILY my_l1_ops USING ivf;
DROP OPERATOR FAMILY my_l1_ops USING ivfflat;
CREATE INDEX t_i ON t USING ivf (v vector_l2_ops);
SELECT pg_index_column_has_property('t_i', 1, 'distance_orderable');

-- Options that are changed later: those of codes take effect at REINDEX, lists at a retraining, too; nothing fails before.
INSERT INTO t SELECT ARRAY[sin(i), cos(i), sin(2 * i), cos(3 * i), i % 7, i % 5, i % 3, 1]::vector FROM generate_series(1, 3000) i;
CREATE FUNCTION look() RETURNS text LANGUAGE sql AS
  $$ SELECT format('%s of %s bits, %s lists', quantizer, refinement_bits, lists) FROM ann_index_stats('t_i') $$;
ALTER INDEX t_i SET (quantizer = sq8, lists = 10);
VACUUM t;
SELECT look();
SELECT ann_retrain('t_i');
SELECT look();
REINDEX INDEX t_i;
SELECT look();
ALTER INDEX t_i SET (quantizer = pq, pq_segments = 9);
VACUUM t;
DELETE FROM t WHERE v <-> array_fill(0::real, ARRAY[8])::vector < 4;
VACUUM t;
INSERT INTO t VALUES (array_fill(1::real, ARRAY[8])::vector);
SELECT split_part(look(), ',', 1) AS look, ann_index_check('t_i');
REINDEX INDEX t_i;
ALTER INDEX t_i SET (lists = 262145);
ALTER INDEX t_i SET (rabitq_bits = 5);
ALTER INDEX t_i SET (quantizer = rabitq, lists = 20);
ALTER INDEX t_i RESET (pq_segments);
REINDEX INDEX t_i;
SELECT look();
ALTER INDEX t_i RESET (lists, quantizer);
REINDEX INDEX t_i;
SELECT quantizer, lists > 100 AS automatic FROM ann_index_stats('t_i');
ALTER INDEX t_i SET (lists = 7, rerank = heap);
\d t
\d+ t_i

-- what is not an index of ours
SELECT ann_retrain('t');
CREATE INDEX t_h ON t USING hnsw (v vector_l2_ops);
SELECT ann_retrain('t_h');

-- What pg_dump writes of a database with pgvector, and its users' settings.
CREATE TABLE public.items (
    id bigint NOT NULL,
    embedding public.vector(3)
);
COPY public.items (id, embedding) FROM stdin;
1	[1,2,3]
2	[4,5,6]
3	[1,1,1]
4	\N
\.
CREATE INDEX items_cosine_idx ON public.items USING ivfflat (embedding public.vector_cosine_ops) WITH (lists='100');
CREATE INDEX items_embedding_idx ON public.items USING ivfflat (embedding) WITH (lists='100');
CREATE INDEX items_embedding_idx1 ON public.items USING ivfflat (embedding vector_l2_ops) WITH (lists='100');
CREATE INDEX items_embedding_idx2 ON public.items USING ivfflat (embedding public.vector_ip_ops);
SELECT indexdef FROM pg_indexes WHERE tablename = 'items' ORDER BY indexname;
SELECT quantizer, metric, rows FROM ann_index_stats('items_embedding_idx2');
SET enable_seqscan = off;
SET ivfflat.probes = 10;
SET ivfflat.iterative_scan = relaxed_order;
SET ivfflat.max_probes = 100;
SELECT id FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;
SELECT id FROM items ORDER BY embedding <=> '[3,1,2]' LIMIT 5;
SELECT id FROM items ORDER BY embedding <#> '[3,1,2]' LIMIT 5;
BEGIN;
SET LOCAL ivfflat.probes = 1;
SET LOCAL ivfflat.iterative_scan = off;
SELECT id FROM items ORDER BY embedding <-> '[3,1,2]' LIMIT 5;
COMMIT;
RESET ivfflat.probes;
RESET ivfflat.iterative_scan;
RESET ivfflat.max_probes;
DROP TABLE items;

-- lists beyond the first round: max_probes counts them, and never takes away from the first
CREATE TABLE grid (id int, v vector(2));
INSERT INTO grid SELECT i, ARRAY[i % 10, i / 10]::vector FROM generate_series(0, 99) i;
CREATE INDEX grid_v ON grid USING ivfflat (v) WITH (lists = 25);
CREATE FUNCTION found() RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM (SELECT id FROM grid ORDER BY v <-> '[4.6,4.6]') x $$;
SET ivfflat.probes = 6;
SELECT found() AS six \gset
SET ivfflat.max_probes = 1;
SELECT found() = :six AS same, found() < 100 AS short;
SET ivfflat.iterative_scan = relaxed_order;
SELECT found() = :six AS same;
SET ivfflat.max_probes = 12;
SELECT found() > :six AS more, found() < 100 AS short;
RESET ivfflat.max_probes;
SELECT found();
RESET ivfflat.iterative_scan;
RESET ivfflat.probes;
RESET enable_seqscan;
DROP TABLE grid;
DROP FUNCTION found;
DROP TABLE t, bare, longest;
DROP FUNCTION create_index, look;
