#include "signals/lessons/who_gets_it.h"

#include <signal.h>
#include <unistd.h>

namespace graceful {

WhoGotIt FindWhoGetsIt() {
  const Stage stage;
  const Session session(Session::Manners::kReport);
  WhoGotIt found;
  found.me = getpid();

  session.PressControl('C');
  found.ctrl_c = session.Collect();

  session.PressControl('\\');
  found.ctrl_backslash = session.Collect();

  Kill(session.Pid(Actor::kLess), SIGTERM);
  found.kill_pid = session.Collect();

  Kill(-session.Pid(Actor::kMake), SIGTERM);
  found.kill_group = session.Collect();

  session.BringToForeground(Actor::kMake);
  session.PressControl('C');
  found.ctrl_c_after_fg = session.Collect();

  session.BringToForeground(Actor::kShell);
  session.PressControl('C');
  found.ctrl_c_at_prompt = session.Collect();
  return found;
}

}  // namespace graceful
