// Which lists are near a vector (README, "Probe order").
#pragma once

#include <cmath>

#include "core/vec.hpp"
#include "ivf/ivf_index.hpp"

#include "pg/alloc.hpp"

namespace ann::ivf {

// The centroids of a frame by codes of 1 bit a dim, which spare most of the exact distances. They
// are made when they are going to pay: a backend that comes for a few queries does without.
class CentroidCodes {
 public:
  // Bytes of the codes of a frame of so many slots.
  static size_t Bytes(uint32_t slots, uint32_t dims);
  // `context`: of the frame.
  explicit CentroidCodes(MemoryContext context) : context_(context) {}

  // Counts a ranking of the frame's lists. True: there are codes of all of them.
  bool Use(const Frame& frame);
  // Lower bounds of all lists' keys, to `epsilon` standard deviations; of those that are not in use
  // they mean nothing. `query`: the scan's, of which the table is used if the frame's codec makes
  // the same one. `lower`: Padded(lists) floats.
  void BoundKeys(const Frame& frame, const quant::ListQuery& query, float* lower) const;
  // The list whose centroid is nearest to a work vector.
  uint32_t Nearest(const Frame& frame, const float* work) const;

  static size_t Padded(uint32_t lists) { return RoundUp(lists, quant::kBlockRows); }

 private:
  // Codes of all centroids, for keys of one metric.
  struct Coded {
    quant::ListCodec codec;
    uint8_t* blocks;
    void* query;  // of ListCodec::QueryBytes
  };

  void Make(const Frame& frame);
  Coded MakeCoded(const Frame& frame, const quant::WorkSpace* space, uint8_t** memory) const;
  // Codes of the lists that have been added since there were lists_.
  void Fill(const Frame& frame, const Coded& coded) const;
  void Bound(const Coded& coded, const quant::ListQuery& query, float* lower) const;

  MemoryContext context_;
  void* memory_ = nullptr;
  uint32_t uses_ = 0;
  uint32_t lists_ = 0;      // that there are codes of
  quant::WorkSpace plain_;  // of squared distances
  Coded keys_{};            // of the metric's keys
  Coded distances_{};       // of squared distances; the same codes unless keys are products
  float* lower_ = nullptr;  // scratch
};

// The list whose centroid is nearest to a work vector: where its row belongs, under all metrics. Of
// equal ones the first. That a nearer one is missed is once in 3 million.
uint32_t NearestList(const Frame& frame, const float* work);

// The lists of a frame, the nearest to a query first; as many of them are ordered as are asked for.
// Each list comes once. The order is that of the centroids' keys; where codes are used, a list
// whose key is below its bound comes later than it should.
class ProbeOrder {
 public:
  using Alloc = pg::PgAllocator<std::byte>;
  explicit ProbeOrder(MemoryContext context) : lower_(Alloc(context)), known_(Alloc(context)) {}

  // `frame` and `query` must stay. Null: a query without distances, lists come in any order.
  void Start(const Frame& frame, const quant::ListQuery* query);

  // The next list. False: there is none.
  bool Peek(uint32_t* list) {
    if (next_ == ordered_ && !Extend()) return false;
    *list = known_[next_].list;
    return true;
  }
  // After Peek: the key of its centroid.
  float next_key() const { return known_[next_].key; }
  void Advance() { ++next_; }
  bool AtEnd() const { return next_ == lists_; }
  uint32_t taken() const { return next_; }
  // To the first list again; the order is what it was.
  void Rewind() { next_ = 0; }

 private:
  struct Probe {
    float key;
    uint32_t list;
  };

  bool Extend();
  float NextCut() const;
  float Key(uint32_t list) const;

  const Frame* frame_ = nullptr;
  const quant::ListQuery* query_ = nullptr;
  bool bounded_ = false;       // lower_ has bounds, not the keys
  VecOf<float, Alloc> lower_;  // by list: its key, or a lower bound; NaN: it is not in use
  uint32_t lists_ = 0;         // that are in use
  VecOf<Probe, Alloc> known_;  // lists whose bound is not above cut_, with their keys
  uint32_t ordered_ = 0;       // of known_: those that no other list comes before
  uint32_t next_ = 0;
  uint32_t wanted_ = 0;  // of the lists, about so many are to be below the next cut
  float cut_ = -INFINITY;
};

}  // namespace ann::ivf
