#include "reload/child_process.h"

#include <grp.h>
#include <pwd.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "signals/check.h"

namespace graceful {

void CloseAllBut(std::vector<int> keep) {
  keep.insert(keep.end(), {0, 1, 2});
  std::sort(keep.begin(), keep.end());
  unsigned first = 0;
  for (const int fd : keep) {
    if (static_cast<unsigned>(fd) > first) close_range(first, fd - 1, 0);
    first = std::max(first, static_cast<unsigned>(fd) + 1);
  }
  close_range(first, ~0u, 0);
}

void DropPrivileges(const Settings& settings) {
  if (settings.user.empty() && settings.group.empty()) return;
  gid_t group = getgid();
  const passwd* user = nullptr;
  if (!settings.user.empty()) {
    user = getpwnam(settings.user.c_str());
    if (user == nullptr) throw std::runtime_error("there is no user '" + settings.user + "'");
    group = user->pw_gid;
  }
  if (!settings.group.empty()) {
    const struct group* named = getgrnam(settings.group.c_str());
    if (named == nullptr) throw std::runtime_error("there is no group '" + settings.group + "'");
    group = named->gr_gid;
  }
  if (user != nullptr) {
    Check(initgroups(settings.user.c_str(), group), "initgroups", settings.user);
  } else {
    Check(setgroups(0, nullptr), "setgroups");
  }
  Check(setgid(group), "setgid", settings.group);
  if (user != nullptr) Check(setuid(user->pw_uid), "setuid", settings.user);
}

}  // namespace graceful
