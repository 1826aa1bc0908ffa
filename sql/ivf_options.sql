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
SELECT o, create_index('ivfflat', o) FROM unnest(ARRAY['lists = 0', 'lists = 1', 'lists = 32768', 'lists = 32769', 'quantizer = flat']) o;

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
CREATE INDEX t_i ON t USING ivf (v vector_l2_ops);
SELECT pg_index_column_has_property('t_i', 1, 'distance_orderable');

-- what is not an index of ours
SELECT ann_retrain('t');
CREATE INDEX t_h ON t USING hnsw (v vector_l2_ops);
SELECT ann_retrain('t_h');
DROP TABLE t, bare, longest;
DROP FUNCTION create_index;
