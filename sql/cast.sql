-- Casts of vector: which exist, in which context, and what they do.
SELECT castsource::regtype, casttarget::regtype, castcontext FROM pg_cast
WHERE 'vector'::regtype IN (castsource, casttarget)
  AND castsource IN ('vector'::regtype, 'int[]'::regtype, 'real[]'::regtype, 'float8[]'::regtype, 'numeric[]'::regtype)
  AND casttarget IN ('vector'::regtype, 'real[]'::regtype)
ORDER BY 1, 2;
SELECT ARRAY[1,2,3]::vector, '{1,2,3}'::int[]::vector(3);
SELECT '{1.5,-2,3e38}'::real[]::vector;
SELECT '{0.1,0.2,16777217,1e-46}'::float8[]::vector;
SELECT '{0.1,-2.5,1e-40,123456789012345678901234567890}'::numeric[]::vector;
SELECT '{2147483647,-2147483648}'::int[]::vector;
SELECT '[1.5,-2,0.1]'::vector::real[], '[1]'::vector::real[];
SELECT array_dims('[1,2,3]'::vector::real[]), array_lower('[1,2,3]'::vector::real[], 1);
-- an array's bounds do not matter, and a bitmap of nulls may be there without nulls
SELECT '[5:7]={1,2,3}'::int[]::vector, (ARRAY[1,NULL,3])[1:1]::vector, array_remove(ARRAY[1.5,NULL]::float8[], NULL)::vector;
SELECT count(*) FROM generate_series(1, 300) d,
  LATERAL (SELECT array_agg(sin(i * d) ORDER BY i) AS x FROM generate_series(1, d) i) t
WHERE x::vector::real[] <> x::real[] OR x::real[]::vector <> x::vector OR x::numeric[]::vector <> x::numeric[]::real[]::vector;
SELECT vector_dims(array_fill(0, ARRAY[16000])::vector), array_length(array_fill(0, ARRAY[16000])::vector::real[], 1);
-- to real[] without asking; from arrays in assignments only
CREATE FUNCTION pg_temp.second(real[]) RETURNS real LANGUAGE sql AS 'SELECT $1[2]';
SELECT pg_temp.second('[1,2,3]'::vector);
SELECT avg(x) FROM unnest('[1,2,3]'::vector::real[]) x;
CREATE TEMP TABLE assigned (v vector(3), w vector);
INSERT INTO assigned VALUES (ARRAY[1,2,3], ARRAY[1.5::real]), ('{1,2,3}'::float8[], '{1,2}'::numeric[]);
UPDATE assigned SET w = v WHERE w = '[1.5]';
SELECT * FROM assigned;
\set VERBOSITY sqlstate
SELECT l2_distance(ARRAY[1,2]::real[], '[1,2]'::vector);
UPDATE assigned SET v = w;
-- the typmod is enforced where values change hands
SELECT '[1,2,3]'::vector::vector(3), '[1,2,3]'::vector(3)::vector;
ALTER TABLE assigned ALTER v TYPE vector(2);
ALTER TABLE assigned ALTER v TYPE vector;
UPDATE assigned SET v = w;
SELECT * FROM assigned;
