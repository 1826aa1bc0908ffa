-- functions that searches are made of

CREATE FUNCTION rrf_score(rank bigint, k double precision DEFAULT 60) RETURNS double precision
  AS 'MODULE_PATHNAME', 'ann_rrf_score' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 1;
COMMENT ON FUNCTION rrf_score(bigint, double precision) IS 'reciprocal rank fusion: what a rank in one list adds to a row''s score';

CREATE FUNCTION recommend_vector(positives vector[], negatives vector[] DEFAULT NULL) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_recommend_vector' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION recommend_vector(vector[], vector[]) IS 'a vector to search with for rows like the positive examples and unlike the negative ones';

CREATE FUNCTION recommend_score(vector, positives vector[], negatives vector[] DEFAULT NULL, metric text DEFAULT 'cosine')
  RETURNS double precision
  AS 'MODULE_PATHNAME', 'ann_recommend_score' LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION recommend_score(vector, vector[], vector[], text) IS 'how like the nearest positive example, and unlike the nearest negative one';

CREATE FUNCTION mmr(query vector, candidates vector[], k integer, lambda double precision DEFAULT 0.5, metric text DEFAULT 'cosine')
  RETURNS SETOF integer
  AS 'MODULE_PATHNAME', 'ann_mmr' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 10;
COMMENT ON FUNCTION mmr(vector, vector[], integer, double precision, text) IS 'maximal marginal relevance: positions of candidates near the query and unlike each other';

-- vectors to test with

CREATE FUNCTION random_unit_vector(dims integer) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_random_unit_vector' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED COST 10;
COMMENT ON FUNCTION random_unit_vector(integer) IS 'a vector of norm 1 in a random direction; setseed() sets the seed';

CREATE FUNCTION random_unit_vector(dims integer, seed bigint) RETURNS vector
  AS 'MODULE_PATHNAME', 'ann_random_unit_vector_of_seed' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 10;
COMMENT ON FUNCTION random_unit_vector(integer, bigint) IS 'the vector of norm 1 in the random direction that belongs to a seed';
