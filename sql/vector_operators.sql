-- Operators of vector. Values are such that every sum is exact on any CPU.
SELECT '[1,2,3]'::vector + '[4,5,6]';
SELECT '[1,2,3]'::vector - '[4,5,6]';
SELECT '[1,2,3]'::vector * '[4,5,-6]';
SELECT '[1,2]'::vector || '[3]', '[0]'::vector || '[1,2,3]';
SELECT '[1e37]'::vector * '[0]', '[0]'::vector * '[1e-45]', '[1e-30]'::vector * '[1e-10]';
SELECT '[0,3]'::vector <-> '[4,0]', '[0,0]'::vector <-> '[3,4]', '[1,2]'::vector <-> '[1,2]';
SELECT '[1,2,3]'::vector <#> '[4,5,6]', '[1,0]'::vector <#> '[0,1]';
SELECT '[3,4]'::vector <=> '[3,4]', '[3,4]'::vector <=> '[-3,-4]', '[1,0]'::vector <=> '[0,2]';
SELECT '[1,2,3]'::vector <+> '[4,0,3]', '[-1]'::vector <+> '[1]';
-- zero vectors have no direction; sums in float may overflow
SELECT '[0,0]'::vector <=> '[1,2]', '[0,0]'::vector <=> '[0,0]';
SELECT '[3e38]'::vector <-> '[-3e38]', '[3e38,3e38]'::vector <#> '[3e38,3e38]', '[3e38,3e38]'::vector <+> '[-3e38,3e38]';
-- a cosine that rounding carries past 1 is cut to it
SELECT count(*) FROM generate_series(1, 500) i,
  LATERAL (SELECT ARRAY[sin(i), cos(i * 2), sin(i * 3)]::vector AS v) t
WHERE v <=> (v * '[3,3,3]') NOT BETWEEN 0 AND 1e-6 OR v <=> (v * '[-3,-3,-3]') NOT BETWEEN 2 - 1e-6 AND 2;
-- NULL in, NULL out
SELECT '[1]'::vector <-> NULL, NULL::vector + '[1]', NULL::vector = '[1]';
-- operators and functions agree, whatever the dimensions (odd tails included)
SELECT count(*) AS dims, count(*) FILTER (WHERE
    abs((a <-> b) - sqrt(l2)) <= 1e-5 * sqrt(l2) AND abs((a <#> b) + ip) <= 1e-4 * (1 + abs(ip))
    AND abs((a <+> b) - l1) <= 1e-5 * l1 AND abs((a <=> b) - (1 - ip / sqrt(aa * bb))) <= 1e-5) AS right_distances
FROM generate_series(1, 300) d,
  LATERAL (SELECT array_agg(sin(i * 7 + d)::real ORDER BY i) AS x, array_agg(cos(i * 3 - d)::real ORDER BY i) AS y,
             sum((sin(i * 7 + d)::real::float8 - cos(i * 3 - d)::real) ^ 2) AS l2,
             sum(sin(i * 7 + d)::real::float8 * cos(i * 3 - d)::real) AS ip,
             sum(abs(sin(i * 7 + d)::real::float8 - cos(i * 3 - d)::real)) AS l1,
             sum(sin(i * 7 + d)::real::float8 ^ 2) AS aa, sum(cos(i * 3 - d)::real::float8 ^ 2) AS bb
           FROM generate_series(1, d) i) s,
  LATERAL (SELECT x::vector AS a, y::vector AS b) v;

-- comparison: value by value, then the longer one is greater
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt, vector_cmp(a, b)
FROM (VALUES ('[1,2,3]'::vector, '[1,2,3]'::vector), ('[1,2,3]', '[1,2,4]'), ('[1,2,4]', '[1,2,3]'), ('[1,2]', '[1,2,3]'),
  ('[1,2,3]', '[1,2]'), ('[2]', '[1,9]'), ('[1,9]', '[2]'), ('[0]', '[-0]'), ('[-0,1]', '[0,2]'), ('[-1]', '[1]')) t(a, b);
-- as arrays compare
SELECT count(*) FROM generate_series(0, 80) i, generate_series(0, 80) j,
  LATERAL (SELECT (ARRAY[i % 3, i / 3 % 3, i / 9 % 3])[1:1 + i / 27 % 3] AS x, (ARRAY[j % 3, j / 3 % 3, j / 9 % 3])[1:1 + j / 27 % 3] AS y) t
WHERE vector_cmp(x::vector, y::vector) <> btarraycmp(x, y) OR (x::vector = y::vector) <> (x = y);
