#include "signals/lessons/session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <optional>
#include <set>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

struct Started {
  Actor actor;
  pid_t pid;
};

struct Report {
  Actor actor;
  Sighting sighting;
};

// A signal that asks for an answer. The lowest number is read first, so an answer to the
// highest says that there is nothing more to tell.
int FenceSignal() { return SIGRTMAX; }
// Asks the shell to bring the group in the signal's value to the foreground; 0 asks it to exit.
int CommandSignal() { return SIGRTMIN; }

void Command(pid_t shell, pid_t group) {
  Check(sigqueue(shell, CommandSignal(), {.sival_int = group}), "sigqueue", "shell");
}

// The leader of the job that an actor belongs to.
Actor LeaderOf(Actor actor) {
  if (actor == Actor::kLess) return Actor::kSort;
  if (actor == Actor::kCompiler) return Actor::kMake;
  return actor;
}

// The next signal, or nothing once the curtain has fallen.
std::optional<signalfd_siginfo> NextSignal(SignalFd& signals, const Pipe& curtain) {
  pollfd watched[] = {{signals.Get(), POLLIN, 0}, {curtain.ReadEnd(), POLLIN, 0}};
  while (watched[1].revents == 0) {
    if (const auto info = signals.Read()) return info;
    Check(RetryInterrupted([&] { return poll(watched, 2, -1); }), "poll", "signalfd");
  }
  return std::nullopt;
}

UniqueFd OpenMaster() {
  UniqueFd master(Check(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), "posix_openpt"));
  Check(unlockpt(master.Get()), "unlockpt");
  return master;
}

std::string TerminalOf(const UniqueFd& master) {
  char path[64];
  const int error = ptsname_r(master.Get(), path, sizeof path);
  if (error != 0) ThrowErrno(error, "ptsname_r");
  return path;
}

}  // namespace

const char* Name(Actor actor) {
  static constexpr std::array kNames = {"shell",    "sort",   "less",  "make",
                                        "compiler", "editor", "daemon"};
  return kNames.at(static_cast<size_t>(actor));
}

Session::Session(Manners manners) : master_(OpenMaster()), terminal_(TerminalOf(master_)) {
  Fork([&] { RunShell(manners); });
  while (pids_.size() < kActors.size()) {
    const auto started = starts_.Receive<Started>();
    pids_[started.actor] = started.pid;
  }
  // Not SIGSTOP: should all of us be killed now, this one stops nobody whose shell has gone.
  Kill(Pid(Actor::kEditor), SIGTTIN);
  Await("the editor is stopped", [&] { return StateOf(Pid(Actor::kEditor)) == 'T'; });
}

// What every shell does: it leads a session, takes the terminal, gives each job a group, and one
// job the terminal (credentials(7), tcsetpgrp(3)).
void Session::RunShell(Manners manners) {
  master_.Reset();
  curtain_.CloseWriteEnd();
  Check(setsid(), "setsid");
  const UniqueFd terminal(Check(open(terminal_.c_str(), O_RDWR | O_CLOEXEC), "open", terminal_));
  Check(ioctl(terminal.Get(), TIOCSCTTY, 0), "ioctl TIOCSCTTY", terminal_);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    Check(dup2(terminal.Get(), fd), "dup2", terminal_);
  }
  for (const Actor actor : kActors) {
    if (actor == Actor::kShell) continue;
    pids_[actor] = Fork([&] { RunActor(actor, manners); });
    if (actor == Actor::kDaemon) continue;
    Check(setpgid(pids_[actor], pids_[LeaderOf(actor)]), "setpgid", Name(actor));
  }
  Check(tcsetpgrp(STDIN_FILENO, Pid(Actor::kSort)), "tcsetpgrp", "sort");
  RunActor(Actor::kShell, manners);
}

void Session::RunActor(Actor actor, Manners manners) const {
  // A job may outlive its shell: that is what a lesson wants to see.
  if (actor != Actor::kShell) Check(prctl(PR_SET_PDEATHSIG, 0), "prctl", "PR_SET_PDEATHSIG");
  if (actor == Actor::kDaemon) Check(setsid(), "setsid");
  std::optional<SignalFd> signals;
  if (manners == Manners::kReport) {
    signals.emplace(std::initializer_list<int>{SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGTERM, SIGTSTP,
                                               SIGTTOU, SIGCONT, CommandSignal(), FenceSignal()});
  }
  starts_.Send(Started{actor, getpid()});
  if (signals) {
    ReportSignals(actor, *signals);
  } else {
    char byte;
    RetryInterrupted([&] { return read(curtain_.ReadEnd(), &byte, 1); });
  }
}

void Session::ReportSignals(Actor actor, SignalFd& signals) const {
  while (const auto info = NextSignal(signals, curtain_)) {
    const int number = static_cast<int>(info->ssi_signo);
    if (number != CommandSignal()) {
      reports_.Send(Report{actor, {number, static_cast<pid_t>(info->ssi_pid)}});
    } else if (info->ssi_int == 0) {
      return;
    } else {
      Check(tcsetpgrp(STDIN_FILENO, info->ssi_int), "tcsetpgrp");
      answers_.Send('!');
    }
  }
}

void Session::PressControl(char letter) const {
  const char key = static_cast<char>(letter & 0x1f);
  Check(write(master_.Get(), &key, 1), "write", terminal_);
  // The terminal sends the signal first and echoes "^C" then.
  std::string echo;
  while (!echo.ends_with(std::string{'^', letter})) {
    Await("the terminal echoes", [&] {
      pollfd readable = {master_.Get(), POLLIN, 0};
      return poll(&readable, 1, 0) == 1;
    });
    char byte;
    Check(read(master_.Get(), &byte, 1), "read", terminal_);
    echo.push_back(byte);
  }
}

void Session::BringToForeground(Actor leader) const {
  Command(Pid(Actor::kShell), Pid(leader));
  answers_.Receive<char>();
}

void Session::EndShell() const {
  Command(Pid(Actor::kShell), 0);
  WaitFor(Pid(Actor::kShell));
}

Sightings Session::Collect() const {
  std::set<Actor> to_answer;
  for (const Actor actor : kActors) {
    const char state = StateOf(Pid(actor));
    if (state == 'T' || state == 'Z' || state == 'X') continue;
    Kill(Pid(actor), FenceSignal());
    to_answer.insert(actor);
  }
  Sightings sightings;
  while (!to_answer.empty()) {
    const auto report = reports_.Receive<Report>();
    if (report.sighting.signal == FenceSignal()) {
      to_answer.erase(report.actor);
    } else {
      sightings[report.actor].push_back(report.sighting);
    }
  }
  return sightings;
}

}  // namespace graceful
