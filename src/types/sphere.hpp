// Spheres: what is nearer to a center than a radius. A value is a row of the composite type that
// belongs to the center's type (sphere_vector, sphere_halfvec), in SQL (center, radius).
#pragma once

#include "pg/pg.hpp"

namespace ann::types {

struct Sphere {
  Datum center;
  double radius;  // not NaN
  bool is_null;   // center or radius is: then nothing is known to lie within
};

// How the rows of a sphere type are read. Lives in a memory context as long as that does.
struct SphereReader {
  TupleDesc fields = nullptr;
  Oid type = InvalidOid;

  // The center, which must be of this type, lies within the value, or in a copy in the current
  // context. Errors: 22023 for a radius of NaN; 42804 for a row of other fields.
  Sphere Read(Datum value, Oid center_type, MemoryContext context);
};

}  // namespace ann::types
