#ifndef GRACEFUL_RELOAD_DESCRIPTORS_H_
#define GRACEFUL_RELOAD_DESCRIPTORS_H_

#include <vector>

#include "reload/slot.h"

namespace graceful {

// What this process has open below `limit`, in order.
std::vector<int> OpenDescriptors(int limit);

// Whether it is a stream socket that was accepted by this slot's listeners, or by their like.
bool IsConnection(const Slot& slot, int fd);

// The descriptors that handlers open for themselves. They land in the slot's table, which outlives
// the worker, so no exit(2) closes them: the keeper does.
//
// A handler's descriptors have nothing to tell them by, so each is marked before the next worker
// is cloned: what is marked was opened by an older one. The mark is on the open file, not on the
// number, which the next worker may have got again by then: it is the signal for asynchronous I/O
// (F_SETSIG, fcntl(2)), which means nothing without O_ASYNC.
class Leftovers {
 public:
  // All that is open now is the keeper's, and stays.
  explicit Leftovers(Slot& slot);

  // Marks what handlers have open. `own`: what the keeper has opened since it began.
  void Mark(const std::vector<int>& own);

  // Closes what is marked, once the workers from before the last Mark() have gone. How many.
  int Close();

 private:
  bool ArrivesInInbox(int fd) const;

  Slot& slot_;
  std::vector<int> keepers_;
  std::vector<int> marked_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_DESCRIPTORS_H_
