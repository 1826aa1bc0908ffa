-- Subscripts of vector and halfvec.
SELECT ('[1,2,3,4]'::vector)[1], ('[1,2,3,4]'::vector)[4], ('[1,2,3,4]'::vector)[0], ('[1,2,3,4]'::vector)[5], ('[1,2,3,4]'::vector)[NULL], (NULL::vector)[1];
SELECT ('[1,2,3,4]'::vector)[2:3], ('[1,2,3,4]'::vector)[:2], ('[1,2,3,4]'::vector)[3:], ('[1,2,3,4]'::vector)[:], ('[1,2,3,4]'::vector)[-5:99], ('[1,2,3,4]'::vector)[3:2], ('[1,2,3,4]'::vector)[NULL:2];
SELECT ('[1,0.5,3,4]'::halfvec)[2], ('[1,2,3,4]'::halfvec)[2:3], pg_typeof(('[1,2]'::halfvec)[1]), pg_typeof(('[1,2]'::halfvec)[1:1]);
CREATE TEMP TABLE parts (id int, v vector(3), h halfvec(3));
INSERT INTO parts SELECT i, ARRAY[i, i * 2, i * 3]::vector, ARRAY[i, i * 2, i * 3]::halfvec FROM generate_series(1, 5) i;
SELECT id, v[2], h[3], v[id], v[1:2] <-> h[1:2]::vector AS same FROM parts ORDER BY v[1] DESC LIMIT 3;
CREATE INDEX ON parts ((v[1]));
SELECT sum(v[2]) FROM parts WHERE v[1] > 3;
SELECT v['2'::int8] FROM parts WHERE id = 1;
-- out of line
CREATE TEMP TABLE long_parts AS SELECT ARRAY(SELECT i FROM generate_series(1, 9000) i)::vector AS v;
SELECT v[8999], v[8998:8999] FROM long_parts;
\set VERBOSITY sqlstate
SELECT v['x'] FROM parts;
SELECT v[1][2] FROM parts;
SELECT v[true] FROM parts;
UPDATE parts SET v[1] = 3;
INSERT INTO parts (v[1]) VALUES (3);
\set VERBOSITY default
