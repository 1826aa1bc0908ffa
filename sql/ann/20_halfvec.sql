-- type halfvec

CREATE TYPE halfvec;
COMMENT ON TYPE halfvec IS 'vector of half-precision numbers';

CREATE FUNCTION halfvec_in(cstring, oid, integer) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_in(cstring, oid, integer) IS 'I/O';

CREATE FUNCTION halfvec_out(halfvec) RETURNS cstring
  AS 'MODULE_PATHNAME', 'ann_halfvec_out' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_out(halfvec) IS 'I/O';

CREATE FUNCTION halfvec_typmod_in(cstring[]) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_halfvec_typmod_in' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_typmod_in(cstring[]) IS 'I/O typmod';

CREATE FUNCTION halfvec_recv(internal, oid, integer) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_recv' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_recv(internal, oid, integer) IS 'I/O';

CREATE FUNCTION halfvec_send(halfvec) RETURNS bytea
  AS 'MODULE_PATHNAME', 'ann_halfvec_send' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_send(halfvec) IS 'I/O';

CREATE FUNCTION halfvec_subscript(internal) RETURNS internal
  AS 'MODULE_PATHNAME', 'ann_halfvec_subscript' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_subscript(internal) IS 'subscripting';

CREATE TYPE halfvec (
  INPUT = halfvec_in,
  OUTPUT = halfvec_out,
  TYPMOD_IN = halfvec_typmod_in,
  RECEIVE = halfvec_recv,
  SEND = halfvec_send,
  SUBSCRIPT = halfvec_subscript,
  STORAGE = external
);

-- functions of halfvec for everyone; a distance costs some 10 simple operators, so that cheaper filters of
-- the same query are applied first

CREATE FUNCTION l2_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_l2_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l2_distance(halfvec, halfvec) IS 'Euclidean distance';

CREATE FUNCTION inner_product(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION inner_product(halfvec, halfvec) IS 'inner product';

CREATE FUNCTION cosine_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_cosine_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION cosine_distance(halfvec, halfvec) IS 'cosine distance';

CREATE FUNCTION l1_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_l1_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l1_distance(halfvec, halfvec) IS 'taxicab distance';

CREATE FUNCTION vector_dims(halfvec) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_halfvec_dims' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_dims(halfvec) IS 'number of dimensions';

CREATE FUNCTION l2_norm(halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_norm' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l2_norm(halfvec) IS 'Euclidean norm';

CREATE FUNCTION l2_normalize(halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_l2_normalize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION l2_normalize(halfvec) IS 'the vector divided by its Euclidean norm';

CREATE FUNCTION binary_quantize(halfvec) RETURNS bit
  AS 'MODULE_PATHNAME', 'ann_halfvec_binary_quantize' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION binary_quantize(halfvec) IS 'one bit for each dimension, 1 where positive';

CREATE FUNCTION subvector(halfvec, integer, integer) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_subvector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION subvector(halfvec, integer, integer) IS 'elements from a position, of a number';

-- functions of halfvec behind operators, operator classes and aggregates

CREATE FUNCTION halfvec_add(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_add' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_add(halfvec, halfvec) IS 'implementation of + operator';

CREATE FUNCTION halfvec_sub(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_sub' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_sub(halfvec, halfvec) IS 'implementation of - operator';

CREATE FUNCTION halfvec_mul(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_mul' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_mul(halfvec, halfvec) IS 'implementation of * operator';

CREATE FUNCTION halfvec_concat(halfvec, halfvec) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_concat' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_concat(halfvec, halfvec) IS 'implementation of || operator';

CREATE FUNCTION halfvec_lt(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_lt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_lt(halfvec, halfvec) IS 'implementation of < operator';

CREATE FUNCTION halfvec_le(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_le' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_le(halfvec, halfvec) IS 'implementation of <= operator';

CREATE FUNCTION halfvec_eq(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_eq' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_eq(halfvec, halfvec) IS 'implementation of = operator';

CREATE FUNCTION halfvec_ne(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_ne' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_ne(halfvec, halfvec) IS 'implementation of <> operator';

CREATE FUNCTION halfvec_ge(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_ge' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_ge(halfvec, halfvec) IS 'implementation of >= operator';

CREATE FUNCTION halfvec_gt(halfvec, halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_gt' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_gt(halfvec, halfvec) IS 'implementation of > operator';

CREATE FUNCTION halfvec_cmp(halfvec, halfvec) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_halfvec_cmp' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_cmp(halfvec, halfvec) IS 'less-equal-greater';

CREATE FUNCTION halfvec_hash(halfvec) RETURNS integer
  AS 'MODULE_PATHNAME', 'ann_halfvec_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_hash(halfvec) IS 'hash';

CREATE FUNCTION halfvec_hash_extended(halfvec, bigint) RETURNS bigint
  AS 'MODULE_PATHNAME', 'ann_halfvec_hash_extended' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_hash_extended(halfvec, bigint) IS 'hash with seed';

CREATE FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_l2_squared_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_l2_squared_distance(halfvec, halfvec) IS 'squared Euclidean distance';

CREATE FUNCTION halfvec_negative_inner_product(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_negative_inner_product' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_negative_inner_product(halfvec, halfvec) IS 'implementation of <#> operator';

CREATE FUNCTION halfvec_spherical_distance(halfvec, halfvec) RETURNS float8
  AS 'MODULE_PATHNAME', 'ann_halfvec_spherical_distance' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_spherical_distance(halfvec, halfvec) IS 'angle of two unit vectors, in half turns';

CREATE FUNCTION halfvec_accum(double precision[], halfvec) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'ann_halfvec_accum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_accum(double precision[], halfvec) IS 'aggregate transition function';

CREATE FUNCTION halfvec_combine(double precision[], double precision[]) RETURNS double precision[]
  AS 'MODULE_PATHNAME', 'ann_vector_combine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_combine(double precision[], double precision[]) IS 'aggregate combine function';

CREATE FUNCTION halfvec_avg(double precision[]) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_avg' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_avg(double precision[]) IS 'aggregate final function';

CREATE FUNCTION halfvec_sum(double precision[]) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec_sum' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_sum(double precision[]) IS 'aggregate final function';

-- aggregates of halfvec

CREATE AGGREGATE avg(halfvec) (
  SFUNC = halfvec_accum,
  STYPE = double precision[],
  FINALFUNC = halfvec_avg,
  COMBINEFUNC = halfvec_combine,
  INITCOND = '{0}',
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE avg(halfvec) IS 'the mean of each dimension over all rows';

CREATE AGGREGATE sum(halfvec) (
  SFUNC = halfvec_accum,
  STYPE = double precision[],
  FINALFUNC = halfvec_sum,
  COMBINEFUNC = halfvec_combine,
  INITCOND = '{0}',
  PARALLEL = SAFE
);
COMMENT ON AGGREGATE sum(halfvec) IS 'the sum of each dimension over all rows';

-- casts of halfvec

CREATE FUNCTION halfvec(halfvec, integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec(halfvec, integer, boolean) IS 'checks the number of dimensions';

CREATE FUNCTION halfvec_to_vector(halfvec, integer, boolean) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_halfvec_to_vector' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_to_vector(halfvec, integer, boolean) IS 'vector of a halfvec';

CREATE FUNCTION vector_to_halfvec(vector, integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_vector_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION vector_to_halfvec(vector, integer, boolean) IS 'halfvec of a vector';

CREATE FUNCTION array_to_halfvec(integer[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_array_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_halfvec(integer[], integer, boolean) IS 'halfvec of an array of integer';

CREATE FUNCTION array_to_halfvec(real[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_array_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_halfvec(real[], integer, boolean) IS 'halfvec of an array of real';

CREATE FUNCTION array_to_halfvec(double precision[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_array_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_halfvec(double precision[], integer, boolean) IS 'halfvec of an array of double precision';

CREATE FUNCTION array_to_halfvec(numeric[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_array_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_halfvec(numeric[], integer, boolean) IS 'halfvec of an array of numeric';

CREATE FUNCTION array_to_halfvec(text[], integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_array_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION array_to_halfvec(text[], integer, boolean) IS 'halfvec of an array of text';

CREATE FUNCTION jsonb_to_halfvec(jsonb, integer, boolean) RETURNS halfvec
  AS 'MODULE_PATHNAME', 'ann_jsonb_to_halfvec' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION jsonb_to_halfvec(jsonb, integer, boolean) IS 'halfvec of a jsonb array';

CREATE FUNCTION halfvec_to_float4(halfvec, integer, boolean) RETURNS real[]
  AS 'MODULE_PATHNAME', 'ann_halfvec_to_float4' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION halfvec_to_float4(halfvec, integer, boolean) IS 'real array of a halfvec';

CREATE CAST (halfvec AS halfvec) WITH FUNCTION halfvec(halfvec, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (halfvec AS halfvec) IS 'checks the number of dimensions';

CREATE CAST (halfvec AS vector) WITH FUNCTION halfvec_to_vector(halfvec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (halfvec AS vector) IS 'vector of a halfvec';

CREATE CAST (vector AS halfvec) WITH FUNCTION vector_to_halfvec(vector, integer, boolean) AS IMPLICIT;
COMMENT ON CAST (vector AS halfvec) IS 'halfvec of a vector';

CREATE CAST (halfvec AS real[]) WITH FUNCTION halfvec_to_float4(halfvec, integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (halfvec AS real[]) IS 'real array of a halfvec';

CREATE CAST (integer[] AS halfvec) WITH FUNCTION array_to_halfvec(integer[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (integer[] AS halfvec) IS 'halfvec of an array of integer';

CREATE CAST (real[] AS halfvec) WITH FUNCTION array_to_halfvec(real[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (real[] AS halfvec) IS 'halfvec of an array of real';

CREATE CAST (double precision[] AS halfvec) WITH FUNCTION array_to_halfvec(double precision[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (double precision[] AS halfvec) IS 'halfvec of an array of double precision';

CREATE CAST (numeric[] AS halfvec) WITH FUNCTION array_to_halfvec(numeric[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (numeric[] AS halfvec) IS 'halfvec of an array of numeric';

CREATE CAST (text[] AS halfvec) WITH FUNCTION array_to_halfvec(text[], integer, boolean) AS ASSIGNMENT;
COMMENT ON CAST (text[] AS halfvec) IS 'halfvec of an array of text';

CREATE CAST (jsonb AS halfvec) WITH FUNCTION jsonb_to_halfvec(jsonb, integer, boolean);
COMMENT ON CAST (jsonb AS halfvec) IS 'halfvec of a jsonb array';

-- operators of halfvec

CREATE OPERATOR <-> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l2_distance,
  COMMUTATOR = <->
);
COMMENT ON OPERATOR <-> (halfvec, halfvec) IS 'Euclidean distance';

CREATE OPERATOR <#> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_negative_inner_product,
  COMMUTATOR = <#>
);
COMMENT ON OPERATOR <#> (halfvec, halfvec) IS 'negative inner product';

CREATE OPERATOR <=> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = cosine_distance,
  COMMUTATOR = <=>
);
COMMENT ON OPERATOR <=> (halfvec, halfvec) IS 'cosine distance';

CREATE OPERATOR <+> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = l1_distance,
  COMMUTATOR = <+>
);
COMMENT ON OPERATOR <+> (halfvec, halfvec) IS 'taxicab distance';

CREATE OPERATOR + (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_add,
  COMMUTATOR = +
);
COMMENT ON OPERATOR + (halfvec, halfvec) IS 'add';

CREATE OPERATOR - (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_sub
);
COMMENT ON OPERATOR - (halfvec, halfvec) IS 'subtract';

CREATE OPERATOR * (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_mul,
  COMMUTATOR = *
);
COMMENT ON OPERATOR * (halfvec, halfvec) IS 'multiply element by element';

CREATE OPERATOR || (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_concat
);
COMMENT ON OPERATOR || (halfvec, halfvec) IS 'concatenate';

CREATE OPERATOR < (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_lt,
  COMMUTATOR = >, NEGATOR = >=,
  RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (halfvec, halfvec) IS 'less than';

CREATE OPERATOR <= (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_le,
  COMMUTATOR = >=, NEGATOR = >,
  RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (halfvec, halfvec) IS 'less than or equal';

CREATE OPERATOR = (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_eq,
  COMMUTATOR = =, NEGATOR = <>,
  RESTRICT = eqsel, JOIN = eqjoinsel,
  HASHES, MERGES
);
COMMENT ON OPERATOR = (halfvec, halfvec) IS 'equal';

CREATE OPERATOR <> (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ne,
  COMMUTATOR = <>, NEGATOR = =,
  RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (halfvec, halfvec) IS 'not equal';

CREATE OPERATOR >= (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_ge,
  COMMUTATOR = <=, NEGATOR = <,
  RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (halfvec, halfvec) IS 'greater than or equal';

CREATE OPERATOR > (
  LEFTARG = halfvec, RIGHTARG = halfvec, FUNCTION = halfvec_gt,
  COMMUTATOR = <, NEGATOR = <=,
  RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (halfvec, halfvec) IS 'greater than';

-- operator classes of halfvec for btree and hash

CREATE OPERATOR CLASS halfvec_ops DEFAULT FOR TYPE halfvec USING btree AS
  OPERATOR 1 <,
  OPERATOR 2 <=,
  OPERATOR 3 =,
  OPERATOR 4 >=,
  OPERATOR 5 >,
  FUNCTION 1 halfvec_cmp(halfvec, halfvec);
COMMENT ON OPERATOR CLASS halfvec_ops USING btree IS 'order of vectors, value by value';
COMMENT ON OPERATOR FAMILY halfvec_ops USING btree IS 'order of vectors, value by value';

CREATE OPERATOR CLASS halfvec_ops DEFAULT FOR TYPE halfvec USING hash AS
  OPERATOR 1 =,
  FUNCTION 1 halfvec_hash(halfvec),
  FUNCTION 2 halfvec_hash_extended(halfvec, bigint);
COMMENT ON OPERATOR CLASS halfvec_ops USING hash IS 'equality of vectors';
COMMENT ON OPERATOR FAMILY halfvec_ops USING hash IS 'equality of vectors';
