#include "ivf/ivf_sort.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "pg/alloc.hpp"

namespace ann::ivf {

namespace {

// The sort's key is one number, list and TID: 18 + 32 + 14 bits, the first one turned over, since
// the server has no type of 64 bits without a sign.
constexpr int kOffsetBits = 14, kListShift = kOffsetBits + 32;
constexpr uint64_t kSign = uint64_t{1} << 63;
static_assert(MaxOffsetNumber < 1 << kOffsetBits);
static_assert(kMaxLists <= 1 << (64 - kListShift));

int64 KeyOf(uint32_t list, const ItemPointerData& tid) {
  const uint64_t key = uint64_t{list} << kListShift |
                       uint64_t{ItemPointerGetBlockNumberNoCheck(&tid)} << kOffsetBits |
                       ItemPointerGetOffsetNumberNoCheck(&tid);
  return static_cast<int64>(key ^ kSign);
}

}  // namespace

RowSort::RowSort(const IndexView& view, const quant::ListCodec& codec, int memory_kb,
                 SortCoordinate coordinate, MemoryContext context)
    : attribute_bytes_(view.meta.attribute_bytes),
      code_bytes_(codec.row_bytes()),
      second_bytes_(codec.second_bytes()) {
  MemoryContext old = MemoryContextSwitchTo(context);
  const size_t bytes = VARHDRSZ + sizeof(float) + attribute_bytes_ + code_bytes_ + second_bytes_;
  payload_ = reinterpret_cast<struct varlena*>(pg::AllocZero<char>(context, bytes));
  SET_VARSIZE(payload_, bytes);
  desc_ = CreateTemplateTupleDesc(2);
  TupleDescInitEntry(desc_, 1, "place", INT8OID, -1, 0);
  TupleDescInitEntry(desc_, 2, "row", BYTEAOID, -1, 0);
  in_ = MakeSingleTupleTableSlot(desc_, &TTSOpsVirtual);
  out_ = MakeSingleTupleTableSlot(desc_, &TTSOpsMinimalTuple);
  AttrNumber key = 1;
  Oid less = Int8LessOperator, collation = InvalidOid;
  bool nulls_first = false;
  sort_ = tuplesort_begin_heap(desc_, 1, &key, &less, &collation, &nulls_first, memory_kb,
                               coordinate, TUPLESORT_NONE);
  MemoryContextSwitchTo(old);
}

char* RowSort::attributes() const { return VARDATA(payload_) + sizeof(float); }

uint8_t* RowSort::code() const {
  return reinterpret_cast<uint8_t*>(attributes()) + attribute_bytes_;
}

uint8_t* RowSort::second() const { return second_bytes_ > 0 ? code() + code_bytes_ : nullptr; }

void RowSort::Add(uint32_t list, const ItemPointerData& tid, float distance) {
  if (!std::isfinite(distance)) distance = 0;
  std::memcpy(VARDATA(payload_), &distance, sizeof distance);
  ExecClearTuple(in_);
  in_->tts_values[0] = Int64GetDatum(KeyOf(list, tid));
  in_->tts_values[1] = PointerGetDatum(payload_);
  in_->tts_isnull[0] = in_->tts_isnull[1] = false;
  ExecStoreVirtualTuple(in_);
  tuplesort_puttupleslot(sort_, in_);
}

bool RowSort::Next(CodedRow* row) {
  if (!tuplesort_gettupleslot(sort_, true, false, out_, nullptr)) return false;
  bool isnull;
  const uint64_t key = static_cast<uint64_t>(DatumGetInt64(slot_getattr(out_, 1, &isnull))) ^ kSign;
  const auto* payload =
      reinterpret_cast<const struct varlena*>(DatumGetPointer(slot_getattr(out_, 2, &isnull)));
  const char* at = VARDATA_ANY(payload);
  ItemPointerData tid;
  ItemPointerSet(&tid, static_cast<BlockNumber>(key >> kOffsetBits),
                 static_cast<OffsetNumber>(key & ((1u << kOffsetBits) - 1)));
  row->list = static_cast<uint32_t>(key >> kListShift);
  std::memcpy(&row->tid, &tid, sizeof tid);
  std::memcpy(&row->distance, at, sizeof(float));
  row->attributes = at + sizeof(float);
  row->code = reinterpret_cast<const uint8_t*>(row->attributes) + attribute_bytes_;
  row->second = second_bytes_ > 0 ? row->code + code_bytes_ : nullptr;
  return true;
}

void RowSort::End() {
  tuplesort_end(sort_);
  ExecDropSingleTupleTableSlot(in_);
  ExecDropSingleTupleTableSlot(out_);
}

// Of the vectors of a batch: less than cluster::kBatchRows of them only where they are strings of
// bits, which grow to floats.
constexpr size_t kBatchBytes = size_t{64} << 20;

RowPlacer::RowPlacer(const Frame& frame, const cluster::CentroidTable& table, RowSort& sort,
                     MemoryContext context)
    : frame_(frame), table_(table), sort_(sort) {
  const size_t bytes = sizeof(float) * frame.space.dims();
  most_ = static_cast<uint32_t>(std::clamp<size_t>(kBatchBytes / bytes, 1, cluster::kBatchRows));
  const size_t floats = most_ * size_t{frame.space.dims()};
  vectors_ = pg::AllocZero<float>(context, floats);
  works_ = pg::AllocZero<float>(context, floats);
  attributes_ = pg::AllocZero<char>(context, most_ * size_t{sort.attribute_bytes()} + 1);
}

void RowPlacer::Add(const float* x, const char* attributes, const ItemPointerData& tid,
                    float prior) {
  const uint32_t dims = frame_.space.dims(), bytes = sort_.attribute_bytes();
  if (bytes > 0) std::memcpy(attributes_ + size_t{batch_} * bytes, attributes, bytes);
  std::memcpy(vectors_ + size_t{batch_} * dims, x, sizeof(float) * dims);
  tids_[batch_] = tid;
  priors_[batch_] = prior;
  if (++batch_ == most_) Flush();
}

void RowPlacer::Flush() {
  const uint32_t dims = frame_.space.dims();
  for (uint32_t i = 0; i < batch_; ++i) {
    float* work = works_ + size_t{i} * dims;
    frame_.space.Transform(vectors_ + size_t{i} * dims, work);
    for (uint32_t d = 0; d < dims; ++d) {
      if (std::isnan(work[d])) work[d] = 0;
    }
  }
  cluster::Progress progress;
  table_.Nearest(works_, batch_, lists_, distances_, progress);
  for (uint32_t i = 0; i < batch_; ++i) {
    CHECK_FOR_INTERRUPTS();
    const uint32_t bytes = sort_.attribute_bytes();
    std::memcpy(sort_.attributes(), attributes_ + size_t{i} * bytes, bytes);
    frame_.codec.Encode(vectors_ + size_t{i} * dims, works_ + size_t{i} * dims,
                        frame_.Centroid(lists_[i]), sort_.code(), sort_.second(), priors_[i]);
    sort_.Add(lists_[i], tids_[i], distances_[i]);
  }
  rows_ += batch_;
  batch_ = 0;
}

}  // namespace ann::ivf
