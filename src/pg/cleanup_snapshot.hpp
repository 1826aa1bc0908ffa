// A snapshot that protects what it sees, for amvacuumcleanup (README, "Snapshots in VACUUM").
#pragma once

namespace ann::pg {

// Makes the active snapshot one whose rows, and what they have out of line, no other vacuum removes
// while it lasts. False: it cannot be had here (in a parallel vacuum, or when the isolation level
// keeps one snapshot); nothing has changed then.
bool BeginCleanupSnapshot();
// The state that VACUUM expects again. An error needs no call: the end of the transaction resets
// all.
void EndCleanupSnapshot();
// The same in a VACUUM that goes on after an error, if that came between the two: with the error's
// subtransaction its snapshot has gone.
void RestoreVacuumSnapshot();

}  // namespace ann::pg
