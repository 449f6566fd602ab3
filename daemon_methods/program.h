#ifndef GRACEFUL_DAEMON_METHODS_PROGRAM_H_
#define GRACEFUL_DAEMON_METHODS_PROGRAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "daemon_methods/pid_file.h"
#include "signals/unique_fd.h"

namespace CLI {
class App;
}

namespace graceful {

// The words that every method's program takes.
struct Options {
  uint16_t port = 8080;  // 0: the kernel chooses
  std::string pid_file;  // empty: none
  std::string log_file;  // empty: what the method does with output
};

// The frame of every program: reads the options, runs `body`, and returns what main() returns: its
// result; 1 after an exception, with "NAME: what" on standard error; 2 for a wrong usage. `add` may
// add options of its own. Relative paths are taken from where the user typed the command, also
// under `bazel run`, and are absolute in `body`.
int RunProgram(int argc, char** argv, const std::string& description,
               const std::function<int(const Options&)>& body,
               const std::function<void(CLI::App&)>& add = {});

// The pid file, if one was asked for.
std::optional<PidFile> AcquirePidFile(const Options& options);

// The log file, opened to append and created with mode 0640; nothing when none was asked for.
UniqueFd OpenLog(const Options& options);

// Makes it standard output and error. Does nothing without one.
void RedirectOutput(const UniqueFd& log);

// Tells the reader what has become of the calling process: pids, session, terminal, where output
// goes, and `stop`, the line that stops it. Several lines, the last without its newline.
std::string Account(uint16_t port, const std::string& stop);

// "kill 4711", for the calling process.
std::string KillLine();

}  // namespace graceful

#endif  // GRACEFUL_DAEMON_METHODS_PROGRAM_H_
