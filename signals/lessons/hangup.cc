#include "signals/lessons/hangup.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstring>

#include "signals/check.h"
#include "signals/children.h"

namespace graceful {

WhoHeard FindWhoHears() {
  const Stage stage;
  Session session(Session::Manners::kReport);
  const std::string& path = session.Terminal();
  const UniqueFd terminal(
      Check(open(path.c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), "open", path));
  WhoHeard heard = {};

  session.CloseTerminal();
  heard.when_it_closed = session.Collect();

  // Our shell caught SIGHUP and went on. Its jobs hear of the hangup when it exits.
  session.EndShell();
  heard.when_shell_ended = session.Collect();

  char byte = 'x';
  heard.read_result = read(terminal.Get(), &byte, 1);
  heard.write_error = write(terminal.Get(), &byte, 1) == -1 ? errno : 0;
  return heard;
}

std::map<Actor, std::string> FindFates() {
  const Stage stage;
  Session session(Session::Manners::kDefault);
  session.CloseTerminal();

  std::map<Actor, std::string> fates;
  for (const Actor actor : kActors) {  // the shell first: its end is what its jobs hear of
    const pid_t pid = session.Pid(actor);
    char state;
    Await("it sleeps, is stopped or has ended", [&] {
      state = StateOf(pid);
      return state == 'S' || state == 'T' || state == 'Z';
    });
    if (state == 'Z') {
      fates[actor] = WaitFor(pid).Describe();
    } else {
      fates[actor] = state == 'S' ? kLivesOn : "is stopped, without a terminal";
    }
  }
  return fates;
}

}  // namespace graceful
