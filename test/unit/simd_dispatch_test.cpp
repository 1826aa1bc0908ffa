// Selection of targets.
#include <algorithm>
#include <string>

#include "simd_test_util.hpp"

namespace {

using namespace ann::simd;

// Evaluated by the loader, before anything could have called InitKernels().
const float kBeforeInit = [] {
  const float x[3] = {1, 2, 3};
  return Floats().inner_product(x, x, 3);
}();

TEST(SimdDispatchTest, TablesWorkBeforeInit) { EXPECT_EQ(kBeforeInit, 14.0f); }

TEST(SimdDispatchTest, InitSelectsTheBest) {
  InitKernels();
  ASSERT_FALSE(Targets().empty());
  EXPECT_LE(Targets().size(), kMaxTargets);
  EXPECT_STREQ(Targets().front(), "portable");
  EXPECT_STREQ(TargetName(), Targets().back());
}

TEST(SimdDispatchTest, EveryListedTargetCanBeSelected) {
  for (const char* name : Targets()) {
    EXPECT_TRUE(SetTarget(std::string(name).c_str()));
    EXPECT_STREQ(TargetName(), name);
  }
  InitKernels();
}

TEST(SimdDispatchTest, UnknownTargetChangesNothing) {
  InitKernels();
  const FloatKernels* const floats = &Floats();
  const CodeKernels* const codes = &Codes();
  for (const char* name : {"", "vax", "AVX2", "avx2 "}) {
    EXPECT_FALSE(SetTarget(name)) << name;
  }
  EXPECT_STREQ(TargetName(), Targets().back());
  EXPECT_EQ(&Floats(), floats);
  EXPECT_EQ(&Codes(), codes);
}

TEST(SimdDispatchTest, TargetsOfThisBuildThatTheCpuLacksAreRefused) {
  for (const char* name : {"sse4", "avx2", "avxvnni", "avx512", "avx512vnni", "neon", "neondot"}) {
    const bool listed = std::any_of(Targets().begin(), Targets().end(),
                                    [name](const char* t) { return std::string(t) == name; });
    EXPECT_EQ(SetTarget(name), listed) << name;
  }
  InitKernels();
}

}  // namespace
