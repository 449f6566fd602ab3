// The server: `bazel run //reload:server`, and `--help` for its settings.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "reload/log.h"
#include "reload/master.h"
#include "reload/settings.h"
#include "signals/check.h"

namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

graceful::UniqueFd OpenLog(const std::string& path) {
  if (path.empty()) return {};
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
  return graceful::UniqueFd(
      graceful::Check(open(path.c_str(), kFlags, 0640), "open log_file", path));
}

int Run(const std::vector<std::string>& arguments) {
  const std::filesystem::path directory = std::filesystem::current_path();
  const graceful::Settings settings = graceful::ReadSettings(arguments, directory);
  const graceful::UniqueFd log_file = OpenLog(settings.log_file);
  const graceful::Log log(log_file ? log_file.Get() : STDERR_FILENO, "master");
  graceful::Master master(settings, arguments, directory, log);
  return master.Run();
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
