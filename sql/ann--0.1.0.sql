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

-- type vector

CREATE TYPE vector;
COMMENT ON TYPE vector IS 'vector of single-precision numbers';

CREATE FUNCTION vector_in(cstring, oid, integer) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_in(cstring, oid, integer) IS 'I/O';

CREATE FUNCTION vector_out(vector) RETURNS cstring
  AS 'MODULE_PATHNAME', 'ann_vector_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_out(vector) IS 'I/O';

CREATE FUNCTION vector_typmod_in(cstring[]) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_vector_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_typmod_in(cstring[]) IS 'I/O typmod';

CREATE FUNCTION vector_recv(internal, oid, integer) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_recv(internal, oid, integer) IS 'I/O';

CREATE FUNCTION vector_send(vector) RETURNS bytea
  AS 'MODULE_PATHNAME', 'ann_vector_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_send(vector) IS 'I/O';

CREATE TYPE vector (
  INPUT = vector_in,
  OUTPUT = vector_out,
  TYPMOD_IN = vector_typmod_in,
  RECEIVE = vector_recv,
  SEND = vector_send,
  STORAGE = external
);

-- functions of vector for everyone; a distance costs some 10 simple operators, so that cheaper filters of
-- the same query are applied first

CREATE FUNCTION l2_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_l2_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l2_distance(vector, vector) IS 'Euclidean distance';

CREATE FUNCTION inner_product(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION inner_product(vector, vector) IS 'inner product';

CREATE FUNCTION cosine_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION cosine_distance(vector, vector) IS 'cosine distance';

CREATE FUNCTION l1_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_l1_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l1_distance(vector, vector) IS 'taxicab distance';

CREATE FUNCTION vector_dims(vector) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_vector_dims' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_dims(vector) IS 'number of dimensions';

CREATE FUNCTION vector_norm(vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_norm(vector) IS 'Euclidean norm';

CREATE FUNCTION l2_normalize(vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_l2_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l2_normalize(vector) IS 'the vector divided by its Euclidean norm';

CREATE FUNCTION binary_quantize(vector) RETURNS bit
  AS 'MODULE_PATHNAME', 'ann_vector_binary_quantize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION binary_quantize(vector) IS 'one bit for each dimension, 1 where positive';

CREATE FUNCTION subvector(vector, integer, integer) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_subvector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION subvector(vector, integer, integer) IS 'elements from a position, of a number';

-- functions of vector behind operators, operator classes and aggregates

CREATE FUNCTION vector_add(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_add' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_add(vector, vector) IS 'implementation of + operator';

CREATE FUNCTION vector_sub(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_sub' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_sub(vector, vector) IS 'implementation of - operator';

CREATE FUNCTION vector_mul(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_mul' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_mul(vector, vector) IS 'implementation of * operator';

CREATE FUNCTION vector_concat(vector, vector) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_concat' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_concat(vector, vector) IS 'implementation of || operator';

CREATE FUNCTION vector_lt(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_lt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_lt(vector, vector) IS 'implementation of < operator';

CREATE FUNCTION vector_le(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_le' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_le(vector, vector) IS 'implementation of <= operator';

CREATE FUNCTION vector_eq(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_eq' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_eq(vector, vector) IS 'implementation of = operator';

CREATE FUNCTION vector_ne(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_ne' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_ne(vector, vector) IS 'implementation of <> operator';

CREATE FUNCTION vector_ge(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_ge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_ge(vector, vector) IS 'implementation of >= operator';

CREATE FUNCTION vector_gt(vector, vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_gt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_gt(vector, vector) IS 'implementation of > operator';

CREATE FUNCTION vector_cmp(vector, vector) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_vector_cmp' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_cmp(vector, vector) IS 'less-equal-greater';

CREATE FUNCTION vector_hash(vector) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_vector_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_hash(vector) IS 'hash';

CREATE FUNCTION vector_hash_extended(vector, bigint) RETURNS bigint
  AS 'MODULE_PATHNAME', 'ann_vector_hash_extended' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_hash_extended(vector, bigint) IS 'hash with seed';

CREATE FUNCTION vector_l2_squared_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_l2_squared_distance(vector, vector) IS 'squared Euclidean distance';

CREATE FUNCTION vector_negative_inner_product(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_negative_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_negative_inner_product(vector, vector) IS 'implementation of <#> operator';

CREATE FUNCTION vector_spherical_distance(vector, vector) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_vector_spherical_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_spherical_distance(vector, vector) IS 'angle of two unit vectors, in half turns';

CREATE FUNCTION vector_accum(double precision[], vector) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'ann_vector_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_accum(double precision[], vector) IS 'aggregate transition function';

CREATE FUNCTION vector_combine(double precision[], double precision[]) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'ann_vector_combine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_combine(double precision[], double precision[]) IS 'aggregate combine function';

CREATE FUNCTION vector_avg(double precision[]) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector_avg' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_avg(double precision[]) IS 'aggregate final function';

-- aggregates of vector

CREATE AGGREGATE avg(vector) (
  SFUNC = vector_accum,
  STYPE = double precision[],
  FINALFUNC = vector_avg,
  COMBINEFUNC = vector_combine,
  INITCOND = '{0}',
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(vector) IS 'the mean of each dimension over all rows';

CREATE AGGREGATE sum(vector) (
  SFUNC = vector_add,
  STYPE = vector,
  COMBINEFUNC = vector_add,
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(vector) IS 'the sum of each dimension over all rows';

-- casts of vector

CREATE FUNCTION vector(vector, integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector(vector, integer, boolean) IS 'checks the number of dimensions';

CREATE FUNCTION array_to_vector(integer[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_array_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_vector(integer[], integer, boolean) IS 'vector of a integer array';

CREATE FUNCTION array_to_vector(real[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_array_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_vector(real[], integer, boolean) IS 'vector of a real array';

CREATE FUNCTION array_to_vector(double precision[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_array_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_vector(double precision[], integer, boolean) IS 'vector of a double precision array';

CREATE FUNCTION array_to_vector(numeric[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_array_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_vector(numeric[], integer, boolean) IS 'vector of a numeric array';

CREATE FUNCTION vector_to_float4(vector, integer, boolean) RETURNS real[]
  AS 'MODULE_PATHNAME', 'ann_vector_to_float4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_to_float4(vector, integer, boolean) IS 'real array of a vector';

CREATE CAST (vector AS vector) WITH FUNCTION vector(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS vector) IS 'checks the number of dimensions';

CREATE CAST (vector AS real[]) WITH FUNCTION vector_to_float4(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS real[]) IS 'real array of a vector';

CREATE CAST (integer[] AS vector) WITH FUNCTION array_to_vector(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS vector) IS 'vector of a integer array';

CREATE CAST (real[] AS vector) WITH FUNCTION array_to_vector(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS vector) IS 'vector of a real array';

CREATE CAST (double precision[] AS vector) WITH FUNCTION array_to_vector(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS vector) IS 'vector of a double precision array';

CREATE CAST (numeric[] AS vector) WITH FUNCTION array_to_vector(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS vector) IS 'vector of a numeric array';

-- operators of vector

CREATE OPERATOR <-> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = l2_distance,
  COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (vector, vector) IS 'Euclidean distance';

CREATE OPERATOR <#> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_negative_inner_product,
  COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (vector, vector) IS 'negative inner product';

CREATE OPERATOR <=> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = cosine_distance,
  COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (vector, vector) IS 'cosine distance';

CREATE OPERATOR <+> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = l1_distance,
  COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (vector, vector) IS 'taxicab distance';

CREATE OPERATOR + (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_add,
  COMMUTATOR = +
);
COMMENT ON OPERATOR + (vector, vector) IS 'add';

CREATE OPERATOR - (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_sub
);
COMMENT ON OPERATOR - (vector, vector) IS 'subtract';

CREATE OPERATOR * (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_mul,
  COMMUTATOR = *
);
COMMENT ON OPERATOR * (vector, vector) IS 'multiply element by element';

CREATE OPERATOR || (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_concat
);
COMMENT ON OPERATOR || (vector, vector) IS 'concatenate';

CREATE OPERATOR < (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_lt,
  COMMUTATOR = >, NEGATOR = >=,
  RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (vector, vector) IS 'less than';

CREATE OPERATOR <= (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_le,
  COMMUTATOR = >=, NEGATOR = >,
  RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (vector, vector) IS 'less than or equal';

CREATE OPERATOR = (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_eq,
  COMMUTATOR = =, NEGATOR = <>,
  RESTRICT = eqsel, JOIN = eqjoinsel,
  HASHES, MERGES
);
COMMENT ON OPERATOR = (vector, vector) IS 'equal';

CREATE OPERATOR <> (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ne,
  COMMUTATOR = <>, NEGATOR = =,
  RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (vector, vector) IS 'not equal';

CREATE OPERATOR >= (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_ge,
  COMMUTATOR = <=, NEGATOR = <,
  RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (vector, vector) IS 'greater than or equal';

CREATE OPERATOR > (
  LEFTARG = vector, RIGHTARG = vector, FUNCTION = vector_gt,
  COMMUTATOR = <, NEGATOR = <=,
  RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (vector, vector) IS 'greater than';

-- operator classes of vector for btree and hash

CREATE OPERATOR CLASS vector_ops DEFAULT FOR TYPE vector USING btree AS
  OPERATOR 1 <,
  OPERATOR 2 <=,
  OPERATOR 3 =,
  OPERATOR 4 >=,
  OPERATOR 5 >,
  FUNCTION 1 vector_cmp(vector, vector);
COMMENT ON OPERATOR CLASS vector_ops USING btree IS 'order of vectors, value by value';
COMMENT ON OPERATOR FAMILY vector_ops USING btree IS 'order of vectors, value by value';

CREATE OPERATOR CLASS vector_ops DEFAULT FOR TYPE vector USING hash AS
  OPERATOR 1 =,
  FUNCTION 1 vector_hash(vector),
  FUNCTION 2 vector_hash_extended(vector, bigint);
COMMENT ON OPERATOR CLASS vector_ops USING hash IS 'equality of vectors';
COMMENT ON OPERATOR FAMILY vector_ops USING hash IS 'equality of vectors';

-- access methods

CREATE FUNCTION ann_hnsw_handler(internal) RETURNS index_am_handler
  AS 'MODULE_PATHNAME', 'ann_hnsw_handler' LANGUAGE C;
COMMENT ON FUNCTION ann_hnsw_handler(internal) IS 'handler of access method hnsw';

CREATE ACCESS METHOD hnsw TYPE INDEX HANDLER ann_hnsw_handler;
COMMENT ON ACCESS METHOD hnsw IS 'nearest neighbours by a graph of vector codes';

-- operator classes of vector for hnsw

CREATE OPERATOR CLASS vector_l2_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_l2_squared_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING hnsw IS 'Euclidean distance';
COMMENT ON OPERATOR FAMILY vector_l2_ops USING hnsw IS 'Euclidean distance';

CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_negative_inner_product(vector, vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING hnsw IS 'inner product, largest first';
COMMENT ON OPERATOR FAMILY vector_ip_ops USING hnsw IS 'inner product, largest first';

CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_negative_inner_product(vector, vector),
  FUNCTION 2 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING hnsw IS 'cosine distance';
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING hnsw IS 'cosine distance';

CREATE OPERATOR CLASS vector_l1_ops FOR TYPE vector USING hnsw AS
  OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 l1_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l1_ops USING hnsw IS 'taxicab distance';
COMMENT ON OPERATOR FAMILY vector_l1_ops USING hnsw IS 'taxicab distance';

-- access methods ivf and ivfflat

CREATE FUNCTION ann_ivf_handler(internal) RETURNS index_am_handler
  AS 'MODULE_PATHNAME', 'ann_ivf_handler' LANGUAGE C;
COMMENT ON FUNCTION ann_ivf_handler(internal) IS 'handler of access method ivf';

CREATE ACCESS METHOD ivf TYPE INDEX HANDLER ann_ivf_handler;
COMMENT ON ACCESS METHOD ivf IS 'nearest neighbours by lists of vector codes';

CREATE FUNCTION ann_ivfflat_handler(internal) RETURNS index_am_handler
  AS 'MODULE_PATHNAME', 'ann_ivfflat_handler' LANGUAGE C;
COMMENT ON FUNCTION ann_ivfflat_handler(internal) IS 'handler of access method ivfflat';

CREATE ACCESS METHOD ivfflat TYPE INDEX HANDLER ann_ivfflat_handler;
COMMENT ON ACCESS METHOD ivfflat IS 'nearest neighbours by lists of vectors';

-- operator classes of vector for ivf and ivfflat

CREATE OPERATOR CLASS vector_l2_ops FOR TYPE vector USING ivf AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_l2_squared_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING ivf IS 'Euclidean distance';
COMMENT ON OPERATOR FAMILY vector_l2_ops USING ivf IS 'Euclidean distance';

CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING ivf AS
  OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_negative_inner_product(vector, vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING ivf IS 'inner product, largest first';
COMMENT ON OPERATOR FAMILY vector_ip_ops USING ivf IS 'inner product, largest first';

CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING ivf AS
  OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_negative_inner_product(vector, vector),
  FUNCTION 2 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING ivf IS 'cosine distance';
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING ivf IS 'cosine distance';

CREATE OPERATOR CLASS vector_l2_ops DEFAULT FOR TYPE vector USING ivfflat AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_l2_squared_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING ivfflat IS 'Euclidean distance';
COMMENT ON OPERATOR FAMILY vector_l2_ops USING ivfflat IS 'Euclidean distance';

CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING ivfflat AS
  OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_negative_inner_product(vector, vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING ivfflat IS 'inner product, largest first';
COMMENT ON OPERATOR FAMILY vector_ip_ops USING ivfflat IS 'inner product, largest first';

CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING ivfflat AS
  OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
  FUNCTION 1 vector_negative_inner_product(vector, vector),
  FUNCTION 2 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING ivfflat IS 'cosine distance';
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING ivfflat IS 'cosine distance';

-- inspection

CREATE FUNCTION ann_index_check(index regclass) RETURNS void
  AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_index_check(regclass) IS 'prove the invariants of an hnsw or ivf index; writers wait';
REVOKE ALL ON FUNCTION ann_index_check(regclass) FROM PUBLIC;

CREATE FUNCTION ann_retrain(index regclass) RETURNS void
  AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ann_retrain(regclass) IS 'find lists for an ivf index anew; readers and writers go on';

CREATE FUNCTION ann_index_stats(
  index regclass,
  OUT format_version int, OUT dims int, OUT metric text,
  OUT m int, OUT ef_construction int, OUT default_ef int,
  OUT traversal_bits int, OUT refinement_bits int, OUT levels int,
  OUT nodes bigint, OUT rows bigint, OUT dead_slots bigint, OUT free_slots bigint,
  OUT upper_records bigint, OUT chain_chunks bigint,
  OUT average_degree float8, OUT unreachable bigint,
  OUT node_pages bigint, OUT refinement_pages bigint, OUT upper_pages bigint,
  OUT chain_pages bigint, OUT spare_pages bigint, OUT bytes bigint,
  OUT epoch bigint, OUT mean_rows bigint, OUT recentring bool,
  OUT quantizer text, OUT lists int, OUT empty_lists int, OUT largest_list bigint, OUT imbalance float8,
  OUT drift float8, OUT code_pages bigint, OUT record_pages bigint, OUT list_pages bigint,
  OUT smallest_list bigint, OUT median_list bigint, OUT largest_share float8, OUT dead_share float8,
  OUT mean_square float8, OUT trained_mean_square float8
) AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_index_stats(regclass) IS 'what an hnsw or ivf index consists of';
