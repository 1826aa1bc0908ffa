// What an index scan has cost, for ann_index_scan_stats.
#pragma once

#include "pg/pg.hpp"

namespace ann::am {

// Ways in which a scan has looked for rows.
enum ScanWay : uint8 {
  kWayWalk = 1,      // hnsw: along the graph
  kWayBridge = 2,    // hnsw: from passing nodes anywhere
  kWayPostings = 4,  // hnsw: the nodes of the first attribute's values
  kWaySweep = 8,     // hnsw: all nodes, or all that pass
  kWayLists = 16,    // ivf
  kWayRows = 32,     // the rows of another index's set, one by one
};

// What an access method says of a scan.
struct ScanWork {
  uint32 ef;          // candidates that the last round of a walk kept; 0: there was none
  uint32 probes;      // lists read; 0: none, or not of ivf
  uint64 candidates;  // whose codes were looked at
  uint32 rounds;      // of looking for candidates
  int64 unpinned;     // pages read without a pin
  bool filtered;  // rows are passed over for conditions, or for not being of another index's set
  uint8 ways;     // of ScanWay
};

// The pages that this backend has got hold of, of all tables and indexes; differences of two are
// what lies between.
struct PagesUsed {
  int64 hit;   // without a pin, too
  int64 read;  // that were not in shared buffers

  static PagesUsed Now() {
    return {pgBufferUsage.shared_blks_hit + pgBufferUsage.local_blks_hit,
            pgBufferUsage.shared_blks_read + pgBufferUsage.local_blks_read};
  }
  PagesUsed operator-(const PagesUsed& other) const { return {hit - other.hit, read - other.read}; }
  PagesUsed& operator+=(const PagesUsed& other) {
    hit += other.hit, read += other.read;
    return *this;
  }
};

struct ScanFigures {
  Oid index;
  ScanWork work;
  PagesUsed pages;  // of the index and, for exact distances, of the table
  int64 exact;      // distances from rows of the table
  int64 emitted;    // rows
};

// Notes a scan that is at its end as this backend's last.
void PublishScan(const ScanFigures& figures);

}  // namespace ann::am
