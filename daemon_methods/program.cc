#include "daemon_methods/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>

#include "signals/check.h"
#include "signals/version.h"

namespace graceful {

namespace {

namespace fs = std::filesystem;

// `bazel run` starts a program far from where it was typed, and says where that was.
void ReturnToCaller() {
  const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (directory != nullptr) Check(chdir(directory), "chdir", directory);
}

void MakeAbsolute(std::string& path) {
  if (!path.empty()) path = fs::absolute(path).lexically_normal();
}

std::string Name(pid_t pid) {
  std::string name;
  std::getline(std::ifstream(fmt::format("/proc/{}/comm", pid)), name);
  return name.empty() ? "outside this pid namespace" : name;
}

// 'Z' for a process that has exited and is still in the table; 0 for none.
char State(pid_t pid) {
  std::string line;
  std::getline(std::ifstream(fmt::format("/proc/{}/stat", pid)), line);
  const size_t name_end = line.rfind(") ");
  return name_end == line.npos ? '\0' : line[name_end + 2];
}

std::string Parent() {
  const pid_t parent = getppid();
  // The starter of a daemon stays until it is ready.
  if (Name(parent) == Name(getpid())) return fmt::format("{}, which exits now", parent);
  return fmt::format("{} ({})", parent, Name(parent));
}

std::string Session() {
  const pid_t session = getsid(0);
  if (session == getpid()) return fmt::format("{}, which it leads", session);
  const char state = State(session);
  if (state == '\0' || state == 'Z') return fmt::format("{}, whose leader has exited", session);
  return fmt::format("{}, led by {}", session, Name(session));
}

// /dev/tty is the controlling terminal, for who has one.
std::string Terminal() {
  const UniqueFd terminal(open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!terminal) return "no controlling terminal";
  char name[64];
  if (isatty(STDIN_FILENO) && ttyname_r(STDIN_FILENO, name, sizeof name) == 0) {
    return fmt::format("controlling terminal {}", name);
  }
  return "a controlling terminal";
}

std::string Hangup() {
  struct sigaction action;
  Check(sigaction(SIGHUP, nullptr, &action), "sigaction", "SIGHUP");
  return action.sa_handler == SIG_IGN ? "is ignored" : "would end it";
}

std::string Output() {
  std::error_code error;
  const fs::path target = fs::read_symlink("/proc/self/fd/1", error);
  if (error) return "nowhere: descriptor 1 is closed";
  return target == "/dev/null" ? "/dev/null: it is lost" : target.string();
}

}  // namespace

int RunProgram(int argc, char** argv, const std::string& description,
               const std::function<int(const Options&)>& body,
               const std::function<void(CLI::App&)>& add) {
  const std::string name = fs::path(argv[0]).filename();
  try {
    CLI::App app(description, name);
    Options options;
    app.set_version_flag("--version", fmt::format("{} " GRACEFUL_VERSION, name));
    app.add_option("--port", options.port, "TCP port on 127.0.0.1; 0: the kernel chooses")
        ->capture_default_str();
    app.add_option("--pid_file", options.pid_file, "write the pid here, locked while it runs");
    app.add_option("--log_file", options.log_file, "append standard output and error here");
    if (add) add(app);
    try {
      app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
      return app.exit(error) == 0 ? 0 : 2;
    }
    ReturnToCaller();
    MakeAbsolute(options.pid_file);
    MakeAbsolute(options.log_file);
    return body(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", name, error.what());
    return 1;
  }
}

std::optional<PidFile> AcquirePidFile(const Options& options) {
  if (options.pid_file.empty()) return std::nullopt;
  return PidFile::Acquire(options.pid_file);
}

UniqueFd OpenLog(const Options& options) {
  const std::string& path = options.log_file;
  if (path.empty()) return {};
  return UniqueFd(Check(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640),
                        "open the log file", path));
}

void RedirectOutput(const UniqueFd& log) {
  if (!log) return;
  Check(dup2(log.Get(), STDOUT_FILENO), "dup2", "1");
  Check(dup2(log.Get(), STDERR_FILENO), "dup2", "2");
}

std::string Account(uint16_t port, const std::string& stop) {
  return fmt::format(
      "serving on http://127.0.0.1:{}/\n"
      "  process   {}, child of {}\n"
      "  session   {}; process group {}\n"
      "  terminal  {}; a hangup {}\n"
      "  output    {}\n"
      "  stop it   {}",
      port, getpid(), Parent(), Session(), getpgrp(), Terminal(), Hangup(), Output(), stop);
}

std::string KillLine() { return fmt::format("kill {}", getpid()); }

}  // namespace graceful
