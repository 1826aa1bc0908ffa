// What the server does at load, before any test.
#include <gtest/gtest.h>

#include "simd/simd.hpp"

namespace {

class Kernels : public ::testing::Environment {
  void SetUp() override { ann::simd::InitKernels(); }
};

[[maybe_unused]] const ::testing::Environment* const kKernels =
    ::testing::AddGlobalTestEnvironment(new Kernels);

}  // namespace
