#ifndef GRACEFUL_RELOAD_LOG_FILE_H_
#define GRACEFUL_RELOAD_LOG_FILE_H_

#include <string>

#include "reload/log.h"
#include "reload/settings.h"
#include "signals/unique_fd.h"

namespace graceful {

// Whether the log goes to a file of its own, and not to standard error.
bool HasLogFile(const Settings& settings);

// Opens the file to append, and creates it with mode 0640. Throws std::system_error.
UniqueFd OpenLogFile(const std::string& path);

// How lines look on that descriptor: as the settings say, or for systemd's journal.
Log::Style LogStyle(const Settings& settings, int fd);

// Makes `number` lead where `file` leads, at once for all processes that share the descriptor
// table: no line is lost between the two. Throws std::system_error.
void Redirect(int number, const UniqueFd& file);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_LOG_FILE_H_
