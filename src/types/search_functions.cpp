// What searches are made of beside distances: ranks that are fused, examples to be like and unlike,
// answers that do not repeat themselves. Formulas: RECIPES.md.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "types/dense_type.hpp"
#include "types/metric_distance.hpp"
#include "types/vector_array.hpp"

#include "pg/entry.hpp"

namespace ann::types {

namespace {

// --- metrics by name ----------------------------------------------------------------------------

struct NamedMetric {
  const char* name;  // as ann_index_stats gives it
  Distance<float> distance;
  double shift;  // similarity = shift - distance
};

constexpr NamedMetric kNamedMetrics[] = {
    {"cosine", CosineDistance<float>, 1},
    {"ip", NegativeInnerProduct<float>, 0},
    {"l2", L2Distance<float>, 0},
    {"l1", L1Distance<float>, 0},
};

class Similarity {
 public:
  Similarity(const text* name, int dims) : dims_(static_cast<size_t>(dims)) {
    const char* wanted = text_to_cstring(name);
    for (const NamedMetric& metric : kNamedMetrics) {
      if (std::strcmp(metric.name, wanted) == 0) metric_ = &metric;
    }
    if (metric_ == nullptr) {
      ereport(ERROR,
              (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown metric \"%s\"", wanted),
               errhint("It is one of cosine, ip, l2, l1.")));
    }
  }
  // A vector without direction is like nothing.
  double operator()(const float* a, const float* b) const {
    const double similarity = metric_->shift - metric_->distance(a, b, dims_);
    return std::isnan(similarity) ? -INFINITY : similarity;
  }

 private:
  const NamedMetric* metric_ = nullptr;
  size_t dims_;
};

void CheckSameDims(int a, int b) {
  if (a != 0 && b != 0 && a != b) ReportDifferentDims(kTypeName<float>, a, b);
}

// --- examples -----------------------------------------------------------------------------------

void AddMean(const VectorArray& vectors, double weight, double* sums) {
  for (int i = 0; i < vectors.count(); i++) {
    for (int d = 0; d < vectors.dims(); d++) sums[d] += weight * vectors[i][d] / vectors.count();
  }
}

double GreatestSimilarity(const Similarity& similarity, const float* x, const VectorArray& others) {
  double greatest = -INFINITY;
  for (int i = 0; i < others.count(); i++) {
    greatest = std::max(greatest, similarity(x, others[i]));
  }
  return greatest;
}

// Grows from 0 to 1 with any number.
double Squashed(double x) {
  if (std::isinf(x)) return x > 0 ? 1 : 0;
  return 0.5 * (x / (1 + std::fabs(x)) + 1);
}

// --- diversity ----------------------------------------------------------------------------------

// Positions that have been chosen, from 1.
struct Chosen {
  int count;
  int positions[FLEXIBLE_ARRAY_MEMBER];
};

// What is like nothing, the query included, comes last.
double MarginalRelevance(double lambda, double relevance, double nearest_chosen) {
  const double penalty = lambda < 1 ? (1 - lambda) * nearest_chosen : 0;
  const double gain = lambda > 0 ? lambda * relevance : 0;
  return std::isinf(gain) ? gain : gain - penalty;
}

// Maximal marginal relevance; of equals the first.
Chosen* Choose(const float* query, const VectorArray& candidates, int k, double lambda,
               const Similarity& similarity) {
  const int n = candidates.count();
  auto* chosen = static_cast<Chosen*>(
      palloc(offsetof(Chosen, positions) + sizeof(int) * static_cast<size_t>(std::min(k, n))));
  chosen->count = std::min(k, n);
  auto* relevance = static_cast<double*>(palloc(sizeof(double) * static_cast<size_t>(n)));
  // To the nearest of those chosen.
  auto* nearest = static_cast<double*>(palloc(sizeof(double) * static_cast<size_t>(n)));
  auto* taken = static_cast<bool*>(palloc0(sizeof(bool) * static_cast<size_t>(n)));
  for (int i = 0; i < n; i++) {
    relevance[i] = similarity(query, candidates[i]);
    nearest[i] = -INFINITY;
  }
  for (int step = 0; step < chosen->count; step++) {
    CHECK_FOR_INTERRUPTS();
    int best = -1;
    double best_score = 0;
    for (int i = 0; i < n; i++) {
      if (taken[i]) continue;
      const double score =
          step == 0 ? relevance[i] : MarginalRelevance(lambda, relevance[i], nearest[i]);
      if (best < 0 || score > best_score) best = i, best_score = score;
    }
    taken[best] = true;
    chosen->positions[step] = best + 1;
    for (int i = 0; i < n; i++) {
      if (!taken[i]) nearest[i] = std::max(nearest[i], similarity(candidates[best], candidates[i]));
    }
  }
  return chosen;
}

}  // namespace

// rank, k. No rank: the list does not hold the row.
ANN_FUNCTION(ann_rrf_score)
{
  if (PG_ARGISNULL(1)) PG_RETURN_NULL();
  const double k = PG_GETARG_FLOAT8(1);
  if (!(k >= 0) || std::isinf(k)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("k must be a number that is not negative")));
  }
  if (PG_ARGISNULL(0)) PG_RETURN_FLOAT8(0);
  const int64 rank = PG_GETARG_INT64(0);
  if (rank < 1) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("ranks begin with 1")));
  }
  PG_RETURN_FLOAT8(1 / (k + static_cast<double>(rank)));
}

// positives, negatives
ANN_FUNCTION(ann_recommend_vector)
{
  const VectorArray positives = VectorArray::Argument(fcinfo, 0);
  const VectorArray negatives = VectorArray::Argument(fcinfo, 1);
  if (positives.count() == 0) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("at least one positive example is needed"),
                    errhint("Where there are negative ones only, order by recommend_score.")));
  }
  CheckSameDims(positives.dims(), negatives.dims());
  const int dims = positives.dims();
  auto* sums = static_cast<double*>(palloc0(sizeof(double) * static_cast<size_t>(dims)));
  AddMean(positives, negatives.count() == 0 ? 1 : 2, sums);
  AddMean(negatives, -1, sums);
  Vector* result = MakeVector(dims);
  for (int d = 0; d < dims; d++) result->values[d] = static_cast<float>(sums[d]);
  CheckFinite(result->values, dims);
  return VectorDatum(result);
}

// vector, positives, negatives, metric
ANN_FUNCTION(ann_recommend_score)
{
  const VectorArray positives = VectorArray::Argument(fcinfo, 1);
  const VectorArray negatives = VectorArray::Argument(fcinfo, 2);
  if (PG_ARGISNULL(0) || PG_ARGISNULL(3)) PG_RETURN_NULL();
  if (positives.count() == 0 && negatives.count() == 0) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("at least one example is needed")));
  }
  const VectorArg vector(fcinfo, 0);
  CheckSameDims(vector.dims(), positives.dims());
  CheckSameDims(vector.dims(), negatives.dims());
  const Similarity similarity(PG_GETARG_TEXT_PP(3), vector.dims());
  const double wanted = GreatestSimilarity(similarity, vector.values(), positives);
  const double unwanted = GreatestSimilarity(similarity, vector.values(), negatives);
  // Like nothing at all: last.
  if (std::max(wanted, unwanted) == -INFINITY) PG_RETURN_FLOAT8(-1);
  PG_RETURN_FLOAT8(wanted > unwanted ? Squashed(wanted) : -Squashed(unwanted));
}

// query, candidates, k, lambda, metric
ANN_FUNCTION(ann_mmr)
{
  if (SRF_IS_FIRSTCALL()) {
    FuncCallContext* calls = SRF_FIRSTCALL_INIT();
    MemoryContext old = MemoryContextSwitchTo(calls->multi_call_memory_ctx);
    const int k = PG_GETARG_INT32(2);
    const double lambda = PG_GETARG_FLOAT8(3);
    if (k < 0) {
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("k must not be negative")));
    }
    if (!(lambda >= 0 && lambda <= 1)) {
      ereport(ERROR,
              (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("lambda must be between 0 and 1")));
    }
    const VectorArg query(fcinfo, 0);
    const VectorArray candidates(PG_GETARG_ARRAYTYPE_P(1));
    CheckSameDims(query.dims(), candidates.dims());
    const Similarity similarity(PG_GETARG_TEXT_PP(4), query.dims());
    Chosen* chosen = Choose(query.values(), candidates, k, lambda, similarity);
    calls->max_calls = static_cast<uint64>(chosen->count);
    calls->user_fctx = chosen;
    MemoryContextSwitchTo(old);
  }
  FuncCallContext* calls = SRF_PERCALL_SETUP();
  if (calls->call_cntr >= calls->max_calls) SRF_RETURN_DONE(calls);
  const auto* chosen = static_cast<const Chosen*>(calls->user_fctx);
  // The macro counts the call before it looks at the value.
  const int position = chosen->positions[calls->call_cntr];
  SRF_RETURN_NEXT(calls, Int32GetDatum(position));
}

}  // namespace ann::types
