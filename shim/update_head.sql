-- Turns pgvector's extension into ann, in place. What pgvector has made stays, by its oid, so that tables,
-- views and indexes keep what they refer to: functions get other code, the rest is made where it is missing.
\echo Use "ALTER EXTENSION vector UPDATE" to load this file. \quit

-- Whether the extension itself has an object. One that a user has made under the same name does not count:
-- then creating ours is the error that it should be.
CREATE FUNCTION ann_update_has(class regclass, object oid) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    WHERE e.extname = 'vector' AND d.classid = class AND d.objid = object AND d.deptype = 'e') $$;

CREATE FUNCTION ann_update_has_type(type name, is_whole boolean) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT FROM pg_type WHERE typname = type AND typnamespace = quote_ident(current_schema())::regnamespace
    AND (typisdefined OR NOT is_whole) AND ann_update_has('pg_type', oid)) $$;

-- One that another has named as its commutator or negator is no more than a name yet.
CREATE FUNCTION ann_update_has_operator(operator name, left_type regtype, right_type regtype) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT FROM pg_operator WHERE oprname = operator AND oprleft = left_type AND oprright = right_type
    AND oprcode <> 0 AND ann_update_has('pg_operator', oid)) $$;

CREATE FUNCTION ann_update_has_class(class name, method name) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT FROM pg_opclass c JOIN pg_am a ON a.oid = c.opcmethod WHERE opcname = class AND amname = method
    AND ann_update_has('pg_opclass', c.oid)) $$;

CREATE FUNCTION ann_update_has_method(method name) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT FROM pg_am WHERE amname = method AND ann_update_has('pg_am', oid)) $$;

-- A cast of the user's own is left alone: there can be only one, and it does what it is used for.
CREATE FUNCTION ann_update_has_cast(source regtype, target regtype) RETURNS boolean LANGUAGE sql STABLE AS
$$ SELECT EXISTS (SELECT FROM pg_cast WHERE castsource = source AND casttarget = target) $$;

-- What pgvector has and ann names otherwise or has not
CREATE OR REPLACE FUNCTION hnswhandler(internal) RETURNS index_am_handler
  AS 'MODULE_PATHNAME', 'ann_hnsw_handler' LANGUAGE C;
CREATE OR REPLACE FUNCTION ivfflathandler(internal) RETURNS index_am_handler
  AS 'MODULE_PATHNAME', 'ann_ivfflat_handler' LANGUAGE C;
DO $$
DECLARE
  support regprocedure;
BEGIN
  -- Operator classes have these since 0.7.0, and cannot lose them.
  FOR support IN
    SELECT oid::regprocedure FROM pg_proc
    WHERE proname IN ('hnsw_halfvec_support', 'hnsw_bit_support', 'hnsw_sparsevec_support',
                      'ivfflat_halfvec_support', 'ivfflat_bit_support') AND ann_update_has('pg_proc', oid)
  LOOP
    EXECUTE format('CREATE OR REPLACE FUNCTION %s RETURNS internal AS %L, %L LANGUAGE C',
                   support, 'MODULE_PATHNAME', 'ann_pgvector_support');
  END LOOP;
  -- Before 0.6.1 subtraction was its own commutator.
  IF EXISTS (SELECT FROM pg_operator WHERE oprname = '-' AND oprleft = 'vector'::regtype AND oprcom <> 0) THEN
    DROP OPERATOR - (vector, vector);
  END IF;
END
$$;
