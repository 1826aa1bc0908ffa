-- Distances of the server's own type bit.
SELECT '111'::bit(3) <~> '111', '111'::bit(3) <~> '110', '111'::bit(3) <~> '000', hamming_distance('1010', '0101');
SELECT '1111'::bit(4) <%> '1111', '1111'::bit(4) <%> '1110', '1100'::bit(4) <%> '1000', '1111'::bit(4) <%> '0000', '0000'::bit(4) <%> '0000', jaccard_distance('1100', '0110');
SELECT hamming_distance(''::bit(0), ''), jaccard_distance(B'', B'');
SELECT repeat('10', 32000)::bit(64000) <~> repeat('01', 32000)::bit(64000), repeat('10', 32000)::bit(64000) <%> repeat('1', 64000)::bit(64000);
-- one bit after the other
SELECT count(*) FROM generate_series(1, 300) n, LATERAL (SELECT string_agg((n * i * i % 3 % 2)::text, '')::varbit AS a, string_agg((n * i % 5 % 2)::text, '')::varbit AS b,
    sum(abs(n * i * i % 3 % 2 - n * i % 5 % 2)) AS differ FROM generate_series(1, n) i) t
WHERE (a <~> b) <> differ;
SELECT binary_quantize('[1,0,-1,2]'::vector) <~> binary_quantize('[1,1,1,1]'::vector);
\set VERBOSITY sqlstate
SELECT '111'::bit(3) <~> '11'::bit(2);
SELECT jaccard_distance('111', '11');
\set VERBOSITY default
