#include "reload/log_file.h"

#include <fcntl.h>
#include <unistd.h>

#include "signals/check.h"

namespace graceful {

bool HasLogFile(const Settings& settings) {
  return !settings.log_file.empty() && settings.log_file != "-";
}

UniqueFd OpenLogFile(const std::string& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
  return UniqueFd(Check(open(path.c_str(), kFlags, 0640), "open log_file", path));
}

Log::Style LogStyle(const Settings& settings, int fd) {
  Log::Style style;
  if (settings.log_level == "debug") style.level = Level::kDebug;
  if (settings.log_level == "warning") style.level = Level::kWarning;
  if (settings.log_level == "error") style.level = Level::kError;
  if (settings.log_format == "json") {
    style.format = LogFormat::kJson;
  } else if (settings.log_format == "auto" && IsJournal(fd)) {
    style.format = LogFormat::kJournal;
  }
  return style;
}

void Redirect(int number, const UniqueFd& file) {
  const int flags = number > STDERR_FILENO ? O_CLOEXEC : 0;
  Check(dup3(file.Get(), number, flags), "dup3", "log_file");
}

}  // namespace graceful
