// Work that can be left for later when there is no room on disk.
#pragma once

namespace ann::pg {

// Calls work(arg), whose changes are WAL-logged and each sound by itself, in a subtransaction, or,
// in a parallel VACUUM, with a resource owner of its own; there it must leave no snapshot pushed.
// False: the disk was full (53100) before it had come to its end, which a WARNING says of `what`.
// Other errors go on. May be called in VACUUM, no lightweight lock held.
bool UnlessDiskFull(const char* what, void (*work)(void* arg), void* arg);

}  // namespace ann::pg
