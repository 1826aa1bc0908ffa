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
  OPERATOR 2 <<->> (vector, sphere_vector),
  FUNCTION 1 vector_l2_squared_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING ivf IS 'Euclidean distance';
COMMENT ON OPERATOR FAMILY vector_l2_ops USING ivf IS 'Euclidean distance';

CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING ivf AS
  OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
  OPERATOR 2 <<#>> (vector, sphere_vector),
  FUNCTION 1 vector_negative_inner_product(vector, vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING ivf IS 'inner product, largest first';
COMMENT ON OPERATOR FAMILY vector_ip_ops USING ivf IS 'inner product, largest first';

CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING ivf AS
  OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
  OPERATOR 2 <<=>> (vector, sphere_vector),
  FUNCTION 1 vector_negative_inner_product(vector, vector),
  FUNCTION 2 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING ivf IS 'cosine distance';
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING ivf IS 'cosine distance';

CREATE OPERATOR CLASS vector_l2_ops DEFAULT FOR TYPE vector USING ivfflat AS
  OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
  OPERATOR 2 <<->> (vector, sphere_vector),
  FUNCTION 1 vector_l2_squared_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING ivfflat IS 'Euclidean distance';
COMMENT ON OPERATOR FAMILY vector_l2_ops USING ivfflat IS 'Euclidean distance';

CREATE OPERATOR CLASS vector_ip_ops FOR TYPE vector USING ivfflat AS
  OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
  OPERATOR 2 <<#>> (vector, sphere_vector),
  FUNCTION 1 vector_negative_inner_product(vector, vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING ivfflat IS 'inner product, largest first';
COMMENT ON OPERATOR FAMILY vector_ip_ops USING ivfflat IS 'inner product, largest first';

CREATE OPERATOR CLASS vector_cosine_ops FOR TYPE vector USING ivfflat AS
  OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
  OPERATOR 2 <<=>> (vector, sphere_vector),
  FUNCTION 1 vector_negative_inner_product(vector, vector),
  FUNCTION 2 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING ivfflat IS 'cosine distance';
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING ivfflat IS 'cosine distance';

-- operator classes of halfvec for ivf and ivfflat

CREATE OPERATOR CLASS halfvec_l2_ops FOR TYPE halfvec USING ivf AS
  OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
  OPERATOR 2 <<->> (halfvec, sphere_halfvec),
  FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec);
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING ivf IS 'Euclidean distance';
COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING ivf IS 'Euclidean distance';

CREATE OPERATOR CLASS halfvec_ip_ops FOR TYPE halfvec USING ivf AS
  OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
  OPERATOR 2 <<#>> (halfvec, sphere_halfvec),
  FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec);
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING ivf IS 'inner product, largest first';
COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING ivf IS 'inner product, largest first';

CREATE OPERATOR CLASS halfvec_cosine_ops FOR TYPE halfvec USING ivf AS
  OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
  OPERATOR 2 <<=>> (halfvec, sphere_halfvec),
  FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
  FUNCTION 2 l2_norm(halfvec);
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING ivf IS 'cosine distance';
COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING ivf IS 'cosine distance';

CREATE OPERATOR CLASS halfvec_l2_ops FOR TYPE halfvec USING ivfflat AS
  OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
  OPERATOR 2 <<->> (halfvec, sphere_halfvec),
  FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec);
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING ivfflat IS 'Euclidean distance';
COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING ivfflat IS 'Euclidean distance';

CREATE OPERATOR CLASS halfvec_ip_ops FOR TYPE halfvec USING ivfflat AS
  OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
  OPERATOR 2 <<#>> (halfvec, sphere_halfvec),
  FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec);
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING ivfflat IS 'inner product, largest first';
COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING ivfflat IS 'inner product, largest first';

CREATE OPERATOR CLASS halfvec_cosine_ops FOR TYPE halfvec USING ivfflat AS
  OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
  OPERATOR 2 <<=>> (halfvec, sphere_halfvec),
  FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
  FUNCTION 2 l2_norm(halfvec);
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING ivfflat IS 'cosine distance';
COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING ivfflat IS 'cosine distance';

-- operator classes of bit for ivf and ivfflat

CREATE OPERATOR CLASS bit_hamming_ops FOR TYPE bit USING ivf AS
  OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
  FUNCTION 1 hamming_distance(bit, bit);
COMMENT ON OPERATOR CLASS bit_hamming_ops USING ivf IS 'Hamming distance';
COMMENT ON OPERATOR FAMILY bit_hamming_ops USING ivf IS 'Hamming distance';

CREATE OPERATOR CLASS bit_hamming_ops FOR TYPE bit USING ivfflat AS
  OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
  FUNCTION 1 hamming_distance(bit, bit);
COMMENT ON OPERATOR CLASS bit_hamming_ops USING ivfflat IS 'Hamming distance';
COMMENT ON OPERATOR FAMILY bit_hamming_ops USING ivfflat IS 'Hamming distance';
