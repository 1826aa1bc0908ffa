-- ann_index_check and ann_index_stats: what they report, and what they refuse.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE FUNCTION code_of(query text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE query;
  RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

CREATE TABLE inspected (id int PRIMARY KEY, v vector(3));
CREATE INDEX inspected_v ON inspected USING hnsw (v vector_l2_ops) WITH (m = 8, ef_construction = 40);

-- an empty index
SELECT ann_index_check('inspected_v');
SELECT levels, nodes, rows, dead_slots, free_slots, upper_records, chain_chunks, average_degree,
  unreachable, default_ef, bytes = pg_relation_size('inspected_v') AS bytes
FROM ann_index_stats('inspected_v');

-- 199 vectors that are there three times, and one that is there 100 times
INSERT INTO inspected SELECT i, ARRAY[i % 200, i % 200 % 7, 1]::vector FROM generate_series(0, 599) i WHERE i % 200 <> 0 OR i = 0;
INSERT INTO inspected SELECT 1000 + i, '[0, 0, 1]' FROM generate_series(1, 99) i;
REINDEX INDEX inspected_v;
SELECT ann_index_check('inspected_v');
SELECT format_version, dims, metric, m, ef_construction, traversal_bits, refinement_bits, levels > 1 AS levels,
  nodes = (SELECT count(DISTINCT v) FROM inspected) AS nodes, rows = (SELECT count(*) FROM inspected) AS rows,
  dead_slots, upper_records > 0 AS upper_records, average_degree BETWEEN 4 AND 16 AS average_degree,
  unreachable, node_pages > 0 AS node_pages, refinement_pages > 0 AS refinement_pages,
  upper_pages > 0 AS upper_pages, chain_pages > 0 AS chain_pages, bytes = pg_relation_size('inspected_v') AS bytes
FROM ann_index_stats('inspected_v');

-- what vacuum leaves: the vector that was there 100 times keeps its node while one row lives
SELECT nodes AS nodes_before FROM ann_index_stats('inspected_v') \gset
DELETE FROM inspected WHERE id >= 1000 OR id = 0;
INSERT INTO inspected VALUES (0, '[0, 0, 1]');
VACUUM inspected;
SELECT ann_index_check('inspected_v');
SELECT nodes - :nodes_before AS nodes, chain_chunks, rows = (SELECT count(*) FROM inspected) AS rows, dead_slots
FROM ann_index_stats('inspected_v');
DELETE FROM inspected WHERE id = 0;
VACUUM inspected;
SELECT nodes - :nodes_before AS nodes, chain_chunks, rows = (SELECT count(*) FROM inspected) AS rows, dead_slots
FROM ann_index_stats('inspected_v');
SELECT ann_index_check('inspected_v');
DELETE FROM inspected;
VACUUM inspected;
SELECT ann_index_check('inspected_v');
SELECT levels, nodes, rows, dead_slots, upper_records, chain_chunks FROM ann_index_stats('inspected_v');

-- each metric, each layout
CREATE TABLE metrics (v vector(20));
INSERT INTO metrics SELECT array_agg(sin(i * j)::real)::vector FROM generate_series(1, 300) i, generate_series(1, 20) j GROUP BY i;
CREATE INDEX metrics_ip ON metrics USING hnsw (v vector_ip_ops) WITH (code_bits = 2);
CREATE INDEX metrics_cosine ON metrics USING hnsw (v vector_cosine_ops) WITH (code_bits = 4);
CREATE INDEX metrics_l1 ON metrics USING hnsw (v vector_l1_ops) WITH (m = 2, ef_construction = 8);
DELETE FROM metrics WHERE v <-> (SELECT v FROM metrics LIMIT 1) > 3;
VACUUM metrics;
SELECT c.relname, metric, refinement_bits, m, nodes = (SELECT count(*) FROM metrics) AS nodes, dead_slots, ann_index_check(c.oid)
FROM pg_class c, ann_index_stats(c.oid) WHERE relname LIKE 'metrics\__%' ORDER BY 1;

-- vectors that leave the range of the codes
CREATE TABLE extreme (v vector(4));
INSERT INTO extreme SELECT ARRAY[x, -x, x / 3, 0]::vector FROM unnest('{3e38,1e20,1,1e-20,1e-45,0}'::real[]) x, generate_series(1, 3);
INSERT INTO extreme VALUES ('[3e38,3e38,3e38,3e38]'), ('[-3e38,3e38,3e38,-3e38]');
CREATE INDEX extreme_l2 ON extreme USING hnsw (v vector_l2_ops);
CREATE INDEX extreme_ip ON extreme USING hnsw (v vector_ip_ops);
CREATE INDEX extreme_cosine ON extreme USING hnsw (v vector_cosine_ops);
CREATE INDEX extreme_l1 ON extreme USING hnsw (v vector_l1_ops);
INSERT INTO extreme VALUES ('[2e38,3e38,-3e38,3e38]'), ('[1e-44,0,0,0]');
SELECT c.relname, nodes, rows, ann_index_check(c.oid)
FROM pg_class c, ann_index_stats(c.oid) WHERE relname LIKE 'extreme\__%' ORDER BY 1;

-- unlogged and temporary tables
CREATE UNLOGGED TABLE unlogged (v vector(3));
CREATE INDEX unlogged_v ON unlogged USING hnsw (v vector_l2_ops);
INSERT INTO unlogged SELECT ARRAY[i, 0, 0]::vector FROM generate_series(1, 100) i;
CREATE TEMPORARY TABLE temporary (v vector(3));
CREATE INDEX temporary_v ON temporary USING hnsw (v vector_l2_ops);
INSERT INTO temporary SELECT * FROM unlogged;
DELETE FROM unlogged WHERE v <-> '[0,0,0]' < 50;
DELETE FROM temporary;
VACUUM unlogged, temporary;
SELECT ann_index_check('unlogged_v'), ann_index_check('temporary_v');
SELECT nodes, rows, dead_slots FROM ann_index_stats('unlogged_v')
UNION ALL SELECT nodes, rows, dead_slots FROM ann_index_stats('temporary_v');

-- what is no hnsw index
CREATE TABLE parted (v vector(3)) PARTITION BY LIST ((v <-> '[0,0,0]'));
CREATE INDEX parted_v ON parted USING hnsw (v vector_l2_ops);
SELECT function, object, code_of(format('SELECT %s(%L)', function, object))
FROM unnest('{inspected,inspected_pkey,parted_v,pg_class}'::text[]) object, unnest('{ann_index_check,ann_index_stats}'::text[]) function
ORDER BY 2, 1;
SELECT code_of('SELECT ann_index_check(0)');
SELECT ann_index_check(NULL);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'metrics_l1'::regclass;
SELECT code_of('SELECT ann_index_check(''metrics_l1'')');
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'metrics_l1'::regclass;

-- who may ask: the check is the superuser's to grant, the statistics are the owner's and the monitor's
CREATE ROLE regress_ann_reader;
CREATE ROLE regress_ann_owner;
SET ROLE regress_ann_reader;
SELECT code_of('SELECT ann_index_check(''metrics_l1'')');
SELECT code_of('SELECT ann_index_stats(''metrics_l1'')');
RESET ROLE;
ALTER TABLE metrics OWNER TO regress_ann_owner;
SET ROLE regress_ann_owner;
SELECT nodes > 0 FROM ann_index_stats('metrics_l1');
RESET ROLE;
GRANT pg_stat_scan_tables TO regress_ann_reader;
GRANT EXECUTE ON FUNCTION ann_index_check(regclass) TO regress_ann_reader;
SET ROLE regress_ann_reader;
SELECT nodes > 0 FROM ann_index_stats('metrics_l1');
SELECT ann_index_check('metrics_l1');
RESET ROLE;
REVOKE ALL ON FUNCTION ann_index_check(regclass) FROM regress_ann_reader;

DROP TABLE inspected, metrics, extreme, unlogged, temporary, parted;
DROP FUNCTION code_of(text);
DROP ROLE regress_ann_reader, regress_ann_owner;
