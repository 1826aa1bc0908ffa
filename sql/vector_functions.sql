-- Functions of vector.
SELECT vector_dims('[1,2,3]'::vector), vector_dims('[1]'::vector);
SELECT vector_norm('[3,4]'), vector_norm('[0,1]'), vector_norm('[0,0]'), vector_norm('[3e37,4e37]'), vector_norm('[3e-40]') > 0;
SELECT round(vector_norm(array_agg(i)::vector)::numeric, 6) FROM generate_series(1, 1000) i;
SELECT l2_distance('[0,0]'::vector, '[3,4]'), l2_distance('[0,0]'::vector, '[0,1]'), l2_distance('[3e38]'::vector, '[-3e38]');
SELECT inner_product('[1,2]'::vector, '[3,4]'), inner_product('[3e38]'::vector, '[3e38]'), inner_product('[1,1]'::vector, '[-1,-1]');
SELECT cosine_distance('[1,0]'::vector, '[2,0]'), cosine_distance('[1,0]'::vector, '[0,1]'), cosine_distance('[1,0]'::vector, '[-1,0]'),
  cosine_distance('[1,2]'::vector, '[0,0]'), cosine_distance('[3e38]'::vector, '[3e38]');
SELECT l1_distance('[0,0]'::vector, '[3,4]'), l1_distance('[0,0]'::vector, '[0,-1]');
SELECT vector_l2_squared_distance('[0,0]', '[3,4]'), vector_negative_inner_product('[1,2]', '[3,4]');
SELECT vector_spherical_distance('[1,0]', '[0,1]'), vector_spherical_distance('[1,0]', '[1,0]'), vector_spherical_distance('[2,0]', '[-2,0]');
SELECT l2_normalize('[3,4]'::vector), l2_normalize('[3,0]'::vector), l2_normalize('[0,0.1]'::vector), l2_normalize('[0,0]'::vector),
  l2_normalize('[3e38]'::vector), l2_normalize('[1e-45,0]'::vector), l2_normalize('[-3e38,1e38]'::vector(2)) IS NULL;
SELECT count(*), max(abs(vector_norm(l2_normalize(array_agg)) - 1)) < 1e-6 AS unit
FROM (SELECT array_agg(sin(i * d)::real)::vector FROM generate_series(1, 200) d, generate_series(1, d) i GROUP BY d) t;
SELECT binary_quantize('[1,0,-1]'::vector), binary_quantize('[0,0.1,-0.2,-0.3,0.4,0.5,0.6,-0.7,0.8,-0.9,1]'::vector), binary_quantize('[-0,1e-45]'::vector);
SELECT length(binary_quantize(array_fill(1, ARRAY[16000])::vector)), pg_typeof(binary_quantize('[1]'::vector));
SELECT count(*) FROM generate_series(1, 100) d,
  LATERAL (SELECT array_agg(sin(i * d)::real ORDER BY i)::vector AS v, string_agg((sin(i * d) > 0)::int::text, '' ORDER BY i) AS bits
           FROM generate_series(1, d) i) t
WHERE binary_quantize(v)::text <> bits;
SELECT subvector('[1,2,3,4,5]'::vector, 1, 3), subvector('[1,2,3,4,5]'::vector, 3, 2), subvector('[1,2,3,4,5]'::vector, 5, 1);
-- what lies outside is left out, as in substring()
SELECT subvector('[1,2,3,4,5]'::vector, -1, 3), subvector('[1,2,3,4,5]'::vector, 0, 2), subvector('[1,2,3,4,5]'::vector, 3, 9),
  subvector('[1,2,3,4,5]'::vector, 3, 2147483647), subvector('[1,2,3,4,5]'::vector, -2147483640, 2147483647);
SELECT subvector(NULL::vector, 1, 1), vector_norm(NULL), l2_normalize(NULL::vector), binary_quantize(NULL::vector), vector_dims(NULL::vector);
