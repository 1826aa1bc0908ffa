-- ann_recalibrate: the ef that an hnsw index is searched with while none is set.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE TABLE calibrated (id int PRIMARY KEY, v vector(24));
CREATE INDEX calibrated_i ON calibrated USING hnsw (v vector_l2_ops) WITH (m = 4, ef_construction = 8);
CREATE FUNCTION default_ef() RETURNS int LANGUAGE sql AS $$ SELECT default_ef FROM ann_index_stats('calibrated_i') $$;
-- of few rows, or none, nothing is known
SELECT ann_recalibrate('calibrated_i');
INSERT INTO calibrated VALUES (0, random_unit_vector(24, 0));
SELECT ann_recalibrate('calibrated_i');
-- links that are few want a wide beam; inserts have looked at 1,000 rows, a vacuum would look again at 2,000
INSERT INTO calibrated SELECT i, random_unit_vector(24, i) FROM generate_series(1, 999) i;
SELECT default_ef() AS of_1000 \gset
INSERT INTO calibrated SELECT i, random_unit_vector(24, i) FROM generate_series(1000, 1900) i;
VACUUM calibrated;
SELECT default_ef() = :of_1000 AS not_again;
SELECT ann_recalibrate('calibrated_i') AS of_1900 \gset
SELECT :of_1900 > :of_1000 AS more, default_ef() = :of_1900 AS kept, ann_index_check('calibrated_i');
-- what it has found counts as found at this size
INSERT INTO calibrated SELECT i, random_unit_vector(24, i) FROM generate_series(1901, 2500) i;
VACUUM calibrated;
SELECT default_ef() = :of_1900 AS not_again;
-- searches use it
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM calibrated ORDER BY v <-> random_unit_vector(24, 5000) LIMIT 10) s;
SELECT ef BETWEEN :of_1900 AND :of_1900 * 9 / 8 AS used FROM ann_index_scan_stats();
-- it stays where the transaction does not
BEGIN;
DELETE FROM calibrated WHERE id >= 100;
SELECT ann_recalibrate('calibrated_i') = default_ef() AS kept;
ROLLBACK;
DELETE FROM calibrated WHERE id >= 100;
VACUUM calibrated;
SELECT ann_recalibrate('calibrated_i'), default_ef();
SELECT ann_recalibrate(NULL);
-- of any kind
CREATE TABLE strings (b bit(64), s sparsevec(9), part int);
INSERT INTO strings SELECT i::bit(64), format('{1:%s,3:%s}/9', i, i % 7 + 1)::sparsevec, i FROM generate_series(1, 300) i;
CREATE INDEX strings_b ON strings USING hnsw (b bit_jaccard_ops);
CREATE INDEX strings_s ON strings USING hnsw (s sparsevec_cosine_ops, part);
CREATE UNLOGGED TABLE unlogged AS TABLE strings;
CREATE INDEX unlogged_b ON unlogged USING hnsw (b bit_hamming_ops);
CREATE TEMP TABLE own AS TABLE strings;
CREATE INDEX own_b ON own USING hnsw (b bit_hamming_ops);
SELECT i, ann_recalibrate(i) FROM unnest('{strings_b,strings_s,unlogged_b,own_b}'::regclass[]) i;

-- what is refused
SELECT ann_recalibrate('calibrated');
SELECT ann_recalibrate('calibrated_pkey');
SELECT ann_recalibrate('no_index');
CREATE INDEX strings_ivf ON strings USING ivf (b bit_hamming_ops);
\set VERBOSITY default
SELECT ann_recalibrate('strings_ivf');
\set VERBOSITY terse
BEGIN READ ONLY;
SELECT ann_recalibrate('calibrated_i');
ROLLBACK;
BEGIN READ ONLY;
SELECT ann_retrain('strings_ivf');
ROLLBACK;
CREATE TABLE parts (v vector(2)) PARTITION BY HASH (v);
CREATE INDEX parts_i ON parts USING hnsw (v vector_l2_ops);
SELECT ann_recalibrate('parts_i');
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'strings_b'::regclass;
SELECT ann_recalibrate('strings_b');
SET client_min_messages = error;
CREATE ROLE regress_calibrate_other;
SET ROLE regress_calibrate_other;
SELECT ann_recalibrate('calibrated_i');
RESET ROLE;
DROP ROLE regress_calibrate_other;
DROP TABLE calibrated, strings, unlogged, own, parts;
DROP FUNCTION default_ef();
