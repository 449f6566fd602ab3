#include "daemon_methods/double_fork/daemonize.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <utility>

#include "daemon_methods/double_fork/report.h"
#include "daemon_methods/double_fork/starter.h"
#include "signals/check.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

// What can fail for reasons that the user can mend is opened before any fork.
struct Surroundings {
  UniqueFd input;
  UniqueFd output;
  UniqueFd directory;
};

void RefuseThreads() {
  struct stat tasks;
  Check(stat("/proc/self/task", &tasks), "stat", "/proc/self/task");
  // Its links are ".", its name in the parent, and one folder for each thread.
  if (tasks.st_nlink > 3) {
    throw std::logic_error("Daemonize: other threads run, and fork(2) would leave them behind");
  }
}

// A caller may have started us with some of 0, 1 and 2 closed. The next descriptors opened would
// take those places, and then be overwritten.
void FillStandardDescriptors() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) == -1) Check(open("/dev/null", O_RDWR), "open", "/dev/null");
  }
}

Surroundings Open(const DaemonOptions& options) {
  const std::string& log = options.log_file.empty() ? "/dev/null" : options.log_file;
  const std::string& directory = options.working_directory;
  return {
      .input = UniqueFd(Check(open("/dev/null", O_RDONLY | O_CLOEXEC), "open", "/dev/null")),
      .output = UniqueFd(
          Check(open(log.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640),
                "open the log file", log)),
      .directory = UniqueFd(
          Check(open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), "open", directory)),
  };
}

void Redirect(const Surroundings& surroundings) {
  Check(dup2(surroundings.input.Get(), STDIN_FILENO), "dup2", "0");
  Check(dup2(surroundings.output.Get(), STDOUT_FILENO), "dup2", "1");
  Check(dup2(surroundings.output.Get(), STDERR_FILENO), "dup2", "2");
}

// Closes everything above 2 but `keep`: a call for each gap, however many could be open.
void CloseOthers(std::vector<int> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned first = STDERR_FILENO + 1;
  for (const int fd : keep) {
    const unsigned kept = static_cast<unsigned>(fd);
    if (fd < 0 || kept < first) continue;
    if (kept > first) Check(close_range(first, kept - 1, 0), "close_range");
    first = kept + 1;
  }
  Check(close_range(first, ~0U, 0), "close_range");
}

}  // namespace

Startup Daemonize(const DaemonOptions& options) {
  RefuseThreads();
  FillStandardDescriptors();
  Surroundings surroundings = Open(options);
  auto [starter_end, daemon_end] = MakeReportChannel();
  std::optional<Starter> starter(std::move(starter_end));

  if (options.log_file.empty()) {
    std::fprintf(stderr, "%s: no log file is set: what the daemon prints goes to /dev/null\n",
                 program_invocation_short_name);
  }
  // What stdio still buffers would be printed by both.
  std::fflush(nullptr);

  // First fork. The child is no leader of its process group, which setsid(2) asks for, and the
  // shell has a process to wait for.
  const pid_t session = Check(fork(), "fork");
  if (session != 0) {
    daemon_end.Reset();
    starter->WaitAndExit(session, options.log_file);
  }

  Startup startup(std::move(daemon_end));
  try {
    RestoreSignals();

    // A session and a process group of its own, and no controlling terminal: no hangup, no
    // Ctrl-C reaches it any more.
    Check(setsid(), "setsid");

    // Second fork. A session leader that opens a terminal gets it as its controlling terminal
    // (System V, and Linux with it). The grandchild leads nothing, so it never can.
    if (Check(fork(), "fork") != 0) _exit(0);
    startup.daemon_ = getpid();
    SendReport(startup.report_, {.kind = Report::kPid, .value = getpid(), .text = {}});

    umask(options.umask);
    Check(fchdir(surroundings.directory.Get()), "chdir", options.working_directory);
    Redirect(surroundings);

    surroundings = {};
    starter.reset();
    std::vector<int> keep = options.keep;
    keep.push_back(startup.report_.Get());
    CloseOthers(std::move(keep));
  } catch (const std::exception& error) {
    startup.Failed(1, error.what());
    _exit(1);
  }
  return startup;
}

Startup::Startup(UniqueFd report) : report_(std::move(report)), daemon_(getpid()) {}

Startup::~Startup() { Failed(1, "gave up before it was ready"); }

void Startup::Ready(std::string_view message) {
  const UniqueFd report = std::move(report_);
  if (report && getpid() == daemon_)
    SendReport(report, {.kind = Report::kReady, .value = 0, .text = std::string(message)});
}

void Startup::Failed(int status, std::string_view message) noexcept {
  const UniqueFd report = std::move(report_);
  if (!report || getpid() != daemon_) return;
  if (status < 1 || status > 255) status = 1;
  try {
    SendReport(report, {.kind = Report::kFailed, .value = status, .text = std::string(message)});
  } catch (const std::exception&) {
    // The starter is gone. What is left to do is to end, as the caller does.
  }
}

}  // namespace graceful
