#include "ivf/ivf_rank.hpp"

#include <algorithm>
#include <cstring>

#include "simd/simd.hpp"

namespace ann::ivf {

using quant::kBlockRows;
using quant::ListCodec;
using quant::ListQuery;
using quant::Metric;

namespace {

// Fewer centroids are compared with as they are: their distances take a few microseconds.
constexpr uint32_t kFewestCoded = 256;
// Coding a centroid takes as long as 30 to 60 distances.
constexpr uint32_t kUsesBeforeCodes = 32;
// Lists that are put in order first.
constexpr uint32_t kFirstWanted = 192;
// Bounds that a cut between them is chosen by.
constexpr size_t kCutSample = 256;

constexpr quant::ListCodecParams kOneBit{quant::Quantizer::kRabitq, 0, 0, 0, 1};

float SquaredDistance(const Frame& frame, const float* work, uint32_t list) {
  return simd::Floats().l2_squared(work, frame.Centroid(list), frame.space.dims());
}

uint32_t FirstInUse(const Frame& frame) {
  uint32_t list = 0;
  while (list + 1 < frame.shape.lists && !frame.IsInUse(list)) ++list;
  return list;
}

size_t BlockBytes(uint32_t dims) {
  const uint32_t code = static_cast<uint32_t>(RoundUp(dims, 16) / 8);
  return RoundUp(kBlockRows * (2 * sizeof(float) + sizeof(uint16_t)), 64) + kBlockRows * code;
}

size_t CodedBytes(uint32_t lists, uint32_t dims) {
  return RoundUp(ListCodec::MemoryBytes(kOneBit, dims), 64) +
         RoundUp(ListCodec::QueryBytes(kOneBit, dims), 64) +
         RoundUp(DivUp(lists, kBlockRows) * BlockBytes(dims), 64);
}

}  // namespace

// --- codes of centroids
// -----------------------------------------------------------------------------

size_t CentroidCodes::Bytes(uint32_t slots, uint32_t dims) {
  return 2 * CodedBytes(slots, dims) + Padded(slots) * sizeof(float) +
         RoundUp(quant::WorkSpace::MemoryBytes(dims), 64);
}

bool CentroidCodes::Use(const Frame& frame) {
  const uint32_t lists = frame.shape.lists;
  if (lists_ == lists) return true;
  if (memory_ == nullptr) {
    if (lists < kFewestCoded || ++uses_ < kUsesBeforeCodes) return false;
    Make(frame);
  }
  Fill(frame, keys_);
  if (distances_.blocks != keys_.blocks) Fill(frame, distances_);
  lists_ = lists;
  return true;
}

void CentroidCodes::Make(const Frame& frame) {
  const uint32_t slots = frame.shape.slots, dims = frame.space.dims();
  memory_ = MemoryContextAllocExtended(context_, Bytes(slots, dims) + 64,
                                       MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
  uint8_t* at = reinterpret_cast<uint8_t*>(RoundUp(reinterpret_cast<uintptr_t>(memory_), 64));
  lower_ = reinterpret_cast<float*>(at);
  at += Padded(slots) * sizeof(float);
  keys_ = MakeCoded(frame, &frame.space, &at);
  distances_ = keys_;
  if (frame.space.metric() == Metric::kInnerProduct) {
    plain_ = quant::WorkSpace(Metric::kL2, dims, 0, frame.mean, at);
    at += RoundUp(quant::WorkSpace::MemoryBytes(dims), 64);
    distances_ = MakeCoded(frame, &plain_, &at);
  }
}

CentroidCodes::Coded CentroidCodes::MakeCoded(const Frame& frame, const quant::WorkSpace* space,
                                              uint8_t** memory) const {
  const uint32_t dims = frame.space.dims();
  uint8_t* at = *memory;
  *memory += CodedBytes(frame.shape.slots, dims);
  Coded coded;
  coded.codec = ListCodec(kOneBit, space, nullptr, kBlockRows, at);
  at += RoundUp(ListCodec::MemoryBytes(kOneBit, dims), 64);
  coded.query = at;
  at += RoundUp(ListCodec::QueryBytes(kOneBit, dims), 64);
  coded.blocks = at;
  return coded;
}

void CentroidCodes::Fill(const Frame& frame, const Coded& coded) const {
  const uint32_t lists = frame.shape.lists, bytes = coded.codec.block_bytes();
  uint8_t* row = pg::AllocZero<uint8_t>(CurrentMemoryContext, coded.codec.row_bytes());
  uint8_t* open = pg::AllocZero<uint8_t>(CurrentMemoryContext, bytes);
  for (uint32_t first = lists_ / kBlockRows * kBlockRows; first < lists; first += kBlockRows) {
    CHECK_FOR_INTERRUPTS();
    std::memset(open, 0, bytes);
    for (uint32_t i = 0; i < kBlockRows && first + i < lists; ++i) {
      coded.codec.Encode(nullptr, frame.Centroid(first + i), nullptr, row, nullptr);
      coded.codec.SetRow(open, i, row);
    }
    coded.codec.Seal(open, coded.blocks + size_t{first / kBlockRows} * bytes);
  }
  pfree(row);
  pfree(open);
}

void CentroidCodes::Bound(const Coded& coded, const ListQuery& query, float* lower) const {
  const quant::ListContext context = coded.codec.PrepareList(query, nullptr);
  quant::BlockScores scores;
  for (uint32_t first = 0; first < lists_; first += kBlockRows) {
    const uint8_t* block = coded.blocks + size_t{first / kBlockRows} * coded.codec.block_bytes();
    coded.codec.ScanBlock(query, context, block, true, ~uint32_t{0}, INFINITY, &scores);
    std::memcpy(lower + first, scores.lower, sizeof scores.lower);
  }
}

void CentroidCodes::BoundKeys(const Frame& frame, const ListQuery& query, float* lower) const {
  if (frame.codec.params().quantizer == quant::Quantizer::kRabitq) {
    Bound(keys_, query, lower);
  } else {
    Bound(keys_, keys_.codec.PrepareQuery(query.work, query.epsilon, keys_.query), lower);
  }
}

uint32_t CentroidCodes::Nearest(const Frame& frame, const float* work) const {
  const uint32_t dims = frame.space.dims();
  const quant::WorkQuery query{nullptr, work, simd::Floats().inner_product(work, work, dims), 0};
  Bound(distances_, distances_.codec.PrepareQuery(query, quant::kOrderEpsilon, distances_.query),
        lower_);
  for (uint32_t list = 0; list < lists_; ++list) {
    if (!frame.IsInUse(list)) lower_[list] = INFINITY;
  }
  // Most are passed over at once when the first one is near.
  uint32_t nearest = static_cast<uint32_t>(std::min_element(lower_, lower_ + lists_) - lower_);
  if (!frame.IsInUse(nearest)) nearest = FirstInUse(frame);
  float least = SquaredDistance(frame, work, nearest);
  for (uint32_t list = 0; list < lists_; ++list) {
    if (lower_[list] > least || !frame.IsInUse(list)) continue;
    const float distance = SquaredDistance(frame, work, list);
    if (distance < least || (distance == least && list < nearest)) nearest = list, least = distance;
  }
  return nearest;
}

uint32_t NearestList(const Frame& frame, const float* work) {
  if (frame.codes->Use(frame)) return frame.codes->Nearest(frame, work);
  uint32_t nearest = FirstInUse(frame);
  float least = INFINITY;
  for (uint32_t list = nearest; list < frame.shape.lists; ++list) {
    if (!frame.IsInUse(list)) continue;
    const float distance = SquaredDistance(frame, work, list);
    if (distance < least) nearest = list, least = distance;
  }
  return nearest;
}

// --- order of lists
// -----------------------------------------------------------------------------

void ProbeOrder::Start(const Frame& frame, const ListQuery* query) {
  const uint32_t lists = frame.shape.lists;
  frame_ = &frame;
  query_ = query;
  known_.clear();
  ordered_ = next_ = 0;
  wanted_ = kFirstWanted;
  cut_ = -INFINITY;
  lower_.assign(CentroidCodes::Padded(lists), 0);
  bounded_ = query != nullptr && frame.codes->Use(frame);
  if (bounded_) frame.codes->BoundKeys(frame, *query, lower_.data());
  lower_.resize(lists);
  lists_ = 0;
  for (uint32_t list = 0; list < lists; ++list) {
    if (!frame.IsInUse(list)) {
      lower_[list] = NAN;
      continue;
    }
    ++lists_;
    if (bounded_) {
      if (std::isnan(lower_[list])) lower_[list] = -INFINITY;
    } else if (query != nullptr) {
      lower_[list] = Key(list);
    }
  }
}

float ProbeOrder::Key(uint32_t list) const {
  const quant::WorkQuery& query = query_->work;
  const simd::FloatKernels& kernels = simd::Floats();
  const uint32_t dims = frame_->space.dims();
  const float* centroid = frame_->Centroid(list);
  return OrderableKey(frame_->space.metric() == Metric::kInnerProduct
                          ? query.add - kernels.inner_product(query.work, centroid, dims)
                          : kernels.l2_squared(query.work, centroid, dims));
}

// A number above the last one that about `wanted_` of the bounds are not above.
float ProbeOrder::NextCut() const {
  if (wanted_ >= lists_) return INFINITY;
  float sample[kCutSample];
  const size_t slots = lower_.size(), most = std::min(slots, kCutSample);
  size_t n = 0;
  for (size_t i = 0; i < most; ++i) {
    const float bound = lower_[i * slots / most];
    if (!std::isnan(bound)) sample[n++] = bound;
  }
  const size_t at = wanted_ * n / lists_;
  if (n == 0) return INFINITY;
  std::nth_element(sample, sample + at, sample + n);
  return sample[at] > cut_ ? sample[at] : INFINITY;
}

// Puts more lists in order. Those whose bound is not above the cut become known; of these, the ones
// whose key is not above it come before all others. False: there are no more lists.
bool ProbeOrder::Extend() {
  while (next_ == ordered_ && ordered_ < lists_) {
    const bool first = known_.empty();
    const float cut = NextCut();
    wanted_ *= 2;
    for (uint32_t list = 0; list < lower_.size(); ++list) {
      if (!(lower_[list] <= cut) || !(first || lower_[list] > cut_)) continue;
      known_.push_back({bounded_ ? Key(list) : lower_[list], list});
    }
    cut_ = cut;
    std::sort(known_.begin() + ordered_, known_.end(), [](const Probe& a, const Probe& b) {
      return a.key < b.key || (a.key == b.key && a.list < b.list);
    });
    while (ordered_ < known_.size() && known_[ordered_].key <= cut_) ++ordered_;
  }
  return next_ < ordered_;
}

}  // namespace ann::ivf
