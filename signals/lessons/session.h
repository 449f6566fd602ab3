#ifndef GRACEFUL_SIGNALS_LESSONS_SESSION_H_
#define GRACEFUL_SIGNALS_LESSONS_SESSION_H_

#include <sys/types.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "signals/lessons/stage.h"
#include "signals/signal_fd.h"
#include "signals/unique_fd.h"

namespace graceful {

// Who sits at the terminal. Each job is one process group.
enum class Actor {
  kShell,     // leads the session
  kSort,      // `sort | less`, the foreground job:
  kLess,      //   a pipeline is one group
  kMake,      // `make &`, a background job,
  kCompiler,  //   and what it started
  kEditor,    // stopped, as by Ctrl-Z; a background job too
  kDaemon,    // called setsid(2): it has a session of its own
};
inline constexpr std::array kActors = {Actor::kShell, Actor::kSort,     Actor::kLess,
                                       Actor::kMake,  Actor::kCompiler, Actor::kEditor,
                                       Actor::kDaemon};

const char* Name(Actor actor);

// A signal that somebody got.
struct Sighting {
  int signal;
  pid_t sender;  // 0: the kernel
  bool operator==(const Sighting&) const = default;
};
using Sightings = std::map<Actor, std::vector<Sighting>>;

// A terminal, a shell that controls it, and the shell's jobs: real processes at a real
// pseudo-terminal (pty(7)). Make it on a Stage, which ends them.
class Session {
 public:
  enum class Manners {
    kReport,   // they tell of every signal, and live on
    kDefault,  // they do what a program does that never thought of signals
  };
  explicit Session(Manners manners);

  pid_t Pid(Actor actor) const { return pids_.at(actor); }
  // The terminal's path: "/dev/pts/7".
  const std::string& Terminal() const { return terminal_; }

  // Presses Ctrl and a letter, and returns once the terminal has acted on it.
  void PressControl(char letter) const;
  // What a terminal's window does when it goes: closes the pseudo-terminal's master.
  void CloseTerminal() { master_.Reset(); }

  // Only with kReport: the shell's `fg`, for the job that `leader` leads.
  void BringToForeground(Actor leader) const;
  // Only with kReport: the shell exits. Returns when it has.
  void EndShell() const;
  // Only with kReport: what each has seen since the last call. Complete: whoever isn't in it was
  // sent nothing before the call, or is stopped and will see it when it goes on.
  Sightings Collect() const;

 private:
  void RunShell(Manners manners);
  void RunActor(Actor actor, Manners manners) const;
  void ReportSignals(Actor actor, SignalFd& signals) const;

  UniqueFd master_;
  std::string terminal_;
  Pipe starts_;   // who is ready
  Pipe reports_;  // who saw what
  Pipe answers_;  // the shell did as it was asked
  Pipe
      curtain_;  // nothing is sent; it closes with the object that the caller made, however it ends
  std::map<Actor, pid_t> pids_;
};

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_SESSION_H_
