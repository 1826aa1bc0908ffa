-- Binary and text COPY of vector. Files lie where pg_regress keeps its results.
CREATE TABLE copied (id int, v vector);
INSERT INTO copied VALUES (1, '[1,2,3]'), (2, NULL), (3, '[-0,1e-45,3.4028235e38]'), (4, array_fill(0.5, ARRAY[16000])::vector);
CREATE TABLE copied_back (LIKE copied);
\copy copied TO PROGRAM 'cat > "$PG_ABS_BUILDDIR/results/copy.bin"' (FORMAT binary)
\copy copied_back FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/results/copy.bin"' (FORMAT binary)
SELECT count(*) FROM copied JOIN copied_back USING (id)
WHERE vector_send(copied.v) IS NOT DISTINCT FROM vector_send(copied_back.v);
SELECT id, v, vector_dims(v) FROM copied_back WHERE id < 4 ORDER BY id;
TRUNCATE copied_back;
\copy copied TO PROGRAM 'cat > "$PG_ABS_BUILDDIR/results/copy.txt"'
\copy copied_back FROM PROGRAM 'cat "$PG_ABS_BUILDDIR/results/copy.txt"'
SELECT count(*) FROM copied JOIN copied_back USING (id)
WHERE vector_send(copied.v) IS NOT DISTINCT FROM vector_send(copied_back.v);
-- what may not be received: a file's header, one row of one field, its bytes
\set VERBOSITY sqlstate
CREATE TABLE received (v vector);
CREATE TABLE received_modified (v vector(2));
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\0\1\0\0\77\200\0\0\377\377"' (FORMAT binary)
SELECT * FROM received;
-- no dimensions; 16001; 65535; not those of the column
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\0\0\0\0\377\377"' (FORMAT binary)
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\76\201\0\0\377\377"' (FORMAT binary)
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\4\377\377\0\0\377\377"' (FORMAT binary)
\copy received_modified FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\0\1\0\0\77\200\0\0\377\377"' (FORMAT binary)
-- the reserved field is not 0
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\0\1\0\1\77\200\0\0\377\377"' (FORMAT binary)
-- NaN; infinity; minus infinity
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\0\1\0\0\177\300\0\0\377\377"' (FORMAT binary)
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\0\1\0\0\177\200\0\0\377\377"' (FORMAT binary)
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\0\1\0\0\377\200\0\0\377\377"' (FORMAT binary)
-- fewer values than said; more
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\10\0\2\0\0\77\200\0\0\377\377"' (FORMAT binary)
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\14\0\1\0\0\77\200\0\0\77\200\0\0\377\377"' (FORMAT binary)
\copy received FROM PROGRAM 'printf "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\0\1\0\0\0\3\0\1\0\377\377"' (FORMAT binary)
SELECT count(*) FROM received;
-- a text that is wrong stops COPY at its line
\copy received FROM PROGRAM 'printf "[1]\n[1,]\n"'
SELECT count(*) FROM received;
\copy received_modified FROM PROGRAM 'printf "[1,2]\n[1]\n"'
SELECT count(*) FROM received_modified;
DROP TABLE copied, copied_back, received, received_modified;
