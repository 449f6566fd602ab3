#ifndef GRACEFUL_RELOAD_STACK_TRACE_H_
#define GRACEFUL_RELOAD_STACK_TRACE_H_

#include <sys/types.h>

#include "reload/log.h"

namespace graceful {

// Has eu-stack(1), of elfutils, print the stack of a process, which the keeper's Output catches.
// Returns the child that
// does, to be waited for; 0 when there is no such program, which the log then says.
pid_t StartStackTrace(pid_t of, const Log& log);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_STACK_TRACE_H_
