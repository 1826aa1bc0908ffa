-- spheres: range search

CREATE TYPE sphere_vector AS (center vector, radius double precision);
COMMENT ON TYPE sphere_vector IS 'the vectors nearer to a center than a radius';

CREATE FUNCTION sphere(vector, double precision) RETURNS sphere_vector
  AS 'MODULE_PATHNAME', 'ann_sphere' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION sphere(vector, double precision) IS 'sphere of a center and a radius';

CREATE TYPE sphere_halfvec AS (center halfvec, radius double precision);
COMMENT ON TYPE sphere_halfvec IS 'the halfvecs nearer to a center than a radius';

CREATE FUNCTION sphere(halfvec, double precision) RETURNS sphere_halfvec
  AS 'MODULE_PATHNAME', 'ann_sphere' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1;
COMMENT ON FUNCTION sphere(halfvec, double precision) IS 'sphere of a center and a radius';

-- A literal fits every sphere() and would be ambiguous; of several candidates PostgreSQL takes the one of text.
CREATE FUNCTION sphere(text, double precision) RETURNS sphere_vector
  LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 1 RETURN sphere($1::vector, $2);
COMMENT ON FUNCTION sphere(text, double precision) IS 'sphere of a center, a literal, and a radius';

-- The cast is written as its function: pg_upgrade restores functions before casts.
CREATE FUNCTION sphere_vector_to_sphere_halfvec(sphere_vector) RETURNS sphere_halfvec
  LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 1 RETURN sphere(vector_to_halfvec($1.center, -1, true), $1.radius);
COMMENT ON FUNCTION sphere_vector_to_sphere_halfvec(sphere_vector) IS 'sphere of halfvecs around the same center';

CREATE CAST (sphere_vector AS sphere_halfvec) WITH FUNCTION sphere_vector_to_sphere_halfvec(sphere_vector) AS IMPLICIT;
COMMENT ON CAST (sphere_vector AS sphere_halfvec) IS 'sphere of halfvecs around the same center';

CREATE FUNCTION sphere_selectivity(internal, oid, internal, integer) RETURNS double precision
  AS 'MODULE_PATHNAME', 'ann_sphere_selectivity' LANGUAGE C STABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sphere_selectivity(internal, oid, internal, integer) IS 'restriction selectivity of range search';

CREATE FUNCTION vector_within_l2(vector, sphere_vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_within_l2' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_within_l2(vector, sphere_vector) IS 'implementation of <<->> operator';

CREATE OPERATOR <<->> (
  LEFTARG = vector, RIGHTARG = sphere_vector, FUNCTION = vector_within_l2,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<->> (vector, sphere_vector) IS 'Euclidean distance less than the radius';

CREATE FUNCTION vector_within_ip(vector, sphere_vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_within_ip' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_within_ip(vector, sphere_vector) IS 'implementation of <<#>> operator';

CREATE OPERATOR <<#>> (
  LEFTARG = vector, RIGHTARG = sphere_vector, FUNCTION = vector_within_ip,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<#>> (vector, sphere_vector) IS 'negative inner product less than the radius';

CREATE FUNCTION vector_within_cosine(vector, sphere_vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_within_cosine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_within_cosine(vector, sphere_vector) IS 'implementation of <<=>> operator';

CREATE OPERATOR <<=>> (
  LEFTARG = vector, RIGHTARG = sphere_vector, FUNCTION = vector_within_cosine,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<=>> (vector, sphere_vector) IS 'cosine distance less than the radius';

CREATE FUNCTION vector_within_l1(vector, sphere_vector) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_vector_within_l1' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION vector_within_l1(vector, sphere_vector) IS 'implementation of <<+>> operator';

CREATE OPERATOR <<+>> (
  LEFTARG = vector, RIGHTARG = sphere_vector, FUNCTION = vector_within_l1,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<+>> (vector, sphere_vector) IS 'taxicab distance less than the radius';

CREATE FUNCTION halfvec_within_l2(halfvec, sphere_halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_within_l2' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_within_l2(halfvec, sphere_halfvec) IS 'implementation of <<->> operator';

CREATE OPERATOR <<->> (
  LEFTARG = halfvec, RIGHTARG = sphere_halfvec, FUNCTION = halfvec_within_l2,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<->> (halfvec, sphere_halfvec) IS 'Euclidean distance less than the radius';

CREATE FUNCTION halfvec_within_ip(halfvec, sphere_halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_within_ip' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_within_ip(halfvec, sphere_halfvec) IS 'implementation of <<#>> operator';

CREATE OPERATOR <<#>> (
  LEFTARG = halfvec, RIGHTARG = sphere_halfvec, FUNCTION = halfvec_within_ip,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<#>> (halfvec, sphere_halfvec) IS 'negative inner product less than the radius';

CREATE FUNCTION halfvec_within_cosine(halfvec, sphere_halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_within_cosine' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_within_cosine(halfvec, sphere_halfvec) IS 'implementation of <<=>> operator';

CREATE OPERATOR <<=>> (
  LEFTARG = halfvec, RIGHTARG = sphere_halfvec, FUNCTION = halfvec_within_cosine,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<=>> (halfvec, sphere_halfvec) IS 'cosine distance less than the radius';

CREATE FUNCTION halfvec_within_l1(halfvec, sphere_halfvec) RETURNS boolean
  AS 'MODULE_PATHNAME', 'ann_halfvec_within_l1' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION halfvec_within_l1(halfvec, sphere_halfvec) IS 'implementation of <<+>> operator';

CREATE OPERATOR <<+>> (
  LEFTARG = halfvec, RIGHTARG = sphere_halfvec, FUNCTION = halfvec_within_l1,
  RESTRICT = sphere_selectivity, JOIN = contjoinsel
);
COMMENT ON OPERATOR <<+>> (halfvec, sphere_halfvec) IS 'taxicab distance less than the radius';
