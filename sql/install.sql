-- CREATE EXTENSION where it cannot be: in a database with pgvector's extension, which is played by a row of
-- the catalogue, and in a schema that has a type of that name.
\set SHOW_CONTEXT never
-- objects of other tests that DROP EXTENSION would name
SET client_min_messages = warning;
BEGIN;
DROP EXTENSION ann CASCADE;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
VALUES (4294967294, 'vector', 10, 'public'::regnamespace, true, '0.8.0');
CREATE EXTENSION ann;
ROLLBACK;
BEGIN;
DROP EXTENSION ann CASCADE;
CREATE TYPE vector AS (x real);
CREATE EXTENSION ann;
ROLLBACK;
\set VERBOSITY sqlstate
BEGIN;
DROP EXTENSION ann CASCADE;
CREATE DOMAIN vector AS real[];
CREATE EXTENSION ann;
ROLLBACK;
-- in a schema of its own it works, beside such a type, and can be moved
\set VERBOSITY default
BEGIN;
DROP EXTENSION ann CASCADE;
CREATE DOMAIN vector AS real[];
CREATE SCHEMA elsewhere;
CREATE EXTENSION ann SCHEMA elsewhere;
CREATE SCHEMA further;
ALTER EXTENSION ann SET SCHEMA further;
SELECT '[0,3]'::further.vector OPERATOR(further.<->) '[4,0]';
ROLLBACK;
SELECT '[1,2,3]'::vector;
