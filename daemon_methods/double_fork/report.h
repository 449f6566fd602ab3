#ifndef GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_REPORT_H_
#define GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_REPORT_H_

#include <optional>
#include <string>
#include <utility>

#include "signals/unique_fd.h"

namespace graceful {

// What a daemon under way tells the process that started it.
struct Report {
  enum Kind { kPid, kReady, kFailed };
  Kind kind;
  int value;  // kPid: the daemon's pid; kFailed: the status to exit with
  std::string text;
};

// The pipe between both: where reports arrive, and where they are sent. In truth a socket pair,
// which does two things better: it keeps each report whole, and a starter that is gone is an
// error (EPIPE) instead of a SIGPIPE. Throws std::system_error, as all here.
std::pair<UniqueFd, UniqueFd> MakeReportChannel();

void SendReport(const UniqueFd& channel, const Report& report);

// The next report. Blocks. Nothing when every process that could send one is gone.
std::optional<Report> ReceiveReport(const UniqueFd& channel);

}  // namespace graceful

#endif  // GRACEFUL_DAEMON_METHODS_DOUBLE_FORK_REPORT_H_
