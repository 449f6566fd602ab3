#ifndef GRACEFUL_SIGNALS_LESSONS_SAFE_HANDLER_H_
#define GRACEFUL_SIGNALS_LESSONS_SAFE_HANDLER_H_

namespace graceful {

// A process that allocates all the time, with a handler that allocates too, once.
struct Deadlock {
  int signals;            // how many were sent until the handler did not come back
  bool waits_for_a_lock;  // and where it hangs: in futex(2)
};
Deadlock FindDeadlock();

// The same process, sent numbered signals (SIGRTMIN, which queues) as fast as they go.
struct Delivery {
  int sent;
  int received;
  bool in_order;
};
Delivery FindSelfPipeDelivery();  // its handler writes the number to a pipe: all, in order
Delivery FindSignalFdDelivery();  // it has no handler: all, in order

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_SAFE_HANDLER_H_
