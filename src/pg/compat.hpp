// What differs between PostgreSQL 15 and 18, in one place. Included by pg/pg.hpp only.
#pragma once

#if PG_VERSION_NUM < 150000
#error "ann needs PostgreSQL 15 or later"
#endif

namespace ann::pg {

#if PG_VERSION_NUM >= 160000
using RelationFile = RelFileLocator;
inline RelationFile FileOf(Relation rel) { return rel->rd_locator; }
#else
using RelationFile = RelFileNode;
inline RelationFile FileOf(Relation rel) { return rel->rd_node; }
#endif

inline bool SameFile(const RelationFile& a, const RelationFile& b) {
#if PG_VERSION_NUM >= 160000
  return RelFileLocatorEquals(a, b);
#else
  return RelFileNodeEquals(a, b);
#endif
}

}  // namespace ann::pg
