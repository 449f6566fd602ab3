#ifndef GRACEFUL_SIGNALS_LESSONS_WHO_GETS_IT_H_
#define GRACEFUL_SIGNALS_LESSONS_WHO_GETS_IT_H_

#include <sys/types.h>

#include "signals/lessons/session.h"

namespace graceful {

// Who got a signal, and from whom. The actors are those of session.h.
struct WhoGotIt {
  pid_t me;                    // the sender of those that kill(2) sent
  Sightings ctrl_c;            // the foreground job, from the kernel
  Sightings ctrl_backslash;    // the same, with SIGQUIT
  Sightings kill_pid;          // kill(less): that process alone
  Sightings kill_group;        // kill(-make): all of its group, in the background too
  Sightings ctrl_c_after_fg;   // Ctrl-C once `make` has the terminal: `make` and its compiler
  Sightings ctrl_c_at_prompt;  // no job has it: the shell, which is a group of its own
};

WhoGotIt FindWhoGetsIt();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_WHO_GETS_IT_H_
