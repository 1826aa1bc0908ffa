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

CREATE FUNCTION vector_subscript(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'ann_vector_subscript' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_subscript(internal) IS 'subscripting';

CREATE TYPE vector (
  INPUT = vector_in,
  OUTPUT = vector_out,
  TYPMOD_IN = vector_typmod_in,
  RECEIVE = vector_recv,
  SEND = vector_send,
  SUBSCRIPT = vector_subscript,
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

CREATE FUNCTION array_to_vector(text[], integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_array_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_vector(text[], integer, boolean) IS 'vector of a text array';

CREATE FUNCTION jsonb_to_vector(jsonb, integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_jsonb_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION jsonb_to_vector(jsonb, integer, boolean) IS 'vector of a jsonb array';

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

CREATE CAST (text[] AS vector) WITH FUNCTION array_to_vector(text[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (text[] AS vector) IS 'vector of a text array';

CREATE CAST (jsonb AS vector) WITH FUNCTION jsonb_to_vector(jsonb, integer, boolean);
COMMENT ON CAST (jsonb AS vector) IS 'vector of a jsonb array';

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
