-- Text input and output of vector: what is accepted, and what it reads as.
SELECT '[1,2,3]'::vector;
SELECT '[-1,-2,-3]'::vector;
SELECT '[+1,-2.5,.5,-.5,3.]'::vector;
SELECT E' [ 1,\t2 ,\n 3\r\x0b\f ] '::vector;
SELECT '[0,-0,0.0,-0.0]'::vector;
SELECT '[1e3,1E3,1e+3,1e-3,1.5e38,-1.5e-38]'::vector;
SELECT '[0.1,0.12345678901234567890,1.23456789,123456.789,16777217]'::vector;
SELECT '[00012,0000.25,1.0000000000000000000000000001]'::vector;
-- correctly rounded: one rounding, to the nearest float, ties to even
SELECT '[16777217,16777217.000000000000000000001,16777218.999,0.3000000119]'::vector;
SELECT '[1.00000005960464477539,1.00000005960464477540,1.0000001788139343,1.0000001788139344]'::vector;
-- the ends of the range: the largest float, the smallest normal, denormals, and underflow to zero
SELECT '[3.4028235e38,-3.4028235e38,3.4028235677973365e38]'::vector;
SELECT '[1.17549435e-38,1e-45,1.4e-45,7.1e-46]'::vector;
SELECT '[7e-46,-7e-46,1e-46,-1e-46,1e-1000000,0e999999]'::vector;
-- output is the shortest text that reads back as the same float
SELECT '[0.30000001192092896,3.1415927410125732,1e10,1e15,1e16,123456789]'::vector;
SELECT count(*), count(*) FILTER (WHERE v::text::vector = v AND v::text::vector::text = v::text)
FROM (SELECT ARRAY[sin(i), exp(sin(i) * 80), -cos(i) / 1000]::vector AS v FROM generate_series(1, 2000) i) t;
-- as real reads and prints the same digits
SELECT count(*) FROM generate_series(1, 2000) i, (VALUES (1e-6), (1.0), (1e7), (1e30)) s(scale),
  LATERAL (SELECT (sin(i) * scale)::numeric(60, 20)::text AS digits OFFSET 0) d
WHERE ('[' || digits || ']')::vector::text IS DISTINCT FROM '[' || (digits::real)::text || ']';
-- as long as the limit allows
SELECT vector_dims(('[' || repeat('0.125,', 15999) || '1]')::vector);
SELECT vector_dims(('[' || repeat(' 1 ,', 15999) || '1]')::vector(16000));
SELECT md5(('[' || string_agg((i / 64.0)::real::text, ',') || ']')::vector::text) = md5('[' || string_agg((i / 64.0)::real::text, ',') || ']')
FROM generate_series(1, 16000) i;
SELECT ('[' || repeat('0', 100000) || '.' || repeat('0', 100000) || '5e100000]')::vector;

-- the type modifier
SELECT '[1,2,3]'::vector(3);
SELECT format_type('vector'::regtype, 3);
CREATE TEMP TABLE modified (v vector(3), w vector(3)[]);
INSERT INTO modified VALUES ('[1,2,3]', '{"[1,2,3]","[4,5,6]"}');
SELECT v, w, w[2] FROM modified;
SELECT unnest('{"[1,2,3]", "[4,5,6]"}'::vector[]);
SELECT attname, format_type(atttypid, atttypmod), attstorage, attlen, attalign FROM pg_attribute
WHERE attrelid = 'modified'::regclass AND attnum > 0 ORDER BY attnum;

-- the stored form: 4 bytes of length, int16 dimensions, int16 unused, float4 each
SELECT pg_column_size('[1,2,3]'::vector), pg_column_size(('[' || repeat('0,', 15999) || '0]')::vector);
-- the form sent: int16 dimensions, int16 0, float4 each
SELECT vector_send('[1,-2,0.5]'::vector);
