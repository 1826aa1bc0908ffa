-- Type halfvec: every function, operator, cast, aggregate and mistake.
-- Text form: as vector's; each number is rounded to half precision, nearest, ties to even.
SELECT '[1,2,3]'::halfvec, E' [ 1,\t2. ,\n .5 ] '::halfvec, '[+1,-0,1e3]'::halfvec;
SELECT '[0.1,2049,2051,65504,65519,-65504]'::halfvec;
-- the smallest normal, denormals, underflow to zero
SELECT '[6.104e-5,5.9604645e-8,2.9802323e-8,3e-8,-1e-10]'::halfvec;
SELECT count(*) FROM generate_series(-2000, 2000) i, LATERAL (SELECT ('[' || i / 7.0 || ']')::halfvec AS v OFFSET 0) t
WHERE v::text::halfvec IS DISTINCT FROM v OR v::vector::halfvec IS DISTINCT FROM v;
SELECT '[1,2,3]'::halfvec(3), format_type('halfvec'::regtype, 3), '{"[1,2]","[3,4]"}'::halfvec[];
SELECT pg_column_size('[1,2,3]'::halfvec), vector_dims(('[' || repeat('0.125,', 15999) || '1]')::halfvec(16000));
SELECT halfvec_send('[1,-2,0.5]'::halfvec);

\set VERBOSITY sqlstate
SELECT '[1,2'::halfvec;
SELECT '1,2]'::halfvec;
SELECT '[1,,2]'::halfvec;
SELECT '[1,2]x'::halfvec;
SELECT '[0x10]'::halfvec;
SELECT ''::halfvec;
SELECT '[]'::halfvec;
SELECT '[65520]'::halfvec;
SELECT '[-1e39]'::halfvec;
SELECT '[NaN]'::halfvec;
SELECT '[-Infinity]'::halfvec;
SELECT '[1,2,3]'::halfvec(2);
SELECT '[1]'::halfvec(0);
SELECT '[1]'::halfvec(16001);
SELECT '[1]'::halfvec(1, 2);
SELECT ('[' || repeat('0,', 16000) || '0]')::halfvec;
\set VERBOSITY default

-- distances, equal to those of the same numbers as vectors
SELECT '[0,0]'::halfvec <-> '[3,4]', '[1,2]'::halfvec <#> '[3,4]', '[1,1]'::halfvec <=> '[-1,-1]', '[0,0]'::halfvec <+> '[3,-4]';
SELECT l2_distance('[0,0]'::halfvec, '[3,4]'), inner_product('[1,2]'::halfvec, '[3,4]'),
  cosine_distance('[1,2]'::halfvec, '[2,4]'), l1_distance('[0,0]'::halfvec, '[3,4]');
SELECT halfvec_l2_squared_distance('[0,0]', '[3,4]'), halfvec_negative_inner_product('[1,2]', '[3,4]'), halfvec_spherical_distance('[1,0]', '[0,1]');
SELECT '[0,0]'::halfvec <=> '[1,1]' AS zero, inner_product('[65504,65504]'::halfvec, '[65504,65504]') AS wide;
SELECT count(*) FROM (SELECT ARRAY(SELECT sin(i * j) FROM generate_series(1, 1 + i % 70) j)::halfvec AS a,
    ARRAY(SELECT cos(i * j) FROM generate_series(1, 1 + i % 70) j)::halfvec AS b FROM generate_series(1, 200) i) t
WHERE abs((a <-> b) - (a::vector <-> b::vector)) > 1e-5 OR abs((a <#> b) - (a::vector <#> b::vector)) > 1e-5
  OR abs((a <+> b) - (a::vector <+> b::vector)) > 1e-5 OR abs((a <=> b) - (a::vector <=> b::vector)) > 1e-5;

-- functions
SELECT vector_dims('[1,2,3]'::halfvec), l2_norm('[3,4]'::halfvec), l2_normalize('[3,4]'::halfvec), l2_normalize('[0,0]'::halfvec);
SELECT binary_quantize('[1,0,-1,0.5,2,-3,4,5,6]'::halfvec), subvector('[1,2,3,4,5]'::halfvec, 2, 3), subvector('[1,2,3]'::halfvec, -1, 4);
SELECT '[1,2,3]'::halfvec + '[4,5,6]', '[1,2,3]'::halfvec - '[4,5,6]', '[1,2,3]'::halfvec * '[4,5,6]', '[1,2]'::halfvec || '[3]';

-- order and hashing
SELECT '[1,2]'::halfvec < '[1,3]', '[1,2]'::halfvec <= '[1,2]', '[1,2]'::halfvec = '[1,2]', '[1,2]'::halfvec <> '[1,3]', '[1,2]'::halfvec >= '[1,3]', '[1,2]'::halfvec > '[1]';
SELECT halfvec_cmp('[1,2]', '[1,3]'), halfvec_cmp('[1,2]', '[1,2]'), halfvec_cmp('[1,2]', '[1]'), '[0]'::halfvec = '[-0]', halfvec_hash('[0]') = halfvec_hash('[-0]'),
  halfvec_hash_extended('[0,1]', 7) = halfvec_hash_extended('[-0,1]', 7), halfvec_hash_extended('[0,1]', 7) = halfvec_hash_extended('[0,1]', 8);
CREATE TEMP TABLE halves (id int, v halfvec(2));
INSERT INTO halves SELECT i, ARRAY[i % 10, i % 7]::halfvec FROM generate_series(1, 700) i;
SELECT count(*), count(DISTINCT v) FROM halves;
SET enable_sort = off;
SELECT count(*) FROM (SELECT v FROM halves GROUP BY v) t;
RESET enable_sort;
CREATE INDEX ON halves (v);
SET enable_seqscan = off;
SELECT count(*) FROM halves WHERE v = '[3,4]';
SELECT count(*) FROM halves WHERE v < '[3,4]';
RESET enable_seqscan;

-- aggregates: sums are wide and rounded once
SELECT avg(v), sum(v) FROM (VALUES ('[1,2]'::halfvec), ('[3,5]'), (NULL)) t(v);
SELECT avg(v), sum(v) FROM (SELECT '[1]'::halfvec AS v WHERE false) t;
SELECT sum(('[' || 2048 + i % 2 || ']')::halfvec) FROM generate_series(1, 20) i;
SELECT avg(v) FROM (SELECT '[65504]'::halfvec AS v FROM generate_series(1, 100)) t;

-- casts
SELECT '[1,2.5]'::halfvec::vector, '[1,2.5]'::vector::halfvec, '[1,2.5]'::halfvec::real[], '[1,0,2]'::halfvec::sparsevec;
SELECT ARRAY[1, 2]::halfvec, ARRAY[1.5, 2]::real[]::halfvec, ARRAY[1.5, 2]::float8[]::halfvec, ARRAY[1.5, 2]::numeric[]::halfvec, ARRAY['1.5', ' 2 ']::halfvec, '[1.5,2]'::jsonb::halfvec;
SELECT '[1,2]'::vector(2)::halfvec(2), ARRAY[1, 2]::halfvec(2);

\set VERBOSITY sqlstate
SELECT '[1,2]'::halfvec <-> '[1]';
SELECT '[1,2]'::halfvec + '[1]';
SELECT '[65504]'::halfvec + '[65504]';
SELECT '[65504]'::halfvec - '[-65504]';
SELECT '[65504]'::halfvec * '[2]';
SELECT '[1e-7]'::halfvec * '[1e-7]';
SELECT subvector('[1,2]'::halfvec, 3, 1);
SELECT subvector('[1,2]'::halfvec, 1, 0);
SELECT ('[' || repeat('0,', 15999) || '0]')::halfvec || '[1]';
SELECT sum(v) FROM (SELECT '[65504]'::halfvec AS v FROM generate_series(1, 2)) t;
SELECT avg(v) FROM (VALUES ('[1]'::halfvec), ('[1,2]')) t(v);
SELECT '[1e6]'::vector::halfvec;
SELECT ARRAY[1e6]::halfvec;
SELECT '{NaN}'::real[]::halfvec;
SELECT '{Infinity}'::float8[]::halfvec;
SELECT ARRAY[1, NULL]::halfvec;
SELECT '{{1},{2}}'::int[]::halfvec;
SELECT '{}'::int[]::halfvec;
SELECT '[1,2,3]'::halfvec::halfvec(2);
SELECT '[1,2,3]'::halfvec::vector(2);
SELECT ARRAY[1, 2, 3]::halfvec(2);
SELECT ARRAY['1', 'x']::halfvec;
SELECT ARRAY['1e9']::halfvec;
SELECT '{"a":1}'::jsonb::halfvec;
SELECT '[1,"2"]'::jsonb::halfvec;
SELECT '[1,null]'::jsonb::halfvec;
SELECT '1'::jsonb::halfvec;
\set VERBOSITY default
