// How the log moves to a new file, after a rotation has renamed the old one (master.h).
//
// The file is opened once, by the master, which may have more rights than a keeper. Each process
// then makes the number of its log's descriptor lead there, with dup3(2): the workers share their
// keeper's descriptor table, so for all of them it is one step, with no line lost before or after.

#include <fcntl.h>
#include <unistd.h>

#include "reload/log_file.h"
#include "reload/master.h"
#include "signals/check.h"

namespace graceful {

void Master::Reopen(Channel asker) {
  std::string text;
  bool ok = true;
  if (log_path_.empty()) {
    text = "the log goes to standard error: there is no file to open again";
  } else {
    try {
      RedirectLog();
      if (asker) reopen_askers_.push_back(std::move(asker));
      return ReopenedIfAll();
    } catch (const std::exception& error) {
      ok = false;
      text = std::string(error.what()) + "; the log goes on in the file as it was";
      log_.Error("{}", text);
    }
  }
  if (asker) asker.Send({.what = ok ? "ok" : "error", .text = text});
}

void Master::RedirectLog() {
  const UniqueFd file = OpenLogFile(log_path_);
  std::vector<Message> messages;
  const auto prepare = [&](int number) {
    messages.push_back({.what = "reopen", .number = number});
    messages.back().fds.emplace_back(
        Check(fcntl(file.Get(), F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC"));
  };
  for (const auto& seat : seats_) {
    if (seat->keeper != 0) prepare(seat->number);
  }
  if (tasks_.IsRunning()) prepare(kTasks);
  // A daemon's log is its standard error, and its standard output beside it.
  if (log_.Fd() == STDERR_FILENO) Redirect(STDOUT_FILENO, file);
  Redirect(log_.Fd(), file);
  for (const Message& message : messages) {
    const bool tasks = message.number == kTasks;
    (tasks ? tasks_.ToKeeper() : FindSeat(message.number)->channel).Send(message);
    reopening_.insert(message.number);
  }
}

void Master::ReopenedIfAll() {
  if (!reopening_.empty()) return;
  const std::string text = fmt::format("{} is open in every process", log_path_);
  log_.Line("{}", text);
  for (const Channel& asker : std::exchange(reopen_askers_, {})) {
    asker.Send({.what = "ok", .text = text});
  }
}

}  // namespace graceful
