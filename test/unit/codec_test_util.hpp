// A codec with the memory it wants, and codes decoded by the book.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "quant/codec.hpp"
#include "simd/code.hpp"
#include "unit_data.hpp"

namespace ann::testing {

struct Coded {
  std::vector<uint8_t> code;
  std::vector<uint8_t> refinement;
};

class TestCodec {
 public:
  TestCodec(const quant::CodecParams& params, const Vector& mean)
      : mean_(mean),
        memory_(quant::Codec::MemoryBytes(params) / 8 + 1),
        codec_(params, mean_.data(), memory_.data()) {}
  TestCodec(const TestCodec&) = delete;
  TestCodec& operator=(const TestCodec&) = delete;

  const quant::Codec* operator->() const { return &codec_; }
  const quant::Codec& operator*() const { return codec_; }

  Vector Work(const Vector& x) const {
    Vector work(x.size());
    codec_.Transform(x.data(), work.data());
    return work;
  }
  Coded Encode(const Vector& x) const {
    Coded coded{std::vector<uint8_t>(codec_.coded_bytes()),
                std::vector<uint8_t>(codec_.refinement_bytes())};
    codec_.Encode(Work(x).data(), coded.code.data(),
                  coded.refinement.empty() ? nullptr : coded.refinement.data());
    return coded;
  }

 private:
  Vector mean_;
  std::vector<uint64_t> memory_;
  quant::Codec codec_;
};

class TestQuery {
 public:
  TestQuery(const TestCodec& codec, const Vector& x)
      : memory_(quant::Codec::QueryBytes(codec->params()) / 8 + 1),
        query_(codec->PrepareQuery(x.data(), memory_.data())) {}
  const quant::SearchQuery& operator*() const { return query_; }

 private:
  std::vector<uint64_t> memory_;
  quant::SearchQuery query_;
};

inline quant::CodecParams Params(quant::Metric metric, size_t dims, int traversal, int refinement,
                                 uint64_t seed = 42) {
  return {metric,
          static_cast<uint32_t>(dims),
          static_cast<uint8_t>(traversal),
          static_cast<uint8_t>(refinement),
          seed,
          0,
          0,
          false,
          false};
}

// The key that the estimates stand for.
inline double TrueKey(quant::Metric metric, const Vector& x, const Vector& q) {
  switch (metric) {
    case quant::Metric::kL2:
      return SquaredDistance(x, q);
    case quant::Metric::kInnerProduct:
      return -Dot(x, q);
    case quant::Metric::kCosine: {
      // |x/|x| - q/|q||^2 without the cancellation of 2 - 2 cos.
      const double nx = std::sqrt(Dot(x, x)), nq = std::sqrt(Dot(q, q));
      double sum = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double d = x[i] / nx - q[i] / nq;
        sum += d * d;
      }
      return sum;
    }
    default:
      return L1Distance(x, q);
  }
}

template <class T>
T Read(const std::vector<uint8_t>& bytes, size_t at = 0) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The values of a plane: dim i in byte i % bytes at bit b * (i / bytes) (simd/code.hpp).
inline std::vector<int> Values(const uint8_t* plane, int bits, size_t dims) {
  const size_t bytes = simd::PlaneBytes(bits, dims);
  std::vector<int> values(dims);
  for (size_t i = 0; i < dims; ++i) {
    values[i] = plane[i % bytes] >> (bits * static_cast<int>(i / bytes)) & ((1 << bits) - 1);
  }
  return values;
}

// d * y of the traversal code.
inline std::vector<double> Decode(const TestCodec& codec, const std::vector<uint8_t>& coded) {
  const auto factors = Read<quant::Factors>(coded);
  const int bits = codec->params().traversal_bits;
  const std::vector<int> values =
      Values(coded.data() + codec->factor_bytes(), bits, codec->params().dims);
  std::vector<double> decoded(values.size());
  for (size_t i = 0; i < decoded.size(); ++i) {
    decoded[i] = factors.norm > 0 ? double(factors.slope) * factors.decoded / factors.norm *
                                        (values[i] - ((1 << bits) - 1) / 2.0)
                                  : 0;
  }
  return decoded;
}

// Errors in units of the promised sigma.
struct Errors {
  double n = 0, sum = 0, squares = 0, worst = 0, beyond3 = 0;
  void Add(const quant::Estimate& estimate, double truth) {
    const double z = (estimate.key - truth) / estimate.sigma;
    ASSERT_TRUE(std::isfinite(z)) << estimate.key << " +- " << estimate.sigma;
    n += 1, sum += z, squares += z * z, worst = std::max(worst, std::fabs(z));
    beyond3 += std::fabs(z) > 3;
  }
  double mean() const { return sum / n; }
  double deviation() const { return std::sqrt(squares / n); }
};

// A Gaussian has 0.27 % beyond 3 sigma and one in 1.7 million beyond 5.
inline void ExpectGaussian(const Errors& errors, const char* what, double least) {
  EXPECT_LT(errors.worst, 5) << what;
  EXPECT_NEAR(errors.mean(), 0, 0.08) << what;
  EXPECT_GT(errors.deviation(), least) << what;
  EXPECT_LT(errors.deviation(), 1.1) << what;
  EXPECT_LT(errors.beyond3 / errors.n, 0.006) << what;
}

}  // namespace ann::testing
