-- Each mistake with `vector` and its SQLSTATE, which clients rely on.
\set VERBOSITY sqlstate
-- 22P02: not a vector's text
SELECT ''::vector;
SELECT ' '::vector;
SELECT '1,2,3'::vector;
SELECT '{1,2,3}'::vector;
SELECT '['::vector;
SELECT '[ '::vector;
SELECT '[,'::vector;
SELECT '[,]'::vector;
SELECT '[1,'::vector;
SELECT '[1,]'::vector;
SELECT '[1'::vector;
SELECT '[1,2,3'::vector;
SELECT '[1,,3]'::vector;
SELECT '[1, ,3]'::vector;
SELECT '[1 2]'::vector;
SELECT '[1;2]'::vector;
SELECT '[1a]'::vector;
SELECT '[hello,1]'::vector;
SELECT '[1.2.3]'::vector;
SELECT '[.]'::vector;
SELECT '[-]'::vector;
SELECT '[+-1]'::vector;
SELECT '[- 1]'::vector;
SELECT '[1e]'::vector;
SELECT '[1e+]'::vector;
SELECT '[e5]'::vector;
SELECT '[0x10]'::vector;
SELECT '[1_000]'::vector;
SELECT '[[1]]'::vector;
SELECT '[1,2,3]9'::vector;
SELECT '[1,2,3] ]'::vector;
SELECT '[1][2]'::vector;
SELECT '[1]'::vector('a');
-- 22003: out of float's range
SELECT '[4e38,1]'::vector;
SELECT '[-4e38,1]'::vector;
SELECT '[3.4028235677973367e38]'::vector;
SELECT '[1,1e1000000000000]'::vector;
SELECT ('[' || repeat('9', 1000) || ']')::vector;
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[-3e38]'::vector - '[3e38]';
SELECT '[1,1e37]'::vector * '[1,1e37]';
SELECT '[1,1e-37]'::vector * '[1,1e-37]';
SELECT sum(v) FROM (VALUES ('[3e38]'::vector), ('[3e38]')) t(v);
SELECT ARRAY[1e400]::numeric[]::vector;
SELECT ARRAY[1e-50]::numeric[]::vector;
-- 22000: values and dimensions
SELECT '[]'::vector;
SELECT '[ ]'::vector;
SELECT '[NaN,1]'::vector;
SELECT '[1,-nan]'::vector;
SELECT '[inf]'::vector;
SELECT '[Infinity,1]'::vector;
SELECT '[-Infinity,1]'::vector;
SELECT '[1,2,3]'::vector(2);
SELECT '[1,2,3]'::vector::vector(4);
SELECT '{"[1,2,3]"}'::vector(2)[];
SELECT '[1,2]'::vector <-> '[1]';
SELECT '[1,2]'::vector <#> '[1]';
SELECT '[1,2]'::vector <=> '[1]';
SELECT '[1,2]'::vector <+> '[1]';
SELECT '[1,2]'::vector + '[1]';
SELECT '[1,2]'::vector - '[1]';
SELECT '[1,2]'::vector * '[1]';
SELECT l2_distance('[1,2]'::vector, '[1]');
SELECT inner_product('[1,2]'::vector, '[1]');
SELECT cosine_distance('[1,2]'::vector, '[1]');
SELECT l1_distance('[1,2]'::vector, '[1]');
SELECT vector_l2_squared_distance('[1,2]', '[1]');
SELECT vector_negative_inner_product('[1,2]', '[1]');
SELECT vector_spherical_distance('[1,2]', '[1]');
SELECT subvector('[1,2,3]'::vector, 1, 0);
SELECT subvector('[1,2,3]'::vector, 1, -1);
SELECT subvector('[1,2,3]'::vector, 4, 1);
SELECT subvector('[1,2,3]'::vector, -1, 2);
SELECT subvector('[1,2,3]'::vector, -2147483648, 2147483647);
SELECT subvector('[1,2,3]'::vector, 2147483647, 2147483647);
SELECT '{}'::real[]::vector;
SELECT '{{1,2},{3,4}}'::real[]::vector;
SELECT '{NaN}'::real[]::vector;
SELECT '{Infinity}'::real[]::vector;
SELECT '{-Infinity}'::float8[]::vector;
SELECT '{1e300}'::float8[]::vector;
SELECT '{NaN}'::numeric[]::vector;
SELECT '{Infinity}'::numeric[]::vector;
SELECT '{1,2,3}'::int[]::vector(2);
SELECT '{1,2,3}'::numeric[]::vector(2);
SELECT avg(v) FROM (VALUES ('[1]'::vector), ('[1,2]')) t(v);
SELECT sum(v) FROM (VALUES ('[1]'::vector), ('[1,2]')) t(v);
SELECT vector_combine('{1,1}', '{1,1,2}');
SELECT vector_avg('{1}');
SELECT vector_avg('{1,NaN}');
SELECT vector_avg('{1,1e300}');
CREATE TEMP TABLE wrong (v vector(3));
INSERT INTO wrong VALUES ('[1,2]');
INSERT INTO wrong VALUES (ARRAY[1,2]);
INSERT INTO wrong SELECT '[1,2]'::vector;
-- 22004: nulls in an array
SELECT ARRAY[1,NULL]::real[]::vector;
SELECT ARRAY[NULL]::numeric[]::vector;
-- 22023: the type modifier
SELECT '[1]'::vector(0);
SELECT '[1]'::vector(-1);
SELECT '[1]'::vector(16001);
SELECT '[1]'::vector(1, 2);
-- 54000: too many dimensions
SELECT ('[' || repeat('1,', 16000) || '1]')::vector;
SELECT array_fill(0, ARRAY[16001])::vector;
SELECT array_fill(0, ARRAY[16000])::vector || '[1]';
SELECT vector_avg(array_fill(1, ARRAY[16002])::float8[]);
SELECT vector_combine('{0}', array_fill(1, ARRAY[16002])::float8[]);
-- 22003: an aggregate's sum
SELECT vector_accum('{1,Infinity}', '[1]');
SELECT vector_combine('{1,1.7e308}', '{1,1.7e308}');
-- XX000: a state that no aggregate of ours made
SELECT vector_accum('{}', '[1]');
SELECT vector_accum('{{1,2}}', '[1]');
SELECT vector_accum('{1,NULL}', '[1]');
SELECT vector_combine('{}', '{0}');
SELECT vector_combine('{0}', '{}');
SELECT vector_avg('{}');
-- XX001: bytes that no function of ours stored
CREATE CAST (bytea AS vector) WITHOUT FUNCTION;
SELECT '\x'::bytea::vector;
SELECT '\x0000'::bytea::vector;
SELECT vector_dims('\x00000000'::bytea::vector);
SELECT '\x010100000000803f'::bytea::vector;
SELECT '\xffff00000000803f'::bytea::vector <-> '[1]';
SELECT '\x010100000000803f'::bytea::vector = '[1]';
CREATE TEMP TABLE damaged (b bytea);
ALTER TABLE damaged ALTER b SET STORAGE external;
INSERT INTO damaged SELECT decode(repeat('01', 4000), 'hex');
SELECT vector_dims(b::vector) FROM damaged;
SELECT b::vector::vector(3) FROM damaged;
DROP CAST (bytea AS vector);
-- no cast, no operator
SELECT 'a'::text::vector;
SELECT '[1]'::vector::text::int;
SELECT '[1]'::vector <-> 1;
SELECT '{1}'::bigint[]::vector;
-- whatever the bytes, the text is a vector or one of these errors, and what is a vector reads back
\set VERBOSITY default
CREATE FUNCTION pg_temp.try_texts(n int, alphabet text) RETURNS TABLE (outcome text) LANGUAGE plpgsql AS $$
DECLARE
  given text;
  read vector;
BEGIN
  FOR i IN 1..n LOOP
    SELECT CASE WHEN i % 2 = 0 THEN '[' ELSE '' END || coalesce(string_agg(substr(alphabet, 1 + floor(random() * length(alphabet))::int, 1), ''), '')
        || CASE WHEN i % 3 = 0 THEN ']' ELSE '' END
      INTO given FROM generate_series(1, (random() * 24)::int);
    BEGIN
      read := given::vector;
      outcome := CASE WHEN read::text::vector = read AND vector_dims(read) = 1 + length(given) - length(replace(given, ',', '')) THEN 'vector' ELSE given END;
    EXCEPTION WHEN invalid_text_representation OR numeric_value_out_of_range OR data_exception THEN
      outcome := SQLSTATE;
    END;
    RETURN NEXT;
  END LOOP;
END $$;
SELECT setseed(0.6);
SELECT DISTINCT outcome COLLATE "C" FROM
  (SELECT pg_temp.try_texts(4000, '0123456789,,,,ee-.') AS outcome UNION ALL SELECT pg_temp.try_texts(4000, '[],.,0159eE+-naif  ') UNION ALL
   SELECT pg_temp.try_texts(4000, '12,.e+[]é€x' || chr(1) || chr(127) || E'\t\n')) r
ORDER BY 1;
