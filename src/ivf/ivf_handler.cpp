// What the server asks for first: the routines of access methods ivf and ivfflat, their options
// (WITH) and settings.
#include "quant/list_codec.hpp"

#include "am/costs.hpp"
#include "am/inspect.hpp"
#include "am/opclass.hpp"
#include "am/routine.hpp"
#include "ivf/ivf.hpp"
#include "ivf/ivf_inspect.hpp"
#include "ivf/ivf_user_centroids.hpp"
#include "pg/entry.hpp"

#include <algorithm>
#include <climits>
#include <cstddef>

namespace ann::ivf {

using quant::Quantizer;

namespace {

struct IvfOptions {
  int32 vl_len_;
  int lists;
  int quantizer;
  int rabitq_bits;
  int pq_segments;
  int pq_bits;
  int rerank;
  int centroids;  // offset of the text; 0: none
};

struct FlatOptions {
  int32 vl_len_;
  int lists;
};

// By the column's type: rabitq, or bits.
constexpr int kDefaultQuantizer = 0;

relopt_kind ivf_kind;
relopt_kind flat_kind;

relopt_enum_elt_def kQuantizers[] = {
    {"rabitq", static_cast<int>(Quantizer::kRabitq)}, {"sq8", static_cast<int>(Quantizer::kSq8)},
    {"pq", static_cast<int>(Quantizer::kPq)},         {"flat", static_cast<int>(Quantizer::kFlat)},
    {"bits", static_cast<int>(Quantizer::kBits)},     {nullptr, 0}};

relopt_enum_elt_def kReranks[] = {{"auto", static_cast<int>(Rerank::kAuto)},
                                  {"index", static_cast<int>(Rerank::kIndex)},
                                  {"heap", static_cast<int>(Rerank::kHeap)},
                                  {nullptr, 0}};

// --- settings
int probes = -1;
int max_probes = 0;
int iterative_scan = static_cast<int>(am::IterativeScan::kStrictOrder);
double epsilon = quant::kDefaultEpsilon;
int flat_probes = 1;
int flat_max_probes = kFlatMaxProbes;
int flat_iterative_scan = static_cast<int>(am::IterativeScan::kOff);

void DefineOptions() {
  ivf_kind = add_reloption_kind();
  add_int_reloption(ivf_kind, "lists", "Number of lists; 0 chooses from the number of rows",
                    kDefaultLists, 0, kMaxLists, AccessExclusiveLock);
  add_enum_reloption(ivf_kind, "quantizer", "How rows are coded", kQuantizers, kDefaultQuantizer,
                     "Valid values are \"rabitq\", \"sq8\", \"pq\", \"flat\" and \"bits\".",
                     AccessExclusiveLock);
  add_int_reloption(ivf_kind, "rabitq_bits", "Bits a dimension that the index keeps",
                    kDefaultRabitqBits, kMinRabitqBits, kMaxRabitqBits, AccessExclusiveLock);
  add_int_reloption(ivf_kind, "pq_segments",
                    "Parts that pq codes a vector in; 0 chooses from the dimensions",
                    kDefaultPqSegments, 0, kMaxPqSegments, AccessExclusiveLock);
  add_int_reloption(ivf_kind, "pq_bits", "Bits of the code of a part", kDefaultPqBits, kMinPqBits,
                    kMaxPqBits, AccessExclusiveLock);
  add_enum_reloption(ivf_kind, "rerank", "Where what is near is looked at more closely", kReranks,
                     static_cast<int>(Rerank::kAuto),
                     "Valid values are \"auto\", \"index\" and \"heap\".", AccessExclusiveLock);
  add_string_reloption(ivf_kind, "centroids", "Table that gives the centroids", nullptr,
                       CheckCentroidsOption, AccessExclusiveLock);
  flat_kind = add_reloption_kind();
  add_int_reloption(flat_kind, "lists", "Number of inverted lists", kFlatDefaultLists, 1, kMaxLists,
                    AccessExclusiveLock);
}

char* BuildPhaseName(int64 phase) {
  switch (static_cast<BuildPhase>(phase)) {
    case BuildPhase::kInitializing:
      return pstrdup("initializing");
    case BuildPhase::kSampling:
      return pstrdup("sampling rows");
    case BuildPhase::kClustering:
      return pstrdup("finding centroids");
    case BuildPhase::kAssigning:
      return pstrdup("assigning rows");
    case BuildPhase::kSorting:
      return pstrdup("sorting rows");
    case BuildPhase::kWriting:
      return pstrdup("writing pages");
  }
  return nullptr;
}

[[noreturn]] void RejectOption(const char* option, int value, const char* range) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("value %d out of bounds for option \"%s\"", value, option),
                  errdetail("%s", range)));
  pg_unreachable();
}

constexpr const char* kNoSecondCode = "Only quantizers \"rabitq\" and \"pq\" have a second code.";

[[noreturn]] void RejectRerank(const char* why) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("option \"rerank\" cannot be \"index\" here"), errdetail("%s", why)));
  pg_unreachable();
}

bytea* ParseOptions(Datum reloptions, bool validate) {
  static const relopt_parse_elt kElements[] = {
      {"lists", RELOPT_TYPE_INT, offsetof(IvfOptions, lists)},
      {"quantizer", RELOPT_TYPE_ENUM, offsetof(IvfOptions, quantizer)},
      {"rabitq_bits", RELOPT_TYPE_INT, offsetof(IvfOptions, rabitq_bits)},
      {"pq_segments", RELOPT_TYPE_INT, offsetof(IvfOptions, pq_segments)},
      {"pq_bits", RELOPT_TYPE_INT, offsetof(IvfOptions, pq_bits)},
      {"rerank", RELOPT_TYPE_ENUM, offsetof(IvfOptions, rerank)},
      {"centroids", RELOPT_TYPE_STRING, offsetof(IvfOptions, centroids)},
  };
  auto* options = static_cast<IvfOptions*>(build_reloptions(
      reloptions, validate, ivf_kind, sizeof(IvfOptions), kElements, lengthof(kElements)));
  if (validate && options != nullptr) {
    const int bits = options->rabitq_bits;
    if (bits != 1 && bits % 2 != 0) {
      RejectOption("rabitq_bits", bits, "Valid values are 1, 2, 4, 6 and 8.");
    }
    if (options->pq_bits != 4 && options->pq_bits != 8) {
      RejectOption("pq_bits", options->pq_bits, "Valid values are 4 and 8.");
    }
    const Quantizer quantizer = options->quantizer == kDefaultQuantizer
                                    ? Quantizer::kRabitq
                                    : static_cast<Quantizer>(options->quantizer);
    const bool staged = quantizer == Quantizer::kRabitq || quantizer == Quantizer::kPq;
    if (static_cast<Rerank>(options->rerank) == Rerank::kIndex && (!staged || bits == 1)) {
      RejectRerank(staged ? "It needs \"rabitq_bits\" of 2 or more, not 1." : kNoSecondCode);
    }
    if (options->lists > 0 && options->centroids != 0) {
      ereport(ERROR,
              (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
               errmsg("options \"lists\" and \"centroids\" exclude each other"),
               errdetail("\"lists\" is %d; \"centroids\" makes a list of each row of its table.",
                         options->lists)));
    }
  }
  return reinterpret_cast<bytea*>(options);
}

bytea* ParseFlatOptions(Datum reloptions, bool validate) {
  static const relopt_parse_elt kElements[] = {
      {"lists", RELOPT_TYPE_INT, offsetof(FlatOptions, lists)},
  };
  return static_cast<bytea*>(build_reloptions(reloptions, validate, flat_kind, sizeof(FlatOptions),
                                              kElements, lengthof(kElements)));
}

bool IsFlat(Relation index) { return index->rd_indam->amoptions == ParseFlatOptions; }

IndexAmRoutine* Routine() {
  IndexAmRoutine* routine = am::NewRoutine();
  routine->ambuild = Build;
  routine->ambuildempty = BuildEmpty;
  routine->aminsert = Insert;
  routine->ambulkdelete = BulkDelete;
  routine->amvacuumcleanup = VacuumCleanup;
  routine->amcostestimate = CostEstimate;
  routine->amoptions = ParseOptions;
  routine->ambuildphasename = BuildPhaseName;
  routine->amvalidate = am::ValidateOfLists;
  SetScan(routine);
  return routine;
}

Settings SettingsFor(const IndexAmRoutine* routine) {
  if (routine->amoptions == ParseFlatOptions) {
    // Fewer than the lists of the first round is none.
    return {flat_probes, std::max(flat_probes, flat_max_probes),
            static_cast<am::IterativeScan>(flat_iterative_scan), quant::kDefaultEpsilon};
  }
  return {probes, max_probes, static_cast<am::IterativeScan>(iterative_scan),
          static_cast<float>(epsilon)};
}

Options FlatOptionsOf(Relation index) {
  const auto* options = reinterpret_cast<const FlatOptions*>(index->rd_options);
  return {options != nullptr ? options->lists : kFlatDefaultLists,
          quant::IsOfBits(am::MetricOf(index)) ? Quantizer::kBits : Quantizer::kFlat, 0, 0, 0};
}

}  // namespace

int ListsOption(Relation index) {
  if (IsFlat(index)) return FlatOptionsOf(index).lists;
  const auto* options = reinterpret_cast<const IvfOptions*>(index->rd_options);
  return options != nullptr ? options->lists : kDefaultLists;
}

namespace {

Quantizer QuantizerOf(Relation index, const IvfOptions& options) {
  const bool bits = quant::IsOfBits(am::MetricOf(index));
  if (options.quantizer == kDefaultQuantizer) return bits ? Quantizer::kBits : Quantizer::kRabitq;
  const Quantizer quantizer = static_cast<Quantizer>(options.quantizer);
  if (bits != (quantizer == Quantizer::kBits)) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("quantizer \"%s\" is not for columns of type %s",
                    QuantizerName(static_cast<uint8_t>(quantizer)),
                    pg::TypeName(index->rd_opcintype[0])),
             errdetail("Quantizer \"bits\" is for strings of bits, all others are for vectors.")));
  }
  return quantizer;
}

}  // namespace

Options OptionsOf(Relation index, uint32_t dims) {
  if (IsFlat(index)) return FlatOptionsOf(index);
  IvfOptions options{0,
                     kDefaultLists,
                     kDefaultQuantizer,
                     kDefaultRabitqBits,
                     kDefaultPqSegments,
                     kDefaultPqBits,
                     static_cast<int>(Rerank::kAuto),
                     0};
  if (index->rd_options != nullptr) options = *reinterpret_cast<IvfOptions*>(index->rd_options);
  Options result{options.lists, QuantizerOf(index, options), 0, 0, 0};
  const Rerank rerank = static_cast<Rerank>(options.rerank);
  if (quant::IsWhole(result.quantizer) && rerank == Rerank::kIndex) RejectRerank(kNoSecondCode);
  const bool second =
      result.quantizer == Quantizer::kRabitq ? rerank != Rerank::kHeap : rerank == Rerank::kIndex;
  if (second && options.rabitq_bits > 1) result.second_bits = options.rabitq_bits;
  if (result.quantizer == Quantizer::kPq) {
    const int most = static_cast<int>(dims);
    if (options.pq_segments > most) {
      ereport(ERROR,
              (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
               errmsg("value %d out of bounds for option \"pq_segments\"", options.pq_segments),
               errdetail("Valid values are between 1 and the number of dimensions, %d.", most)));
    }
    result.pq_bits = options.pq_bits;
    result.pq_segments =
        options.pq_segments > 0 ? options.pq_segments : std::max(1, (most + 3) / 4);
  }
  return result;
}

const char* CentroidsOptionOf(Relation index) {
  const auto* options = reinterpret_cast<const IvfOptions*>(index->rd_options);
  if (options == nullptr || IsFlat(index) || options->centroids == 0) return nullptr;
  return pstrdup(reinterpret_cast<const char*>(options) + options->centroids);
}

Settings SettingsOf(Relation index) { return SettingsFor(index->rd_indam); }

Settings SettingsOf(Oid access_method) {
  return SettingsFor(GetIndexAmRoutineByAmId(access_method, false));
}

void DefineSettings() {
  DefineOptions();
  am::RegisterInspection({Build, CheckIndex, Stats});
  am::RegisterCosts(CostEstimate);
  DefineCustomIntVariable("ivf.probes", "Number of lists that a search looks at first.",
                          "-1: as many as bring something nearer.", &probes, -1, -1, INT_MAX,
                          PGC_USERSET, GUC_EXPLAIN, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("ivf.max_probes", "Number of lists after which a search ends.",
                          "0 means no limit.", &max_probes, 0, 0, INT_MAX, PGC_USERSET, GUC_EXPLAIN,
                          nullptr, nullptr, nullptr);
  am::DefineIterativeScan("ivf.iterative_scan", &iterative_scan, am::IterativeScan::kStrictOrder);
  DefineCustomRealVariable(
      "ivf.epsilon", "Standard deviations that a code's estimate may be off by.",
      "More finds more of what codes misjudge, and takes longer.", &epsilon, quant::kDefaultEpsilon,
      0, 10, PGC_USERSET, GUC_EXPLAIN, nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("ivf");
  DefineCustomIntVariable("ivfflat.probes", "Number of lists that a search looks at.", nullptr,
                          &flat_probes, 1, 1, INT_MAX, PGC_USERSET, GUC_EXPLAIN, nullptr, nullptr,
                          nullptr);
  am::DefineIterativeScan("ivfflat.iterative_scan", &flat_iterative_scan, am::IterativeScan::kOff);
  DefineCustomIntVariable("ivfflat.max_probes", "Number of lists after which a search ends.",
                          nullptr, &flat_max_probes, kFlatMaxProbes, 1, INT_MAX, PGC_USERSET,
                          GUC_EXPLAIN, nullptr, nullptr, nullptr);
  MarkGUCPrefixReserved("ivfflat");
}

}  // namespace ann::ivf

ANN_FUNCTION(ann_ivf_handler)
{ PG_RETURN_POINTER(ann::ivf::Routine()); }

ANN_FUNCTION(ann_ivfflat_handler)
{
  IndexAmRoutine* routine = ann::ivf::Routine();
  routine->amoptions = ann::ivf::ParseFlatOptions;
  PG_RETURN_POINTER(routine);
}
