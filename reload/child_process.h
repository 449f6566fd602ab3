#ifndef GRACEFUL_RELOAD_CHILD_PROCESS_H_
#define GRACEFUL_RELOAD_CHILD_PROCESS_H_

#include <vector>

#include "reload/settings.h"

namespace graceful {

// What a child does first with what it has inherited.

// Closes all but standard input, output and error and those in `keep`.
void CloseAllBut(std::vector<int> keep);

// Becomes the user and group that the settings name, for good. Throws std::runtime_error.
void DropPrivileges(const Settings& settings);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_CHILD_PROCESS_H_
