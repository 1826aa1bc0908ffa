-- Attributes: columns after the vector, to filter by. Operators: 1 <, 2 <=, 3 =, 4 >=, 5 >; of arrays
-- 6 &&, 7 @>. Types of one family are compared with each other.

DO $$
DECLARE
  method text;
  family text;
  types text[];
  own text;
  other text;
BEGIN
  FOREACH method IN ARRAY '{hnsw,ivf,ivfflat}'::text[] LOOP
    FOR family, types IN VALUES
      ('bool_ops', '{bool}'::text[]), ('integer_ops', '{int2,int4,int8}'), ('float_ops', '{float4,float8}'),
      ('numeric_ops', '{numeric}'), ('oid_ops', '{oid}'), ('uuid_ops', '{uuid}'), ('time_ops', '{time}'),
      ('datetime_ops', '{date,timestamp,timestamptz}'), ('enum_ops', '{anyenum}')
    LOOP
      EXECUTE format('CREATE OPERATOR FAMILY %I USING %I', family, method);
      EXECUTE format('COMMENT ON OPERATOR FAMILY %I USING %I IS %L', family, method, 'attributes in their order');
      FOREACH own IN ARRAY types LOOP
        EXECUTE format(
          'CREATE OPERATOR CLASS %2$I DEFAULT FOR TYPE %1$I USING %3$I FAMILY %4$I AS
             OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >',
          own, CASE own WHEN 'anyenum' THEN 'enum' ELSE own END || '_ops', method, family);
        EXECUTE format('COMMENT ON OPERATOR CLASS %I USING %I IS %L',
          CASE own WHEN 'anyenum' THEN 'enum' ELSE own END || '_ops', method, 'attribute in its order');
      END LOOP;
      FOREACH own IN ARRAY types LOOP
        FOREACH other IN ARRAY types LOOP
          CONTINUE WHEN own = other;
          EXECUTE format(
            'ALTER OPERATOR FAMILY %3$I USING %4$I ADD OPERATOR 1 < (%1$I, %2$I), OPERATOR 2 <= (%1$I, %2$I),
               OPERATOR 3 = (%1$I, %2$I), OPERATOR 4 >= (%1$I, %2$I), OPERATOR 5 > (%1$I, %2$I)',
            own, other, family, method);
        END LOOP;
      END LOOP;
    END LOOP;
    FOREACH own IN ARRAY '{text,bpchar}'::text[] LOOP
      EXECUTE format('CREATE OPERATOR CLASS %2$I DEFAULT FOR TYPE %1$I USING %3$I AS OPERATOR 3 =',
        own, own || '_ops', method);
      EXECUTE format('COMMENT ON OPERATOR CLASS %I USING %I IS %L', own || '_ops', method, 'attribute by its hash');
      EXECUTE format('COMMENT ON OPERATOR FAMILY %I USING %I IS %L', own || '_ops', method, 'attributes by their hash');
    END LOOP;
    EXECUTE format('CREATE OPERATOR CLASS array_ops DEFAULT FOR TYPE anyarray USING %I AS OPERATOR 6 &&, OPERATOR 7 @>', method);
    EXECUTE format('COMMENT ON OPERATOR CLASS array_ops USING %I IS %L', method, 'attribute by a signature of its elements');
    EXECUTE format('COMMENT ON OPERATOR FAMILY array_ops USING %I IS %L', method, 'attributes by a signature of their elements');
  END LOOP;
END
$$;

CREATE FUNCTION ann_add_citext() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  method text;
  type_schema name;
BEGIN
  SELECT n.nspname INTO type_schema
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_depend d ON d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
      AND d.refobjid OPERATOR(pg_catalog.=) e.oid AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_type'::pg_catalog.regclass
    JOIN pg_catalog.pg_type t ON t.oid OPERATOR(pg_catalog.=) d.objid JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) t.typnamespace
    WHERE e.extname OPERATOR(pg_catalog.=) 'citext' AND t.typname OPERATOR(pg_catalog.=) 'citext';
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = 'extension "citext" is not installed in this database';
  END IF;
  FOREACH method IN ARRAY '{hnsw,ivf,ivfflat}'::pg_catalog.text[] LOOP
    EXECUTE pg_catalog.format('CREATE OPERATOR CLASS %2$I.citext_ops DEFAULT FOR TYPE %2$I.citext USING %1$I AS
      OPERATOR 3 %2$I.= (%2$I.citext, %2$I.citext)', method, type_schema);
  END LOOP;
END
$$;
COMMENT ON FUNCTION ann_add_citext() IS 'create the operator classes by which citext columns can be attributes';
REVOKE ALL ON FUNCTION ann_add_citext() FROM PUBLIC;
