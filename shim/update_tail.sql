
DO $$
DECLARE
  strangers text;
  indexes text;
BEGIN
  SELECT string_agg(p.oid::regprocedure::text, ', ') INTO strangers
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
    WHERE l.lanname = 'c' AND p.probin <> 'MODULE_PATHNAME' AND ann_update_has('pg_proc', p.oid);
  IF strangers IS NOT NULL THEN
    RAISE EXCEPTION USING
      ERRCODE = 'feature_not_supported',
      MESSAGE = 'extension "vector" has functions that ann does not know: ' || strangers,
      HINT = 'Dump the database with pg_dump, and restore it into one that has been created with ann.';
  END IF;
  SELECT string_agg(format('REINDEX INDEX %s.%I;', c.relnamespace::regnamespace, c.relname), ' ' ORDER BY c.relname) INTO indexes
    FROM pg_class c JOIN pg_am a ON a.oid = c.relam WHERE c.relkind = 'i' AND a.amname IN ('hnsw', 'ivfflat');
  IF indexes IS NOT NULL THEN
    RAISE WARNING USING
      MESSAGE = 'indexes that pgvector has built cannot be used before they are rebuilt',
      HINT = indexes;
  END IF;
END
$$;

DROP FUNCTION ann_update_has_cast(regtype, regtype);
DROP FUNCTION ann_update_has_method(name);
DROP FUNCTION ann_update_has_class(name, name);
DROP FUNCTION ann_update_has_operator(name, regtype, regtype);
DROP FUNCTION ann_update_has_type(name, boolean);
DROP FUNCTION ann_update_has(regclass, oid);
