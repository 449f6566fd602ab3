// The server: `bazel run //reload:server`, and `--help` for its settings.

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "daemon_methods/double_fork/daemonize.h"
#include "daemon_methods/pid_file.h"
#include "reload/log.h"
#include "reload/log_file.h"
#include "reload/master.h"
#include "reload/settings.h"
#include "signals/check.h"

namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

graceful::Log MakeLog(const graceful::Settings& settings, int fd) {
  return graceful::Log(fd, "master", graceful::LogStyle(settings, fd));
}

std::optional<graceful::PidFile> AcquirePidFile(const graceful::Settings& settings) {
  if (settings.pid_file.empty()) return std::nullopt;
  return graceful::PidFile::Acquire(settings.pid_file);
}

int RunInForeground(const graceful::Settings& settings, const std::vector<std::string>& arguments,
                    const std::filesystem::path& directory) {
  const graceful::UniqueFd log_file = graceful::HasLogFile(settings)
                                          ? graceful::OpenLogFile(settings.log_file)
                                          : graceful::UniqueFd();
  const graceful::Log log = MakeLog(settings, log_file ? log_file.Get() : STDERR_FILENO);
  const std::optional<graceful::PidFile> pid_file = AcquirePidFile(settings);
  graceful::Master master(settings, arguments, directory, log);
  master.Start();
  return master.Run();
}

int RunAsDaemon(const graceful::Settings& settings, const std::vector<std::string>& arguments,
                const std::filesystem::path& directory) {
  graceful::Startup startup = graceful::Daemonize({.log_file = settings.log_file});
  try {
    const std::optional<graceful::PidFile> pid_file = AcquirePidFile(settings);
    graceful::Master master(settings, arguments, directory, MakeLog(settings, STDERR_FILENO));
    master.Start();
    startup.Ready(
        fmt::format("server: pid {0} serves {1}\n"
                    "  session   {3}, without a controlling terminal\n"
                    "  output    {2}\n"
                    "  reload it kill -USR1 {0}\n"
                    "  stop it   kill {0}",
                    getpid(), fmt::join(master.Urls(), ", "),
                    settings.log_file.empty() ? "/dev/null" : settings.log_file, getsid(0)));
    return master.Run();
  } catch (const std::exception& error) {
    startup.Failed(kFailure, error.what());
    return kFailure;
  }
}

int Run(const std::vector<std::string>& arguments) {
  const std::filesystem::path directory = std::filesystem::current_path();
  const graceful::Settings settings = graceful::ReadSettings(arguments, directory);
  return settings.daemonize ? RunAsDaemon(settings, arguments, directory)
                            : RunInForeground(settings, arguments, directory);
}

}  // namespace

int main(int argc, char** argv) {
  // `bazel run` starts programs elsewhere; paths on the command line are from where the user is.
  if (const char* directory = std::getenv("BUILD_WORKING_DIRECTORY")) {
    std::error_code stay_here;
    std::filesystem::current_path(directory, stay_here);
  }
  try {
    return Run({argv + 1, argv + argc});
  } catch (const graceful::OnlyWords& words) {
    fmt::print("{}", words.text);
    return 0;
  } catch (const graceful::SettingsError& error) {
    fmt::print(stderr, "server: {}; try --help\n", error.what());
    return kUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "server: {}\n", error.what());
    return kFailure;
  }
}
