#include "daemon_methods/double_fork/starter.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <utility>

#include "signals/check.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

using Clock = std::chrono::steady_clock;

// How long a daemon may take to end after it has reported a failure, or was asked to end.
constexpr std::chrono::seconds kGrace(5);
// Between two looks at a group that was killed.
constexpr std::chrono::milliseconds kPatience(10);

bool Readable(int fd, std::chrono::milliseconds timeout) {
  pollfd waiting = {fd, POLLIN, 0};
  const int count = static_cast<int>(timeout.count());
  return Check(RetryInterrupted([&] { return poll(&waiting, 1, count); }), "poll") > 0;
}

void Say(std::FILE* stream, const std::string& message) {
  if (!message.empty()) std::fprintf(stream, "%s\n", message.c_str());
  std::fflush(stream);
}

std::string Prefixed(const std::string& message) {
  return std::string(program_invocation_short_name) + ": " + message;
}

[[noreturn]] void EndBy(int signal) {
  RestoreSignals();
  raise(signal);
  _exit(128 + signal);
}

}  // namespace

Starter::Starter(UniqueFd reports)
    : reports_(std::move(reports)), signals_({SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM}) {
  Check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl", "PR_SET_CHILD_SUBREAPER");
}

void Starter::WaitAndExit(pid_t session, const std::string& log_file) {
  try {
    const Outcome outcome = Wait();
    switch (outcome.kind) {
      case Outcome::kReady:
        // It is on its way out, or reaped already. Left as a zombie it would be the problem of
        // whoever adopts it, and not every init of a container reaps.
        RetryInterrupted([&] { return waitpid(session, nullptr, 0); });
        Say(stdout, outcome.text);
        _exit(0);
      case Outcome::kFailed:
        EndSession(session, kGrace);
        Say(stderr, Prefixed(outcome.text));
        _exit(outcome.value);
      case Outcome::kDied:
        EndSession(session, std::chrono::seconds(0));
        Say(stderr, Prefixed(DescribeDeath(log_file)));
        _exit(1);
      case Outcome::kInterrupted:
        kill(-session, SIGTERM);
        kill(session, SIGTERM);  // when it has not made its session yet
        EndSession(session, kGrace);
        Say(stderr,
            Prefixed(SignalName(outcome.value) + " before the daemon was ready: it was ended"));
        EndBy(outcome.value);
    }
  } catch (const std::exception& error) {
    Say(stderr, Prefixed(error.what()));
    kill(-session, SIGKILL);
  }
  _exit(1);
}

Starter::Outcome Starter::Wait() {
  for (;;) {
    pollfd waiting[] = {{reports_.Get(), POLLIN, 0}, {signals_.Get(), POLLIN, 0}};
    Check(RetryInterrupted([&] { return poll(waiting, 2, -1); }), "poll");
    // Reap first: what the dead had to report is in the channel by then.
    const auto interruption = ReadSignals();
    if (auto outcome = ReadReports()) return *outcome;
    if (DaemonEnded()) return {.kind = Outcome::kDied};
    if (interruption) return {.kind = Outcome::kInterrupted, .value = *interruption};
  }
}

std::optional<Starter::Outcome> Starter::ReadReports() {
  while (Readable(reports_.Get(), std::chrono::milliseconds(0))) {
    const auto report = ReceiveReport(reports_);
    if (!report) return Outcome{.kind = Outcome::kDied};
    switch (report->kind) {
      case Report::kPid:
        daemon_ = report->value;
        break;
      case Report::kReady:
        return Outcome{.kind = Outcome::kReady, .text = report->text};
      case Report::kFailed:
        return Outcome{.kind = Outcome::kFailed, .value = report->value, .text = report->text};
    }
  }
  return std::nullopt;
}

std::optional<int> Starter::ReadSignals() {
  std::optional<int> interruption;
  while (const auto info = signals_.Read()) {
    if (info->ssi_signo != SIGCHLD) interruption = static_cast<int>(info->ssi_signo);
  }
  for (const Ended& ended : ReapChildren()) ended_.push_back(ended);
  return interruption;
}

bool Starter::DaemonEnded() const {
  return std::any_of(ended_.begin(), ended_.end(),
                     [this](const Ended& ended) { return ended.pid == daemon_; });
}

std::string Starter::DescribeDeath(const std::string& log_file) const {
  std::string text = "the daemon was gone before it was ready";
  for (const Ended& ended : ended_) {
    if (ended.pid != daemon_) continue;
    text = "the daemon (pid " + std::to_string(daemon_) + ") " + ended.Describe() +
           " before it was ready";
  }
  if (!log_file.empty()) text += "; see " + log_file;
  return text;
}

void Starter::EndSession(pid_t session, std::chrono::seconds grace) {
  const auto deadline = Clock::now() + grace;
  for (;;) {
    int status;
    const pid_t pid = RetryInterrupted([&] { return waitpid(-session, &status, WNOHANG); });
    if (pid == -1) {  // ECHILD: nobody is left in it. Who ended before setsid(2) never was.
      RetryInterrupted([&] { return waitpid(session, nullptr, 0); });
      return;
    }
    if (pid > 0) {
      ended_.push_back({pid, status});
      continue;
    }
    // The group has a member that we have not reaped, so no other group can have its number.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) kill(-session, SIGKILL);
    if (Readable(signals_.Get(), std::max(left, kPatience))) signals_.Read();
  }
}

}  // namespace graceful
