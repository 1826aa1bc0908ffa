#include "am/index_scan.hpp"

#include "pg/error.hpp"

#include <cstring>

namespace ann::am {

namespace {

const char* MethodOf(IndexScanDesc scan) { return get_am_name(scan->indexRelation->rd_rel->relam); }

}  // namespace

ItemPointerData TableEnd::RowAt(IndexScanDesc scan, BlockNumber block, const format::Tid& stored) {
  ItemPointerData tid;
  std::memcpy(&tid, &stored, sizeof tid);
  const BlockNumber row_block = ItemPointerGetBlockNumberNoCheck(&tid);
  if (row_block >= blocks_) blocks_ = RelationGetNumberOfBlocks(scan->heapRelation);
  if (!ItemPointerIsValid(&tid) || row_block >= blocks_) {
    pg::ReportCorrupted(scan->indexRelation, block, "the page names no row of the table");
  }
  return tid;
}

void CheckScan(IndexScanDesc scan) {
  if (IsMVCCSnapshot(scan->xs_snapshot)) return;
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("%s index \"%s\" can be scanned with MVCC snapshots only", MethodOf(scan),
                         RelationGetRelationName(scan->indexRelation))));
}

void CheckDirection(IndexScanDesc scan, ScanDirection direction) {
  if (ScanDirectionIsForward(direction)) return;
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("%s index \"%s\" cannot be scanned backward", MethodOf(scan),
                         RelationGetRelationName(scan->indexRelation))));
}

void TakeKeys(IndexScanDesc scan, ScanKey keys, ScanKey orderbys) {
  if (keys != nullptr && scan->numberOfKeys > 0) {
    std::memmove(scan->keyData, keys, scan->numberOfKeys * sizeof(ScanKeyData));
  }
  if (orderbys != nullptr && scan->numberOfOrderBys > 0) {
    std::memmove(scan->orderByData, orderbys, scan->numberOfOrderBys * sizeof(ScanKeyData));
  }
}

void CountScan(IndexScanDesc scan) {
  pgstat_count_index_scan(scan->indexRelation);
  pg::CountIndexSearch(scan);
}

}  // namespace ann::am
