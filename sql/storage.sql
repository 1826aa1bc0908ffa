-- Vectors stored in line, with a short header, out of line, and compressed: all functions read all forms.
CREATE TABLE stored (kind text, v vector);
INSERT INTO stored SELECT 'short', ARRAY[i, i + 1]::vector FROM generate_series(1, 3) i;
INSERT INTO stored SELECT 'long', array_fill(i, ARRAY[100])::vector FROM generate_series(1, 3) i;
INSERT INTO stored SELECT 'external', array_fill(i, ARRAY[3000])::vector FROM generate_series(1, 3) i;
ALTER TABLE stored ALTER v SET STORAGE extended;
INSERT INTO stored SELECT 'compressed', array_fill(i, ARRAY[1000])::vector FROM generate_series(1, 3) i;
ALTER TABLE stored ALTER v SET STORAGE plain;
INSERT INTO stored SELECT 'plain', array_fill(i, ARRAY[1500])::vector FROM generate_series(1, 3) i;
SELECT kind, vector_dims(v) AS dims, min(pg_column_size(v)) AS bytes, count(*),
  sum(vector_norm(v) ^ 2)::int AS norms, sum(v <-> v) AS l2, sum(v <+> (v + v))::int AS l1,
  bool_and(v <> (v || v)) AS unequal, bool_and(subvector(v, 1, 2) = (v::real[])[1:2]::vector) AS head,
  bool_and(vector_cmp(v, v) = 0) AS equal, bool_and(v::text::vector = v) AS text,
  bool_and(vector_hash(v) = vector_hash(v::real[]::vector)) AS hashes, bool_and(length(binary_quantize(v)) = vector_dims(v)) AS bits,
  vector_dims(sum(v)) AS sum, subvector(avg(v), 1, 1) AS avg
FROM stored GROUP BY kind, vector_dims(v) ORDER BY dims;
SELECT count(*) FROM stored a, stored b WHERE a.v = b.v;
SELECT count(*) FROM stored WHERE v::vector(3000) = v AND kind = 'external';
\set VERBOSITY sqlstate
SELECT count(*) FROM stored WHERE v::vector(2) = v;
\set VERBOSITY default
-- the dimensions of a vector out of line cost one chunk of it
CREATE TABLE moved (v vector(3000));
INSERT INTO moved SELECT v FROM stored WHERE kind = 'external';
SELECT vector_dims(v), subvector(v, 2999, 2) FROM moved ORDER BY v;
-- distances keep a vector out of line that repeats, on either side, and let it go when another comes
INSERT INTO moved SELECT array_fill(i, ARRAY[3000])::vector FROM generate_series(4, 9) i;
SELECT subvector(v, 1, 1), (v <-> (SELECT v FROM moved ORDER BY v LIMIT 1))::numeric(10, 4) AS distance
FROM moved ORDER BY v <-> (SELECT v FROM moved ORDER BY v DESC LIMIT 1) LIMIT 3;
SET enable_memoize = off;
SET enable_material = off;
SELECT count(*), count(*) FILTER (WHERE abs((a.v <-> b.v) - x) < 0.01 AND abs((b.v <-> a.v) - x) < 0.01 AND (a.v <+> b.v) = 3000 * abs(i - j))
FROM moved a, moved b, LATERAL (SELECT (a.v::real[])[1] AS i, (b.v::real[])[1] AS j) s,
  LATERAL (SELECT sqrt(3000 * (i - j) ^ 2) AS x) t;
SELECT subvector(a.v, 1, 1) AS of, (SELECT subvector(b.v, 1, 1) FROM moved b WHERE b.v <> a.v ORDER BY b.v <-> a.v, b.v LIMIT 1) FROM moved a ORDER BY a.v;
DROP TABLE stored, moved;
