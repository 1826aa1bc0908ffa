-- inspection

CREATE FUNCTION ann_index_check(index regclass) RETURNS void
  AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_index_check(regclass) IS 'prove the invariants of an hnsw or ivf index; writers wait';
REVOKE ALL ON FUNCTION ann_index_check(regclass) FROM PUBLIC;

CREATE FUNCTION ann_retrain(index regclass) RETURNS void
  AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ann_retrain(regclass) IS 'find lists for an ivf index anew; readers and writers go on';

CREATE FUNCTION ann_recalibrate(index regclass) RETURNS int
  AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ann_recalibrate(regclass) IS 'find the ef of an hnsw index anew that searches use while hnsw.ef_search is unset; readers and writers go on';

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
  OUT mean_square float8, OUT trained_mean_square float8,
  OUT attributes int, OUT attribute_bytes int, OUT column_pages bigint
) AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_index_stats(regclass) IS 'what an hnsw or ivf index consists of';

CREATE FUNCTION ann_index_scan_stats(
  OUT index regclass, OUT ef int, OUT probes int, OUT candidates bigint,
  OUT pages bigint, OUT pages_read bigint, OUT pages_unpinned bigint,
  OUT exact_distances bigint, OUT rows bigint, OUT resumed bigint, OUT filtered bool, OUT way text
) RETURNS SETOF record AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION ann_index_scan_stats() IS 'what the last scan of an hnsw or ivf index by this session has cost';

CREATE FUNCTION ann_recall(
  index regclass, k int DEFAULT 10, sample int DEFAULT 100,
  OUT recall float8, OUT recall_low float8, OUT recall_high float8,
  OUT ms_median float8, OUT ms_p99 float8, OUT queries int
) AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION ann_recall(regclass, int, int) IS 'search an hnsw or ivf index for a sample of its rows, and compare with exact answers';
