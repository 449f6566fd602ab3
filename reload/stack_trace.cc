#include "reload/stack_trace.h"

#include <signal.h>
#include <spawn.h>
#include <unistd.h>

#include <cstring>
#include <string>

namespace graceful {

pid_t StartStackTrace(pid_t of, const Log& log) {
  posix_spawnattr_t attributes;  // no signal blocked: the keeper has all its own blocked
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

  std::string program = "eu-stack";
  std::string which = "--pid=" + std::to_string(of);
  char* arguments[] = {program.data(), which.data(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, program.c_str(), nullptr, &attributes, arguments, environ);
  posix_spawnattr_destroy(&attributes);
  if (error == 0) return child;
  log.Line("no stack of it: {}: {} (the package elfutils has it)", program, std::strerror(error));
  return 0;
}

}  // namespace graceful
