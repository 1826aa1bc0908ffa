-- Everything of ann, as an extension named vector, for clients that create one.
\echo Use "CREATE EXTENSION vector" to load this file. \quit

DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'ann') THEN
    RAISE EXCEPTION USING
      ERRCODE = 'duplicate_object',
      MESSAGE = 'extension "vector" cannot be created in a database that has extension "ann"',
      DETAIL = 'Both are the same: "vector" is installed as another name of "ann".',
      HINT = 'Nothing is missing. For a client that insists on the name, dump this database with pg_dump, '
             'write "vector" in place of "ann" in its CREATE EXTENSION, and restore it into another database.';
  END IF;
END
$$;
