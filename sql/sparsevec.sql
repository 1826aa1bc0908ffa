-- Type sparsevec: every function, operator, cast and mistake.
-- Text form: {index:value,...}/dimensions, indices from 1 in any order; zeros are left out.
SELECT '{1:1.5,3:2}/5'::sparsevec, E' { 3 : 2 ,\t1:1.5, 2:0 } / 5 '::sparsevec, '{}/3'::sparsevec, '{5:-0,2:1e-3}/5'::sparsevec, '{9:0,2:1,2:0}/5'::sparsevec;
SELECT '{1000000000:1}/1000000000'::sparsevec, '{1:3.4028235e38,2:1.4e-45}/2'::sparsevec, '{+1:+1}/+2'::sparsevec;
SELECT '{1:1}/3'::sparsevec(3), format_type('sparsevec'::regtype, 3), '{"{1:1}/2","{}/2"}'::sparsevec[];
SELECT pg_column_size('{}/3'::sparsevec), pg_column_size('{1:1,2:2}/3'::sparsevec);
SELECT sparsevec_send('{1:1,3:-2}/3'::sparsevec);
SELECT length(('{' || string_agg(i || ':1', ',') || '}/20000')::sparsevec::text) FROM generate_series(1, 16000) i;

\set VERBOSITY sqlstate
SELECT ''::sparsevec;
SELECT '1:1}/2'::sparsevec;
SELECT '{1:1/2'::sparsevec;
SELECT '{1:1}'::sparsevec;
SELECT '{1:1}/'::sparsevec;
SELECT '{1:1}/2 x'::sparsevec;
SELECT '{1:1,}/2'::sparsevec;
SELECT '{,1:1}/2'::sparsevec;
SELECT '{1}/2'::sparsevec;
SELECT '{1:}/2'::sparsevec;
SELECT '{a:1}/2'::sparsevec;
SELECT '{1:1 2:2}/2'::sparsevec;
SELECT '{1:NaN}/2'::sparsevec;
SELECT '{1:Infinity}/2'::sparsevec;
SELECT '{1:1e39}/2'::sparsevec;
SELECT '{1:1e-50}/2'::sparsevec;
SELECT '{0:1}/2'::sparsevec;
SELECT '{-1:1}/2'::sparsevec;
SELECT '{3:1}/2'::sparsevec;
SELECT '{99999999999999999999:1}/2'::sparsevec;
SELECT '{1:1,1:2}/2'::sparsevec;
SELECT '{}/0'::sparsevec;
SELECT '{}/-1'::sparsevec;
SELECT '{}/1000000001'::sparsevec;
SELECT '{}/99999999999999999999'::sparsevec;
SELECT '{1:1}/3'::sparsevec(2);
SELECT '{}/1'::sparsevec(0);
SELECT '{}/1'::sparsevec(1000000001);
SELECT ('{' || string_agg(i || ':1', ',') || '}/20000')::sparsevec FROM generate_series(1, 16001) i;
\set VERBOSITY default

-- distances
SELECT '{1:3,2:4}/5'::sparsevec <-> '{}/5', '{1:1,2:2}/3'::sparsevec <#> '{2:3,3:4}/3', '{1:1}/2'::sparsevec <=> '{2:1}/2', '{1:1,3:2}/3'::sparsevec <+> '{1:3,2:-4}/3';
SELECT l2_distance('{1:3,3:4}/3'::sparsevec, '{}/3'), inner_product('{1:1,2:2}/3'::sparsevec, '{1:3,2:4}/3'), cosine_distance('{1:1,2:2}/3'::sparsevec, '{1:2,2:4}/3'), l1_distance('{}/3'::sparsevec, '{1:3,3:-4}/3');
SELECT sparsevec_l2_squared_distance('{1:3}/2', '{2:4}/2'), sparsevec_negative_inner_product('{1:3}/2', '{1:4}/2');
SELECT '{}/2'::sparsevec <=> '{1:1}/2' AS zero, '{1:3e38}/1'::sparsevec <-> '{1:-3e38}/1' AS wide;
-- as vectors with their zeros
SELECT count(*) FROM (SELECT ARRAY(SELECT (i * j * 7919) % 5 * ((i + j) % 3) FROM generate_series(1, 1 + i % 90) j)::vector AS a,
    ARRAY(SELECT (i * j * 104729) % 7 * ((i + j) % 2) - 1 FROM generate_series(1, 1 + i % 90) j)::vector AS b FROM generate_series(1, 300) i) t
WHERE (a <-> b) <> (a::sparsevec <-> b::sparsevec) OR (a <#> b) <> (a::sparsevec <#> b::sparsevec) OR (a <+> b) <> (a::sparsevec <+> b::sparsevec)
  OR a::sparsevec::vector <> a OR vector_cmp(a, b) <> sparsevec_cmp(a::sparsevec, b::sparsevec);
-- one list far shorter than the other
SELECT ('{' || string_agg(i || ':2', ',') || '}/20000')::sparsevec <#> '{1:1,7:2,15999:3,16001:9}/20000' FROM generate_series(1, 16000) i;

-- functions
SELECT vector_dims('{1:1}/9'::sparsevec), l2_norm('{1:3,9:4}/9'::sparsevec), l2_normalize('{1:3,9:4}/9'::sparsevec), l2_normalize('{}/3'::sparsevec), l2_normalize('{1:1e-45,2:3e38}/2'::sparsevec);

-- order and hashing
SELECT '{1:1}/3'::sparsevec < '{2:1}/3', '{1:-1}/3'::sparsevec < '{}/3', '{2:-1}/3'::sparsevec < '{1:-1}/3', '{}/2'::sparsevec < '{}/3', '{3:1}/3'::sparsevec > '{}/2', '{1:1}/3'::sparsevec = '{1:1}/3', '{1:1}/3'::sparsevec <> '{1:1}/4', '{1:1}/2'::sparsevec >= '{1:2}/2', '{1:1}/2'::sparsevec <= '{1:1}/2';
SELECT sparsevec_cmp('{1:1}/2', '{1:2}/2'), sparsevec_cmp('{}/2', '{}/2'), sparsevec_cmp('{3:1}/3', '{}/2'), sparsevec_cmp('{3:-1}/3', '{}/2');
SELECT sparsevec_hash('{1:1}/2') = sparsevec_hash('{1:1,2:0}/2'), sparsevec_hash('{1:1}/2') = sparsevec_hash('{1:1}/3'), sparsevec_hash_extended('{1:1}/2', 1) = sparsevec_hash_extended('{1:1}/2', 1);
CREATE TEMP TABLE sparse (v sparsevec(9));
INSERT INTO sparse SELECT ('{1:' || i % 10 || ',4:' || i % 7 || '}/9')::sparsevec FROM generate_series(1, 700) i;
SET enable_sort = off;
SELECT count(*) FROM (SELECT v FROM sparse GROUP BY v) t;
RESET enable_sort;
CREATE INDEX ON sparse (v);
SET enable_seqscan = off;
SELECT count(*) FROM sparse WHERE v = '{1:3,4:4}/9';
RESET enable_seqscan;

-- casts
SELECT '[1,0,2]'::vector::sparsevec, '{1:1,3:2}/3'::sparsevec::vector, '[1,0,2]'::halfvec::sparsevec, '{1:1,3:2}/3'::sparsevec::halfvec;
SELECT ARRAY[1, 0, 2]::sparsevec, ARRAY[1.5, 0]::real[]::sparsevec, ARRAY[0, 1.5]::float8[]::sparsevec, ARRAY[0, 1.5]::numeric[]::sparsevec, ARRAY['0', '1.5']::sparsevec;

\set VERBOSITY sqlstate
SELECT '{1:1}/2'::sparsevec <-> '{1:1}/3';
SELECT '{1:1}/3'::sparsevec::sparsevec(2);
SELECT '{1:1}/3'::sparsevec::vector(2);
SELECT '[1,2,3]'::vector::sparsevec(2);
SELECT '{}/16001'::sparsevec::vector;
SELECT '{}/16001'::sparsevec::halfvec;
SELECT '{1:1e6}/2'::sparsevec::halfvec;
SELECT '{NaN}'::real[]::sparsevec;
SELECT ARRAY[1, NULL]::sparsevec;
SELECT '{}'::int[]::sparsevec;
SELECT '{{1},{2}}'::int[]::sparsevec;
\set VERBOSITY default

-- the extended hash with seed 0 begins with the plain one, as hash partitions and indexes rely on
SELECT count(*) FROM generate_series(1, 500) i, LATERAL (SELECT ('{1:' || i || ',5:2}/' || 5 + i)::sparsevec AS v, ARRAY[i, 2]::halfvec AS h OFFSET 0) t
WHERE sparsevec_hash_extended(v, 0) & 4294967295 <> sparsevec_hash(v)::bigint & 4294967295 OR halfvec_hash_extended(h, 0) & 4294967295 <> halfvec_hash(h)::bigint & 4294967295;
