// The processes that build an index together: README section "Build".
// What a job computes does not depend on who does which chunk.
#pragma once

#include "am/crew.hpp"
#include "ivf/ivf_sort.hpp"
#include "ivf/ivf_train.hpp"

namespace ann::ivf {

struct CrewShared;

// The leader's side. An index that one process builds has a crew of one. In this order:
// Start, SampleRows, FindLists, PlaceRows, then the rows are read, End.
class Crew {
 public:
  // `view`: of the index, which is empty; it gets its frame. Memory: of `context`.
  Crew(Relation heap, IndexView* view, IndexInfo* info, MemoryContext context)
      : heap_(heap), view_(view), info_(info), context_(context) {}

  // Plans lists (`lists`, `given`: as the user set them) and starts workers: as many as settings
  // and the table's size say, none when there is no shared memory for them.
  void Start(int lists, const UserCentroids* given);
  void SampleRows();
  void FindLists();
  // Rows of the table; rows() of them go to their lists.
  double PlaceRows();
  uint64_t rows() const;
  // Of the table, about.
  double planned_rows() const { return plan_.rows; }
  // The stream of the frame's pages.
  const float* stream() const { return frame_.stream; }
  // The rows, once placed, still to be sorted. The workers have gone.
  RowSort& sort() { return *sort_; }
  void End();

 private:
  static void RunStep(void* crew, TrainingStep step, uint32_t chunks);
  void MakeShared(int workers);
  bool Launch(int workers, size_t frame_bytes);
  void PrepareSample();
  RowSort* MakeSort(int memory_kb, SortCoordinate coordinate);
  void Disband();
  void ForgetSnapshot();

  Relation heap_;
  IndexView* view_;
  IndexInfo* info_;
  MemoryContext context_;
  TrainingPlan plan_{};
  CrewShared* shared_ = nullptr;
  FrameMemory frame_;
  MemoryContext training_context_ = nullptr;
  Training* training_ = nullptr;
  // Of the sample; null: it is this process's own.
  dsm_segment* sample_ = nullptr;
  RowSort* sort_ = nullptr;
  // None: a crew of one.
  am::Workers workers_;
  Snapshot snapshot_ = nullptr;
};

}  // namespace ann::ivf
