#ifndef GRACEFUL_RELOAD_MASTER_SIGNALS_H_
#define GRACEFUL_RELOAD_MASTER_SIGNALS_H_

#include "signals/signal_fd.h"

namespace graceful {

// The signals that the master obeys (master.h says what each does), for it to read.
SignalFd ReadMasterSignals();

// For keepers and workers. They get these signals too when somebody signals a whole process
// group, a systemd unit, or all programs of a name; no request may be lost for that. Gives every
// other signal its default action.
void LeaveSignalsToMaster();

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_MASTER_SIGNALS_H_
