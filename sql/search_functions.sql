-- Functions that searches are made of: fused ranks, recommendation, diversity; and the statements that RECIPES.md gives for
-- hybrid search and the best rows of each category.
\set SHOW_CONTEXT never
CREATE FUNCTION random_vector(dims int) RETURNS vector
  LANGUAGE sql VOLATILE AS $$ SELECT array_agg(random()::real - 0.5)::vector FROM generate_series(1, dims) $$;
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
    IF line ~ '(Scan|Join|Loop|Limit|Order By|Index Cond)' THEN
      -- As PostgreSQL 17 and later name it
      RETURN NEXT regexp_replace(regexp_replace(line, '->  ', ''), '\(InitPlan 1\)\.col1', '$0');
    END IF;
  END LOOP;
END $$;

-- rank fusion
SELECT rrf_score(1), rrf_score(1, 0), rrf_score(4, 1), rrf_score(2, 0.5), rrf_score(NULL), rrf_score(1, NULL), rrf_score(9223372036854775807) > 0 AS positive;
\set VERBOSITY sqlstate
SELECT rrf_score(0);
SELECT rrf_score(-5);
SELECT rrf_score(1, -1);
SELECT rrf_score(1, 'NaN');
SELECT rrf_score(1, 'Infinity');
\set VERBOSITY default
SELECT rrf_score(0);
SELECT rrf_score(1, -1);

-- hybrid search: both indexes are used, and rows of equal score come in order of their key
SELECT setseed(0.6);
CREATE TABLE docs (id int PRIMARY KEY, category int, body text, embedding vector(8),
  words tsvector GENERATED ALWAYS AS (to_tsvector('english', body)) STORED);
INSERT INTO docs (id, category, body, embedding)
SELECT i, i % 20, concat_ws(' ', 'document', CASE WHEN i % 97 = 0 THEN 'rare' END, CASE WHEN i % 5 = 0 THEN 'common' END, CASE WHEN i % 485 = 0 THEN 'rare rare' END), random_vector(8 + 0 * i)
FROM generate_series(1, 10000) i;
CREATE INDEX docs_embedding ON docs USING hnsw (embedding vector_cosine_ops);
CREATE INDEX docs_words ON docs USING gin (words);
CREATE INDEX docs_category ON docs (category);
VACUUM ANALYZE docs;
SELECT embedding AS q FROM docs WHERE id = 970 \gset
SELECT $$
WITH near AS (
  SELECT id, row_number() OVER (ORDER BY distance, id) AS rank
    FROM (SELECT id, embedding <=> '$$ || :'q' || $$' AS distance FROM docs ORDER BY embedding <=> '$$ || :'q' || $$' LIMIT 50) n),
matching AS (
  SELECT id, row_number() OVER (ORDER BY relevance DESC, id) AS rank
    FROM (SELECT id, ts_rank_cd(words, query) AS relevance FROM docs, plainto_tsquery('english', 'rare') query
           WHERE words @@ query ORDER BY relevance DESC, id LIMIT 50) m)
SELECT id, sum(rrf_score(rank)) AS score
  FROM (SELECT * FROM near UNION ALL SELECT * FROM matching) found
 GROUP BY id ORDER BY score DESC, id LIMIT 10$$ AS hybrid \gset
SELECT bool_or(p ~ 'Index Scan using docs_embedding') AS vector_index, bool_or(p ~ 'docs_words') AS text_index FROM plan_of(:'hybrid') p;
CREATE FUNCTION hybrid(query text) RETURNS TABLE (id int, score float8) LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE query; END $$;
-- what is in both lists comes first, and the score is the sum of both ranks
SELECT id, round(score::numeric, 6) AS score FROM hybrid(:'hybrid') LIMIT 1;
SELECT count(*) AS rows, bool_and(score <= before) AS ordered, bool_and(score < before OR id > id_before) AS ties_by_key
FROM (SELECT id, score, lag(score, 1, 9) OVER w AS before, lag(id, 1, 0) OVER w AS id_before
      FROM (SELECT *, row_number() OVER () AS n FROM hybrid(:'hybrid')) r WINDOW w AS (ORDER BY n)) s;
-- the same by another plan
SELECT array_agg(id) AS first FROM hybrid(:'hybrid') \gset
SET enable_hashagg = off;
SET enable_bitmapscan = off;
SELECT array_agg(id) = :'first'::int[] AS same FROM hybrid(:'hybrid');
RESET enable_hashagg;
RESET enable_bitmapscan;

-- recommendation by the mean: near the positive examples, away from the negative ones
SELECT recommend_vector('{"[1,2]","[3,4]"}'), recommend_vector('{"[1,2]","[3,4]"}', '{}'), recommend_vector('{"[1,2]","[3,4]"}', '{"[0,1]","[2,1]"}'),
  recommend_vector(positives => ARRAY['[1,0]'::vector], negatives => NULL);
\set VERBOSITY sqlstate
SELECT recommend_vector('{}');
SELECT recommend_vector(NULL, '{"[1,2]"}');
SELECT recommend_vector('{"[1,2]",NULL}');
SELECT recommend_vector('{"[1,2]","[1,2,3]"}');
SELECT recommend_vector('{"[1,2]"}', '{"[1,2,3]"}');
SELECT recommend_vector('{{"[1,2]"},{"[1,2]"}}');
SELECT recommend_vector('{"[3e38]"}', '{"[-3e38]"}');
\set VERBOSITY default
SELECT recommend_vector('{}');
SELECT plan_of($$SELECT id FROM docs WHERE id NOT IN (1, 2, 3) ORDER BY embedding <=>
  (SELECT recommend_vector(array_agg(embedding) FILTER (WHERE id IN (1, 2)), array_agg(embedding) FILTER (WHERE id = 3)) FROM docs WHERE id IN (1, 2, 3)) LIMIT 5$$);
SELECT count(*) FROM (SELECT id FROM docs WHERE id NOT IN (1, 2, 3) ORDER BY embedding <=>
  (SELECT recommend_vector(array_agg(embedding) FILTER (WHERE id IN (1, 2)), array_agg(embedding) FILTER (WHERE id = 3)) FROM docs WHERE id IN (1, 2, 3)) LIMIT 5) s;
-- by the nearest example
SELECT v, round(recommend_score(v, '{"[1,0]"}', '{"[0,1]"}')::numeric, 4) AS cosine, round(recommend_score(v, '{"[1,0]"}', '{"[0,1]"}', 'l2')::numeric, 4) AS l2,
  round(recommend_score(v, '{"[1,0]"}', '{"[0,1]"}', 'ip')::numeric, 4) AS ip, round(recommend_score(v, '{"[1,0]","[0,-2]"}', metric => 'l1')::numeric, 4) AS l1,
  round(recommend_score(v, NULL, '{"[0,1]"}')::numeric, 4) AS negative
FROM unnest('{"[1,0]","[3,1]","[1,1]","[1,3]","[0,1]","[-1,0]","[0,0]"}'::vector[]) v;
SELECT recommend_score(NULL, '{"[1,0]"}') IS NULL AS no_vector, recommend_score('[1,0]', '{"[1,0]"}', metric => NULL) IS NULL AS no_metric;
\set VERBOSITY sqlstate
SELECT recommend_score('[1,2]', '{}', '{}');
SELECT recommend_score('[1,2]', NULL);
SELECT recommend_score('[1,2]', '{"[1,2,3]"}');
SELECT recommend_score('[1,2]', '{"[1,2]"}', '{"[1]"}');
SELECT recommend_score('[1,2]', '{"[1,2]"}', '{NULL}');
SELECT recommend_score('[1,2]', '{"[1,2]"}', metric => 'euclid');
\set VERBOSITY default
SELECT recommend_score('[1,2]', '{}', '{}');
SELECT recommend_score('[1,2]', '{"[1,2]"}', metric => 'euclid');

-- diversity: lambda 1 is the order of distance; less of it passes over copies of what has been chosen
SELECT lambda, array_agg(n ORDER BY rank) AS chosen FROM unnest('{1,0.7,0.5,0}'::float8[]) lambda,
  mmr('[1,0]', '{"[1,0.1]","[1,0.1]","[1,0.11]","[1,-0.5]","[0,1]","[-1,0]"}', 4, lambda) WITH ORDINALITY m(n, rank) GROUP BY lambda ORDER BY lambda DESC;
SELECT metric, array_agg(n ORDER BY rank) AS chosen FROM unnest('{cosine,ip,l2,l1}'::text[]) metric,
  mmr('[1,0]', '{"[1,0.1]","[2,0.2]","[1,0.11]","[3,-1]","[0,1]","[-1,0]"}', 3, 0.6, metric) WITH ORDINALITY m(n, rank) GROUP BY metric ORDER BY metric;
SELECT count(*) AS all, count(DISTINCT n) AS each_once FROM mmr('[1,0]', '{"[1,0]","[1,0]","[0,0]","[0,0]"}', 100) n;
SELECT count(*) AS none FROM mmr('[1,0]', '{}', 5) a, mmr('[1,0]', '{"[1,0]"}', 0) b;
SELECT count(*) AS none FROM mmr('[1,0]', '{"[1,0]"}', 0);
SELECT count(*) AS none FROM mmr('[1,0]', NULL, 5);
-- its definition, word by word
CREATE FUNCTION mmr_by_definition(q vector, candidates vector[], k int, lambda float8) RETURNS int[] LANGUAGE plpgsql AS $$
DECLARE
  chosen int[] := '{}';
BEGIN
  FOR step IN 1 .. k LOOP
    chosen := chosen || (SELECT i FROM generate_subscripts(candidates, 1) i WHERE i <> ALL (chosen)
      ORDER BY CASE WHEN step = 1 THEN 1 - (q <=> candidates[i]) ELSE
        lambda * (1 - (q <=> candidates[i])) - (1 - lambda) * (SELECT max(1 - (candidates[i] <=> candidates[c])) FROM unnest(chosen) c) END DESC, i LIMIT 1);
  END LOOP;
  RETURN chosen;
END $$;
SELECT bool_and(ARRAY(SELECT mmr(q, candidates, 10, lambda)) = mmr_by_definition(q, candidates, 10, lambda)) AS same
FROM (SELECT array_agg(embedding ORDER BY id) AS candidates FROM docs WHERE id <= 40) c, (SELECT embedding AS q FROM docs WHERE id BETWEEN 50 AND 55) d, unnest('{0.1,0.5,0.9}'::float8[]) lambda;
\set VERBOSITY sqlstate
SELECT mmr('[1,0]', '{"[1,0]"}', -1);
SELECT mmr('[1,0]', '{"[1,0]"}', 1, -0.1);
SELECT mmr('[1,0]', '{"[1,0]"}', 1, 1.1);
SELECT mmr('[1,0]', '{"[1,0]"}', 1, 'NaN');
SELECT mmr('[1,0]', '{"[1,0]"}', 1, 0.5, 'cos');
SELECT mmr('[1,0]', '{"[1,0,0]"}', 1);
SELECT mmr('[1,0]', '{"[1,0]",NULL}', 1);
\set VERBOSITY default
SELECT mmr('[1,0]', '{"[1,0]"}', -1);
SELECT mmr('[1,0]', '{"[1,0]"}', 1, 1.1);
-- Worked by hand, to 6 digits.
-- Fusion: ranks 1 and 3 give 1/61 + 1/63 = 124/3843, more than rank 1 twice less a list (1/61), less than ranks 1 and 2 (1/61 + 1/62).
-- recommend_vector: the mean of the positive examples is [2,3], of the negative ones [1,1]; 2 * [2,3] - [1,1] = [3,5].
-- recommend_score of a similarity s: (s / (1 + |s|) + 1) / 2, of the nearer example; its negative if that is a negative one.
-- [3,4]: cosine with [1,0] 3/5, with [0,1] 4/5. (4/9 + 1) / 2 = 13/18. Of [0,0] and [3,4], l2: -5, (-5/6 + 1) / 2 = 1/12.
-- [1,2], [3,4]: ip 3 + 8 = 11, (11/12 + 1) / 2 = 23/24; l1 2 + 2, so -4, (-4/5 + 1) / 2 = 1/10.
SELECT abs(a - 124.0 / 3843) < 1e-15 AND a > 1.0 / 61 AND a < 1.0 / 61 + 1.0 / 62 AS fused FROM (SELECT sum(rrf_score(r)) AS a FROM unnest('{1,3,NULL}'::bigint[]) r) s;
SELECT recommend_vector('{"[1,2]","[3,4]"}', '{"[0,1]","[2,1]"}') = '[3,5]' AS vector;
SELECT name, abs(got - wanted) < 1e-6 AS right FROM (VALUES
  ('nearest of two', recommend_score('[3,4]', '{"[1,0]","[0,1]"}'), 13.0 / 18),
  ('a negative one is nearer', recommend_score('[3,4]', '{"[1,0]"}', '{"[0,1]"}'), -13.0 / 18),
  ('a positive one is nearer', recommend_score('[3,4]', '{"[0,1]"}', '{"[1,0]"}'), 13.0 / 18),
  ('negative ones alone', recommend_score('[0,0]', NULL, '{"[6,8]","[3,4]"}', 'l2'), -1.0 / 12),
  ('l2', recommend_score('[0,0]', '{"[6,8]","[3,4]"}', metric => 'l2'), 1.0 / 12),
  ('ip', recommend_score('[1,2]', '{"[3,4]"}', metric => 'ip'), 23.0 / 24),
  ('l1', recommend_score('[1,2]', '{"[3,4]"}', metric => 'l1'), 0.1)) v (name, got, wanted);
-- mmr by cosine. To [1,0]: 1 [4,3] .8, 2 [3,4] .6, 3 [4,-3] .8, 4 [0,1] 0. First 1, of 1 and 3 the earlier. To 1: 2 .96, 3 .28, 4 .6; to 3: 2 0, 4 -.6.
-- Second, lambda .4: 2 .24 - .576 = -.336, 3 .32 - .168 = .152, 4 -.36: so 3. Third: to the nearest chosen as before: 2 before 4.
-- lambda .3: 3 again (.24 - .196); then 2 .18 - .672 = -.492, 4 -.42: so 4.
-- By l2 to [0,0], lambda .5: 1 [1,0] -1, 2 [2,0] -2, 3 [0,3] -3, 4 [1,1] -1.414. First 1. Second: 2 -1 + .5, 3 -1.5 + 1.581 = .081, 4 -.707 + .5: so 3.
-- Third: 2 is 1 from 1: -.5; 4 is 1 from 1: -.207: so 4.
SELECT ARRAY(SELECT mmr('[1,0]', '{"[4,3]","[3,4]","[4,-3]","[0,1]"}', 3, 0.4)) = '{1,3,2}' AS a,
  ARRAY(SELECT mmr('[1,0]', '{"[4,3]","[3,4]","[4,-3]","[0,1]"}', 3, 0.3)) = '{1,3,4}' AS b,
  ARRAY(SELECT mmr('[0,0]', '{"[1,0]","[2,0]","[0,3]","[1,1]"}', 3, 0.5, 'l2')) = '{1,3,4}' AS c;
-- over what the index gives
SELECT $$
WITH near AS MATERIALIZED (
  SELECT id, embedding, row_number() OVER (ORDER BY distance, id) AS n
    FROM (SELECT id, embedding, embedding <=> '$$ || :'q' || $$' AS distance FROM docs ORDER BY embedding <=> '$$ || :'q' || $$' LIMIT 50) c)
SELECT id FROM mmr('$$ || :'q' || $$', (SELECT array_agg(embedding ORDER BY n) FROM near), 5, 0.5) WITH ORDINALITY AS chosen(n, rank)
  JOIN near USING (n) ORDER BY rank$$ AS diverse \gset
SELECT bool_or(p ~ 'Index Scan using docs_embedding') AS vector_index FROM plan_of(:'diverse') p;
SELECT count(*), min(id) FILTER (WHERE n = 1) AS first FROM (SELECT id, row_number() OVER () AS n FROM (:diverse) d) s;

-- the best rows of each category: one search a category
CREATE TABLE categories AS SELECT DISTINCT category FROM docs;
ANALYZE categories;
SELECT plan_of($$SELECT c.category, near.id FROM categories c CROSS JOIN LATERAL
  (SELECT id, embedding <=> '[1,0,0,0,0,0,0,0]' AS distance FROM docs WHERE category = c.category ORDER BY embedding <=> '[1,0,0,0,0,0,0,0]' LIMIT 3) near$$);
SELECT count(*), count(DISTINCT id), min(per_category), max(per_category) FROM (SELECT near.id, count(*) OVER (PARTITION BY c.category) AS per_category FROM categories c CROSS JOIN LATERAL
  (SELECT id FROM docs WHERE category = c.category ORDER BY embedding <=> '[1,0,0,0,0,0,0,0]' LIMIT 3) near) s;

DROP TABLE docs, categories;
DROP FUNCTION random_vector, plan_of, hybrid, mmr_by_definition;

-- random_unit_vector: norm 1, one direction for a seed, all directions alike
SELECT vector_dims(v), abs(vector_norm(v) - 1) < 1e-6 AS unit FROM (SELECT random_unit_vector(d) AS v FROM unnest(ARRAY[1, 2, 3, 384, 16000]) d) t;
SELECT random_unit_vector(3, 7) = random_unit_vector(3, 7) AS same, random_unit_vector(3, 7) = random_unit_vector(3, 8) AS other_seed, random_unit_vector(3, -1) = random_unit_vector(3, -1) AS negative;
SELECT setseed(0.5);
CREATE TEMP TABLE random_first AS SELECT random_unit_vector(5) AS v FROM generate_series(1, 3);
SELECT count(DISTINCT v) FROM random_first;
SELECT setseed(0.5);
SELECT count(*) FROM random_first JOIN (SELECT random_unit_vector(5) AS v FROM generate_series(1, 3)) again USING (v);
SELECT vector_norm(avg(random_unit_vector(8, i))) < 0.06 AS centred,
       max(abs(cosine_distance(random_unit_vector(8, i), random_unit_vector(8, i + 1)) - 1)) > 0.5 AS anywhere
FROM generate_series(1, 4000) i;
SELECT vector_dims(random_unit_vector(4)::halfvec), random_unit_vector(NULL) IS NULL;
SELECT random_unit_vector(0);
SELECT random_unit_vector(16001, 1);
DROP TABLE random_first;
