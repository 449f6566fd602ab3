#ifndef GRACEFUL_RELOAD_OUTPUT_H_
#define GRACEFUL_RELOAD_OUTPUT_H_

#include <sys/types.h>

#include <map>
#include <string>

#include "reload/log.h"
#include "signals/unique_fd.h"

namespace graceful {

// Catches what a handler prints, and what it starts prints: descriptors 1 and 2 of the slot's
// table lead here, and each line goes to the log with the pid of the process that said it.
//
// It is a socket and not a pipe, since the kernel attaches the writer's pid to every write
// (SO_PASSCRED, unix(7)): the lines of two workers and their children never mix. Nobody blocks
// on it but a writer that is faster than the log.
class Output {
 public:
  // Takes descriptors 1 and 2 of this process. `log` must not lead to one of them.
  // Throws std::system_error.
  explicit Output(const Log& log);

  // Readable when something was said.
  int Get() const { return socket_.Get(); }

  // Takes what has been said so far.
  void Read();

  // After a process has ended: what it said last, though no newline came. Read() first.
  void Ended(pid_t pid);

  // The same for every process: nothing will be read any more.
  void End();

 private:
  bool ReadOnce();
  void Add(pid_t pid, std::string_view bytes);

  const Log& log_;
  UniqueFd socket_;
  std::map<pid_t, std::string> begun_;  // lines that have no end yet
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_OUTPUT_H_
