#include "reload/master_signals.h"

#include <signal.h>

namespace graceful {

SignalFd ReadMasterSignals() {
  return SignalFd(
      {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGRTMIN, SIGCHLD});
}

void LeaveSignalsToMaster() {
  RestoreSignals();
  IgnoreUntilExec({SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGTTIN, SIGTTOU, SIGRTMIN,
                   SIGPIPE, SIGXFSZ});
}

}  // namespace graceful
