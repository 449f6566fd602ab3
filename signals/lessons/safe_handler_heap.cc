#include "signals/lessons/safe_handler_heap.h"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "signals/check.h"

namespace graceful {

void Allocate() {
  void* volatile memory = std::malloc(5000);  // more than what a thread keeps to itself
  std::free(memory);
}

void StartSecondThread() {
  sigset_t all, before;
  sigfillset(&all);
  Check(pthread_sigmask(SIG_BLOCK, &all, &before), "pthread_sigmask");
  std::thread([] {
    for (;;) pause();
  }).detach();
  Check(pthread_sigmask(SIG_SETMASK, &before, nullptr), "pthread_sigmask");
}

}  // namespace graceful
