#ifndef GRACEFUL_SIGNALS_LESSONS_HANGUP_H_
#define GRACEFUL_SIGNALS_LESSONS_HANGUP_H_

#include <map>
#include <string>

#include "signals/lessons/session.h"

namespace graceful {

// What a terminal that closes sends, and to whom. The actors are those of session.h.
struct WhoHeard {
  Sightings when_it_closed;  // the session's leader: SIGHUP, SIGCONT. No one else yet
  Sightings
      when_shell_ended;  // the foreground job, and the stopped one, whose group is orphaned now
  ssize_t read_result;   // read(2) from the terminal then: 0, the end
  int write_error;       // write(2) to it: EIO
};

WhoHeard FindWhoHears();

// What becomes of programs that take no care (SIGHUP's default action): for each, "was killed
// by SIGHUP", or its state in words.
std::map<Actor, std::string> FindFates();

inline constexpr char kLivesOn[] = "lives on, without a terminal";

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_HANGUP_H_
