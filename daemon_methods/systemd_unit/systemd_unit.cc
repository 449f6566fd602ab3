// The method that needs no daemonizing: systemd starts the server with no terminal to lose, keeps
// its output, watches it, starts it again. The server says when it is ready and stays in the
// foreground. echo.service is the unit; without systemd this is a plain foreground run.

#include <fcntl.h>
#include <fmt/format.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>

#include "daemon_methods/echo_server.h"
#include "daemon_methods/program.h"
#include "signals/check.h"

namespace graceful {
namespace {

// Does nothing when nobody asked for notifications (sd_notify(3): NOTIFY_SOCKET).
void Notify(const std::string& state) {
  const int result = sd_notify(0, state.c_str());
  if (result < 0) ThrowErrno(-result, "sd_notify", state);
}

// The socket that echo.socket has kept open through every restart, if it started us.
UniqueFd InheritedListener() {
  const int count = sd_listen_fds(/*unset_environment=*/1);
  if (count < 0) ThrowErrno(-count, "sd_listen_fds");
  if (count == 0) return {};
  if (count > 1) throw std::runtime_error("systemd passed several sockets: one ListenStream only");
  UniqueFd listener(SD_LISTEN_FDS_START);
  const int flags = Check(fcntl(listener.Get(), F_GETFL), "fcntl", "F_GETFL");
  Check(fcntl(listener.Get(), F_SETFL, flags | O_NONBLOCK), "fcntl", "O_NONBLOCK");
  return listener;
}

// Half of WatchdogSec, as sd_watchdog_enabled(3) advises; 0 without a watchdog.
std::chrono::milliseconds WatchdogTick() {
  uint64_t microseconds = 0;
  const int enabled = sd_watchdog_enabled(0, &microseconds);
  if (enabled < 0) ThrowErrno(-enabled, "sd_watchdog_enabled");
  if (enabled == 0) return {};
  return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::microseconds(microseconds) / 2);
}

uint64_t MonotonicMicroseconds() {
  timespec now;
  Check(clock_gettime(CLOCK_MONOTONIC, &now), "clock_gettime");
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

// The time stamp is for Type=notify-reload (systemd 253), which tells by it that this RELOADING
// answers its own signal. Older systemd passes over it.
void Reload() {
  static int reloads = 0;
  Notify(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", MonotonicMicroseconds()));
  fmt::print("reload {}\n", ++reloads);
  std::fflush(stdout);
  Notify("READY=1");
}

int Main(const Options& options) {
  const auto pid_file = AcquirePidFile(options);
  UniqueFd inherited = InheritedListener();
  EchoServer server(inherited ? std::move(inherited) : Listen(options.port));
  RedirectOutput(OpenLog(options));
  const bool supervised = sd_booted() > 0 && getenv("INVOCATION_ID") != nullptr;
  fmt::print("{}\n", Account(server.Port(), supervised ? "systemctl stop echo"
                                                       : "Ctrl-C; echo.service says how to "
                                                         "install it as a unit of systemd"));
  std::fflush(stdout);

  Notify(fmt::format("READY=1\nSTATUS=Serving on port {}", server.Port()));
  EchoServer::Hooks hooks = {.on_reload = Reload, .on_stop = [] { Notify("STOPPING=1"); }};
  if ((hooks.tick = WatchdogTick()).count() > 0) hooks.on_tick = [] { Notify("WATCHDOG=1"); };
  server.Run(hooks);
  return 0;
}

}  // namespace
}  // namespace graceful

int main(int argc, char** argv) {
  return graceful::RunProgram(
      argc, argv, "An echo server as a unit of systemd; a foreground run where there is none.",
      graceful::Main);
}
