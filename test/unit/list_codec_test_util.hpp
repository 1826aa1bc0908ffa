// Lists of coded rows with the memory they want, and what their estimates are off by.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include <gtest/gtest.h>

#include "codec_test_util.hpp"
#include "quant/list_codec.hpp"

namespace ann::testing {

using quant::BlockScores;
using quant::Estimate;
using quant::kBlockRows;
using quant::ListCodec;
using quant::ListCodecParams;
using quant::ListContext;
using quant::ListQuery;
using quant::Metric;
using quant::Quantizer;
using quant::WorkQuery;
using quant::WorkSpace;

inline constexpr Metric kMetrics[] = {Metric::kL2, Metric::kCosine, Metric::kInnerProduct};

inline const char* NameOfMetric(Metric metric) {
  return metric == Metric::kL2 ? "l2" : metric == Metric::kCosine ? "cosine" : "ip";
}

inline ListCodecParams Rabitq(int second_bits) {
  return {Quantizer::kRabitq, static_cast<uint8_t>(second_bits), 0, 0, 1};
}
inline constexpr ListCodecParams kSq8 = {Quantizer::kSq8, 0, 0, 0, 1};
inline constexpr ListCodecParams kFlat = {Quantizer::kFlat, 0, 0, 0, 1};
inline ListCodecParams Pq(int bits, size_t segments) {
  return {Quantizer::kPq, 0, static_cast<uint8_t>(bits), static_cast<uint16_t>(segments), 1};
}

struct Aligned {
  explicit Aligned(size_t n) : bytes(n + 64) {}
  uint8_t* data() { return bytes.data() + (64 - reinterpret_cast<uintptr_t>(bytes.data()) % 64); }
  std::vector<uint8_t> bytes;
};

class TestSpace {
 public:
  TestSpace(Metric metric, const Vector& mean, uint64_t seed)
      : mean_(mean),
        memory_(WorkSpace::MemoryBytes(static_cast<uint32_t>(mean.size())) / 8 + 1),
        space_(metric, static_cast<uint32_t>(mean.size()), seed, mean_.data(), memory_.data()) {}
  TestSpace(const TestSpace&) = delete;
  TestSpace& operator=(const TestSpace&) = delete;
  const WorkSpace* operator->() const { return &space_; }
  const WorkSpace& operator*() const { return space_; }
  Vector Work(const Vector& x) const {
    Vector work(x.size());
    space_.Transform(x.data(), work.data());
    return work;
  }

 private:
  Vector mean_;
  std::vector<uint64_t> memory_;
  WorkSpace space_;
};

class TestLists {
 public:
  TestLists(const TestSpace& space, const ListCodecParams& params, const Vector& codebook = {},
            uint32_t rows = kBlockRows)
      : memory_(ListCodec::MemoryBytes(params, space->dims())),
        codec_(params, &*space, codebook.data(), rows, memory_.data()) {}
  TestLists(const TestLists&) = delete;
  TestLists& operator=(const TestLists&) = delete;
  const ListCodec* operator->() const { return &codec_; }
  const ListCodec& operator*() const { return codec_; }

 private:
  Aligned memory_;
  ListCodec codec_;
};

// A list in open and sealed blocks.
struct List {
  List(const TestLists& codec, const TestSpace& space, const std::vector<Vector>& vectors,
       const Vector& its_centroid)
      : rows(vectors), centroid(its_centroid) {
    second.resize(rows.size() * codec->second_bytes());
    std::vector<uint8_t> row(codec->row_bytes());
    const uint32_t per_block = codec->rows();
    for (size_t i = 0; i < rows.size(); ++i) {
      const Vector work = space.Work(rows[i]);
      codec->Encode(rows[i].data(), work.data(), centroid.data(), row.data(),
                    second.data() + i * codec->second_bytes());
      if (i % per_block == 0) {
        open.emplace_back(codec->block_bytes());
        std::memset(open.back().data(), 0, codec->block_bytes());
      }
      codec->SetRow(open.back().data(), static_cast<uint32_t>(i % per_block), row.data());
      coded.push_back(row);
    }
    for (Aligned& block : open) {
      sealed.emplace_back(codec->block_bytes());
      codec->Seal(block.data(), sealed.back().data());
    }
  }
  std::vector<Vector> rows;
  Vector centroid;
  std::vector<Aligned> open, sealed;
  std::vector<std::vector<uint8_t>> coded;
  std::vector<uint8_t> second;
};

struct Asked {
  Asked(const TestLists& codec, const TestSpace& space, const Vector& q, float epsilon)
      : vector(q), work(q.size()), memory(ListCodec::QueryBytes(codec->params(), space->dims())) {
    const WorkQuery prepared = space->PrepareQuery(vector.data(), work.data());
    query = codec->PrepareQuery(prepared, epsilon, memory.data());
  }
  Asked(const Asked&) = delete;
  Asked& operator=(const Asked&) = delete;
  Vector vector, work;
  Aligned memory;
  ListQuery query;
};

struct Measured {
  Errors first, second;
  double below = 0;  // rows whose key is below their lower bound
};

inline void Measure(const TestLists& codec, const TestSpace& space, List& list,
                    const std::vector<Vector>& queries, float epsilon, Measured* out) {
  for (const Vector& q : queries) {
    const Asked asked(codec, space, q, epsilon);
    const ListContext context = codec->PrepareList(asked.query, list.centroid.data());
    for (size_t i = 0; i < list.rows.size(); ++i) {
      const uint32_t place = static_cast<uint32_t>(i % codec->rows());
      Aligned& block = list.sealed[i / codec->rows()];
      BlockScores scores;
      codec->ScanBlock(asked.query, context, block.data(), true, 1u << place, INFINITY, &scores);
      const double truth = TrueKey(space->metric(), list.rows[i], q);
      const Estimate e =
          codec->WithError(asked.query, context, block.data(), place, scores.key[place]);
      ASSERT_EQ(e.key, scores.key[place]);
      if (e.sigma > 0) {
        ASSERT_NO_FATAL_FAILURE(out->first.Add(e, truth));
      }
      out->below += truth < scores.lower[place];
      if (codec->second_bytes() == 0) continue;
      ASSERT_NO_FATAL_FAILURE(out->second.Add(
          codec->Refine(asked.query, context, list.second.data() + i * codec->second_bytes()),
          truth));
    }
  }
}

inline std::vector<Vector> RealBase(size_t n) { return ReadRows("base.npy", n); }

inline std::vector<Vector> Normalized(std::vector<Vector> vectors) {
  for (Vector& v : vectors) {
    const double length = std::sqrt(Dot(v, v));
    for (float& value : v) value = static_cast<float>(value / length);
  }
  return vectors;
}

// The `n` rows nearest to the first one, as a list is, and the mean of their work vectors.
struct Cluster {
  Cluster(const TestSpace& space, const std::vector<Vector>& base, size_t n) : rows(base) {
    const Vector first = base[0];
    std::sort(rows.begin(), rows.end(), [&](const Vector& a, const Vector& b) {
      return SquaredDistance(a, first) < SquaredDistance(b, first);
    });
    rows.resize(n);
    std::vector<Vector> work;
    for (const Vector& x : rows) work.push_back(space.Work(x));
    centroid = Mean(work);
  }
  std::vector<Vector> rows;
  Vector centroid;
};

}  // namespace ann::testing
