#ifndef GRACEFUL_SIGNALS_LESSONS_INHERITED_STATE_H_
#define GRACEFUL_SIGNALS_LESSONS_INHERITED_STATE_H_

#include <sys/types.h>

#include "signals/lessons/inherited.h"

namespace graceful {

// As /proc/PID/status shows it. Throws std::system_error.
SignalState ReadSignalState(pid_t pid);

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_INHERITED_STATE_H_
