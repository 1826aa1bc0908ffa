#include "quant/sparse_codec.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "core/bytes.hpp"
#include "core/rng.hpp"
#include "quant/cells.hpp"

namespace ann::quant {

namespace {

using simd::DimensionOf;
using simd::SparseEntry;
using simd::ValueOf;

constexpr int kLargestValue = 32767;
constexpr uint32_t kFewestBits = 12, kMostBits = 16;
constexpr size_t kMostElements = 16000;

struct Element {
  uint32_t dimension;
  float value;
};
static_assert(sizeof(Element) == 8);

// The number that an entry has for a dimension.
Element Named(const SparseShape& shape, int32_t index, float value) {
  if (!IsHashed(shape)) return {static_cast<uint32_t>(index), value};
  const uint64_t hash = Mix64(0x9e3779b97f4a7c15ULL + static_cast<uint32_t>(index));
  return {static_cast<uint32_t>(hash >> 48), value};
}

uint32_t Magnitude(float value) { return std::bit_cast<uint32_t>(value) & 0x7FFFFFFF; }

// The least magnitude of the `room` largest elements.
uint32_t LeastKept(const SparseView& x, uint32_t room) {
  if (x.count <= room) return 0;
  uint32_t least = 0;
  for (int bit = 30; bit >= 0; --bit) {
    const uint32_t wanted = least | 1u << bit;
    uint32_t reached = 0;
    for (uint32_t i = 0; i < x.count; ++i) reached += Magnitude(x.values[i]) >= wanted;
    if (reached >= room) least = wanted;
  }
  return least;
}

struct Sizes {
  double squared = 0, magnitude = 0;
  void Add(double value) { squared += value * value, magnitude += std::fabs(value); }
  double Of(Metric metric) const { return metric == Metric::kL1 ? magnitude : squared; }
};

Sizes SizesOf(const SparseView& x) {
  Sizes sizes;
  for (uint32_t i = 0; i < x.count; ++i) sizes.Add(x.values[i]);
  return sizes;
}

// What is left out: its Euclidean length, under L1 its size.
float RestOf(Metric metric, const Sizes& rest) {
  return static_cast<float>(metric == Metric::kL1 ? rest.magnitude : std::sqrt(rest.squared));
}

double Scale(Metric metric, const Sizes& whole) {
  return metric == Metric::kCosine && whole.squared > 0 ? 1 / std::sqrt(whole.squared) : 1;
}

// Of elements of one number the largest stays, what goes is added to `rest`. They end up in order
// of numbers.
uint32_t KeepLargest(Element* elements, uint32_t n, Sizes* rest) {
  const auto before = [](const Element& a, const Element& b) {
    if (a.dimension != b.dimension) return a.dimension < b.dimension;
    const uint32_t x = Magnitude(a.value), y = Magnitude(b.value);
    return x != y ? x > y : a.value < b.value;
  };
  std::sort(elements, elements + n, before);
  uint32_t kept = 0;
  for (uint32_t i = 0; i < n; ++i) {
    if (kept > 0 && elements[kept - 1].dimension == elements[i].dimension) {
      rest->Add(elements[i].value);
    } else {
      elements[kept++] = elements[i];
    }
  }
  return kept;
}

float LargestOf(const Element* elements, uint32_t n) {
  float largest = 0;
  for (uint32_t i = 0; i < n; ++i) largest = std::max(largest, std::fabs(elements[i].value));
  return largest;
}

// Entries of the elements whose values do not become 0.
uint32_t WriteEntries(const Element* elements, uint32_t n, float step, uint32_t* entries) {
  const float inverse = InverseStep(step);
  uint32_t written = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const auto value = static_cast<int32_t>(std::lrint(
        std::clamp(elements[i].value * inverse, float{-kLargestValue}, float{kLargestValue})));
    if (value != 0) entries[written++] = SparseEntry(elements[i].dimension, value);
  }
  return written;
}

// --- tables -------------------------------------------------------------------------------------

uint32_t* TablePlace(void* memory) { return static_cast<uint32_t*>(memory); }

// A 32nd of the places is taken, so that few entries find theirs taken.
uint32_t BitsFor(uint32_t count) {
  return std::clamp(static_cast<uint32_t>(std::bit_width(count * 32)), kFewestBits, kMostBits);
}

// Puts entries into a table of 2^bits places and the others behind it.
void Tabulate(const uint32_t* entries, uint32_t count, uint32_t bits, void* memory,
              SparseQuery* query) {
  uint32_t* table = TablePlace(memory);
  const uint32_t places = 1u << bits;
  std::memset(table, 0, sizeof(uint32_t) * places);
  uint32_t* others = table + places;
  query->table = table, query->others = others;
  query->mask = places - 1, query->other_count = 0, query->count = count;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t& place = table[DimensionOf(entries[i]) & query->mask];
    if (ValueOf(place) == 0) {
      place = entries[i];
    } else {
      others[query->other_count++] = entries[i];
    }
  }
}

// --- codes --------------------------------------------------------------------------------------

struct CodeView {
  SparseFactors factors;
  const uint32_t* entries;
  uint32_t steps;  // entries, up to the next multiple of kSparseStep
};

// A code that may be torn names no more entries than there is room for.
CodeView View(const SparseShape& shape, const uint8_t* coded) {
  CodeView view{LoadAs<SparseFactors>(coded),
                reinterpret_cast<const uint32_t*>(coded + sizeof(SparseFactors)), 0};
  view.factors.count = std::min(view.factors.count, shape.entries);
  view.steps = static_cast<uint32_t>(RoundUp(view.factors.count, simd::kSparseStep));
  return view;
}

// The value of a dimension, 0 where the code has none.
int32_t ValueAt(const CodeView& view, uint32_t dimension) {
  const uint32_t* end = view.entries + view.factors.count;
  const uint32_t* at = std::lower_bound(view.entries, end, dimension << 16);
  return at != end && DimensionOf(*at) == dimension ? ValueOf(*at) : 0;
}

float Dot(const simd::SparseKernels& kernels, const SparseQuery& query, const CodeView& view) {
  float sum = kernels.dot(view.entries, view.steps, query.table, query.mask);
  for (uint32_t i = 0; i < query.other_count; ++i) {
    const uint32_t other = query.others[i];
    sum +=
        static_cast<float>(ValueOf(other)) * static_cast<float>(ValueAt(view, DimensionOf(other)));
  }
  return sum * query.step * view.factors.step;
}

float L1Shared(const simd::SparseKernels& kernels, const SparseQuery& query, const CodeView& view) {
  float sum = kernels.l1_shared(view.entries, view.steps, view.factors.step, query.table,
                                query.mask, query.step);
  for (uint32_t i = 0; i < query.other_count; ++i) {
    const uint32_t other = query.others[i];
    const float a = static_cast<float>(ValueAt(view, DimensionOf(other))) * view.factors.step;
    const float b = static_cast<float>(ValueOf(other)) * query.step;
    sum += std::fabs(a - b) - std::fabs(a) - std::fabs(b);
  }
  return sum;
}

// What the two sides have in common, over the entries of the code: the inner product; under L1,
// what the sum of the two sizes is more than the distance, with a minus.
float Shared(const simd::SparseKernels& kernels, const SparseShape& shape, const SparseQuery& query,
             const CodeView& view) {
  return shape.metric == Metric::kL1 ? L1Shared(kernels, query, view) : Dot(kernels, query, view);
}

// By how much entries are stretched to the length of their vector.
float Stretch(Metric metric, const SparseFactors& f) {
  const float ratio = f.decoded > 0 && std::isfinite(f.norm) ? f.norm / f.decoded : 1;
  return metric == Metric::kL1 ? ratio : std::sqrt(ratio);
}

// And a product with a whole vector once more: that of the vector with itself is then exact.
float WholeStretch(Metric metric, const SparseFactors& f) {
  return metric == Metric::kL1 ? 1 : Stretch(metric, f);
}

float KeyOf(const SparseShape& shape, const SparseQuery& query, const SparseFactors& f,
            float shared) {
  switch (shape.metric) {
    case Metric::kL1:
      return query.norm + f.norm + shared;
    case Metric::kInnerProduct:
      return -shared;
    default:
      return query.norm + f.norm - 2 * shared;
  }
}

// What the sum over equal numbers is off by at most.
float LargestError(const SparseShape& shape, const SparseQuery& query, const SparseFactors& f,
                   float shared) {
  constexpr float kRounding = 4e-6f;  // of sums of floats
  const float stretch = Stretch(shape.metric, f), whole = WholeStretch(shape.metric, f);
  const float stretched = std::fabs(shared) * (whole - 1 / stretch);
  if (shape.metric == Metric::kL1) {
    const float met = static_cast<float>(std::min(f.count, query.count));
    return met * (f.step + query.step) + 2 * (f.rest + query.rest) + stretched +
           kRounding * (query.norm + f.norm);
  }
  const float q = std::sqrt(query.norm), x = std::sqrt(f.norm);
  const float values =
      (f.step * query.magnitude + query.step * std::sqrt(static_cast<float>(f.count)) * x) / 2;
  return values + f.rest * q + query.rest * x + stretched + kRounding * q * x;
}

struct Range {
  float least, most;
  void Add(float value) { least += std::min(value, 0.0f), most += std::max(value, 0.0f); }
};

// Two entries of one hash may be of two dimensions, and then have nothing in common: what the two
// sides share lies between the sums of the products below and above 0. (Under L1 all are below.)
Range HashedRange(const SparseShape& shape, const SparseQuery& query, const CodeView& view,
                  float shared) {
  Range range{};
  if (shape.metric == Metric::kL1) {
    range.Add(shared);
    return range;
  }
  const float scale = query.step * view.factors.step;
  const auto meet = [&](uint32_t a, int32_t b) {
    range.Add(static_cast<float>(ValueOf(a)) * static_cast<float>(b) * scale);
  };
  for (uint32_t i = 0; i < view.factors.count; ++i) {
    const uint32_t entry = view.entries[i], met = query.table[DimensionOf(entry) & query.mask];
    if (DimensionOf(met) == DimensionOf(entry)) meet(entry, ValueOf(met));
  }
  for (uint32_t i = 0; i < query.other_count; ++i) {
    meet(query.others[i], ValueAt(view, DimensionOf(query.others[i])));
  }
  return range;
}

}  // namespace

size_t SparseCodeBytes(uint32_t entries) {
  return sizeof(uint32_t) * ((size_t{1} << kFewestBits) + entries);
}
size_t SparseQueryBytes() {
  return sizeof(uint32_t) * ((size_t{1} << kMostBits) + 2 * kMostElements) +
         sizeof(Element) * kMostElements;
}

void CodeSparse(const SparseShape& shape, const SparseView& x, void* scratch, uint8_t* coded) {
  std::memset(coded, 0, sizeof(SparseFactors) + sizeof(uint32_t) * shape.entries);
  const Sizes whole = SizesOf(x);
  const double scale = Scale(shape.metric, whole);
  SparseFactors factors{0, INFINITY, INFINITY, INFINITY, 0};
  if (whole.squared <= kLongest) {
    auto* elements = static_cast<Element*>(scratch);
    const uint32_t least = LeastKept(x, shape.entries);
    uint32_t above = 0, kept = 0;
    for (uint32_t i = 0; i < x.count; ++i) above += Magnitude(x.values[i]) > least;
    // Of those of the least magnitude as many as there is room for.
    uint32_t equal = shape.entries - std::min(above, shape.entries);
    Sizes rest;
    for (uint32_t i = 0; i < x.count; ++i) {
      const uint32_t magnitude = Magnitude(x.values[i]);
      const auto value = static_cast<float>(x.values[i] * scale);
      if (magnitude > least || (magnitude == least && equal > 0)) {
        equal -= magnitude == least;
        elements[kept++] = Named(shape, x.indices[i], value);
      } else {
        rest.Add(value);
      }
    }
    if (IsHashed(shape)) kept = KeepLargest(elements, kept, &rest);
    factors.step = LargestOf(elements, kept) / kLargestValue;
    auto* entries = reinterpret_cast<uint32_t*>(coded + sizeof(SparseFactors));
    factors.count = WriteEntries(elements, kept, factors.step, entries);
    Sizes decoded;
    for (uint32_t i = 0; i < factors.count; ++i) {
      decoded.Add(static_cast<double>(ValueOf(entries[i])) * factors.step);
    }
    const double unit = shape.metric == Metric::kL1 ? scale : scale * scale;
    factors.norm = static_cast<float>(whole.Of(shape.metric) * unit);
    factors.decoded = static_cast<float>(decoded.Of(shape.metric));
    factors.rest = RestOf(shape.metric, rest);
    factors.step *= Stretch(shape.metric, factors);
  }
  std::memcpy(coded, &factors, sizeof factors);
}

bool IsSparseCode(const SparseShape& shape, const uint8_t* coded) {
  const auto factors = LoadAs<SparseFactors>(coded);
  const bool sound = factors.norm == INFINITY
                         ? factors.count == 0 && factors.step == 0
                         : factors.norm >= 0 && factors.decoded >= 0 && factors.rest >= 0 &&
                               factors.step >= 0 && std::isfinite(factors.step + factors.decoded) &&
                               factors.count <= shape.entries;
  if (!sound) return false;
  const CodeView view = View(shape, coded);
  for (uint32_t i = 0; i < shape.entries; ++i) {
    const uint32_t entry = view.entries[i];
    if (i >= factors.count ? entry != 0 : ValueOf(entry) == 0) return false;
    if (i > 0 && i < factors.count && DimensionOf(view.entries[i - 1]) >= DimensionOf(entry)) {
      return false;
    }
  }
  return true;
}

SparseQuery PrepareSparse(const SparseShape& shape, const SparseView& x, void* memory) {
  const Sizes whole = SizesOf(x);
  const double scale = Scale(shape.metric, whole);
  const double unit = shape.metric == Metric::kL1 ? scale : scale * scale;
  SparseQuery query{};
  query.norm = static_cast<float>(whole.Of(shape.metric) * unit);
  query.magnitude = static_cast<float>(whole.magnitude * scale);
  const uint32_t bits = BitsFor(x.count);
  uint32_t* entries = TablePlace(memory) + (size_t{1} << bits) + kMostElements;
  auto* elements = reinterpret_cast<Element*>(entries + kMostElements);
  uint32_t n = 0;
  for (uint32_t i = 0; i < x.count; ++i) {
    elements[n++] = Named(shape, x.indices[i], static_cast<float>(x.values[i] * scale));
  }
  Sizes rest;
  if (IsHashed(shape)) n = KeepLargest(elements, n, &rest);
  query.rest = RestOf(shape.metric, rest);
  query.step = LargestOf(elements, n) / kLargestValue;
  Tabulate(entries, WriteEntries(elements, n, query.step, entries), bits, memory, &query);
  return query;
}

SparseQuery PrepareSparseCode(const SparseShape& shape, const uint8_t* coded, void* memory) {
  const CodeView view = View(shape, coded);
  SparseQuery query{};
  query.step = view.factors.step;
  query.norm = view.factors.norm;
  Tabulate(view.entries, view.factors.count, kFewestBits, memory, &query);
  return query;
}

float SparseKey(const simd::SparseKernels& kernels, const SparseShape& shape,
                const SparseQuery& query, const uint8_t* coded) {
  const CodeView view = View(shape, coded);
  return KeyOf(shape, query, view.factors,
               Shared(kernels, shape, query, view) * WholeStretch(shape.metric, view.factors));
}

Estimate SparseEstimate(const simd::SparseKernels& kernels, const SparseShape& shape,
                        const SparseQuery& query, const uint8_t* coded) {
  const CodeView view = View(shape, coded);
  const float shared = Shared(kernels, shape, query, view);
  float error = LargestError(shape, query, view.factors, shared);
  float middle = shared * WholeStretch(shape.metric, view.factors);
  if (IsHashed(shape)) {
    const Range range = HashedRange(shape, query, view, shared);
    middle = (range.least + range.most) / 2;
    error += (range.most - range.least) / 2;
  }
  const bool twice = shape.metric == Metric::kL2 || shape.metric == Metric::kCosine;
  // The sizes are rounded, too.
  if (twice) error = 2 * error + 4e-6f * (query.norm + view.factors.norm);
  return {KeyOf(shape, query, view.factors, middle), error / kConfidence};
}

float SparseCodeDistance(const simd::SparseKernels& kernels, const SparseShape& shape,
                         const SparseQuery& query, const uint8_t* coded) {
  const CodeView view = View(shape, coded);
  const float sizes = query.norm + view.factors.norm;
  if (shape.metric == Metric::kL1) {
    return std::max(0.0f, sizes + L1Shared(kernels, query, view));
  }
  const float dot = Dot(kernels, query, view);
  return shape.metric == Metric::kInnerProduct ? -dot : std::max(0.0f, sizes - 2 * dot);
}

}  // namespace ann::quant
