#ifndef GRACEFUL_DAEMON_METHODS_PID_FILE_H_
#define GRACEFUL_DAEMON_METHODS_PID_FILE_H_

#include <sys/types.h>

#include <stdexcept>
#include <string>

#include "signals/unique_fd.h"

namespace graceful {

// Another process holds the lock of the pid file: "already running, pid 4711 (/run/echo.pid)".
class AlreadyRunning : public std::runtime_error {
 public:
  AlreadyRunning(const std::string& path, pid_t pid);

  // What the file says; 0 when its owner has not written it yet.
  pid_t Pid() const { return pid_; }

 private:
  pid_t pid_;
};

// A file that names the one process of its kind, and stays locked for as long as that lives.
//
// The lock decides who runs, never the number. A number outlives its process, and may name
// another one by now; the kernel drops a lock when its holder dies, however it dies. So a stale
// file needs no clean-up: whoever gets the lock takes it over.
//
// The lock is flock(2)'s, which belongs to the open file: it survives fork(2), and ends when the
// last descriptor of it is closed. fcntl(2)'s belongs to the process: a fork would lose it, and
// so would any close() of another descriptor for the same file, say in a library that reads it.
// The price: a forked child that lives on holds the lock too. It destroys its copy of this
// object (which leaves the file alone) if the daemon's death shall free the name.
class PidFile {
 public:
  // Locks the file and writes the pid of the calling process: call it in the daemon, not in what
  // starts it. Created with mode 0644 where it is missing.
  //
  // Throws AlreadyRunning; std::runtime_error when the path is a symbolic link, no regular file, a
  // file with several names, or holds something that is no pid (so it's not ours to overwrite);
  // std::system_error when it can't be opened or written.
  static PidFile Acquire(const std::string& path);

  PidFile(PidFile&&) = default;
  PidFile& operator=(PidFile&&) = delete;

  // After a fork(2): the calling process, which shares the lock, is the owner from now on, and
  // the file names it. For whoever must lock before it forks, to be refused before it does.
  // Throws std::system_error.
  void Adopt();

  // Removes the file, if the path still names it. In another process than its owner:
  // only closes the descriptor.
  ~PidFile();

  const std::string& Path() const { return path_; }

 private:
  PidFile(std::string path, UniqueFd fd);

  std::string path_;
  UniqueFd fd_;
  pid_t owner_;
};

}  // namespace graceful

#endif  // GRACEFUL_DAEMON_METHODS_PID_FILE_H_
