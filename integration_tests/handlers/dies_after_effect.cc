// The example of a task that is done exactly once, killed at the worst moment: after its effect,
// before anybody has heard of it. Its second attempt goes through.

#include <signal.h>

#include "reload/handler.h"

#define OnTask Deposit
#include "reload/handlers/exactly_once.cc"  // NOLINT(bugprone-suspicious-include)
#undef OnTask

void OnTask(const graceful::Task& task, std::string& result) {
  Deposit(task, result);
  if (task.attempt == 1) raise(SIGKILL);
}
