-- Everything that CREATE EXTENSION ann makes. Plain CREATE throughout: an object of the same name is an
-- error, never taken over.
\echo Use "CREATE EXTENSION ann" to load this file. \quit

-- pgvector's extension has the same names on purpose, so both cannot live in one database.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vector') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'duplicate_object',
      MESSAGE = 'extension "ann" cannot be created in a database that has extension "vector"',
      DETAIL = 'Both provide the type vector, its operators, and the index access method hnsw.',
      HINT = 'Dump this database with pg_dump, write "CREATE EXTENSION ann" in place of '
             '"CREATE EXTENSION vector" in the dump, and restore it into another database.';
  END IF;
  IF EXISTS (SELECT FROM pg_catalog.pg_type AS t
             JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
             WHERE t.typname = 'vector' AND n.nspname = pg_catalog.current_schema()) THEN
    RAISE EXCEPTION USING
      ERRCODE = 'duplicate_object',
      MESSAGE = pg_catalog.format('extension "ann" cannot be created in schema %I, which has a type "vector"',
                                  pg_catalog.current_schema()),
      HINT = 'Rename or drop that type, or name another schema: CREATE EXTENSION ann SCHEMA ...';
  END IF;
END
$$;
