#include "signals/lessons/interrupted.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "signals/check.h"
#include "signals/lessons/lesson.h"
#include "signals/lessons/stage.h"

namespace graceful {

namespace {

constexpr timespec kMinute = {.tv_sec = 60, .tv_nsec = 0};

// A call that sleeps for long, given a descriptor in which nothing comes.
struct SleepingCall {
  const char* name;
  long (*run)(int quiet);
};

long Read(int quiet) {
  char byte;
  return read(quiet, &byte, 1);
}

long Accept(int) {
  const UniqueFd listener(Check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  const sockaddr nameless = {.sa_family = AF_UNIX, .sa_data = {}};  // unix(7), autobind
  Check(bind(listener.Get(), &nameless, sizeof nameless.sa_family), "bind");
  Check(listen(listener.Get(), 1), "listen");
  return accept4(listener.Get(), nullptr, nullptr, SOCK_CLOEXEC);
}

long Waitpid(int) {
  Fork([] { pause(); });
  return waitpid(-1, nullptr, 0);
}

long Flock(int quiet) {
  const std::string same_file = "/proc/self/fd/" + std::to_string(quiet);
  const UniqueFd other(Check(open(same_file.c_str(), O_RDONLY | O_CLOEXEC), "open", same_file));
  Check(flock(other.Get(), LOCK_EX), "flock");
  return flock(quiet, LOCK_EX);
}

long ReceiveWithTimeout(int) {
  int fds[2];
  Check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
  const timeval minute = {.tv_sec = kMinute.tv_sec, .tv_usec = 0};
  Check(setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof minute), "setsockopt");
  char byte;
  return recv(fds[0], &byte, 1, 0);
}

long Poll(int quiet) {
  pollfd fd = {quiet, POLLIN, 0};
  return poll(&fd, 1, -1);
}

long Select(int quiet) {
  fd_set fds;
  FD_ZERO(&fds);
  FD_SET(quiet, &fds);
  return select(quiet + 1, &fds, nullptr, nullptr, nullptr);
}

long EpollWait(int quiet) {
  const UniqueFd epoll(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event event = {};
  Check(epoll_ctl(epoll.Get(), EPOLL_CTL_ADD, quiet, &event), "epoll_ctl");
  return epoll_wait(epoll.Get(), &event, 1, -1);
}

long Nanosleep(int) { return nanosleep(&kMinute, nullptr); }

constexpr SleepingCall kCalls[] = {
    {"read", Read},
    {"accept", Accept},
    {"waitpid", Waitpid},
    {"flock", Flock},
    {"recv with SO_RCVTIMEO", ReceiveWithTimeout},
    {"poll", Poll},
    {"select", Select},
    {"nanosleep", Nanosleep},
    {"epoll_wait", EpollWait},
};

int handled_fd;  // where the handler says that it ran: write(2) is safe in one

void OnSignal(int) {
  const int kept = errno;  // a handler must not change what the interrupted code sees
  if (write(handled_fd, "!", 1) == -1) _exit(1);
  errno = kept;
}

// Disturbs a process that sleeps in `call`: with SIGUSR1 if it handles that (then with these
// flags for sigaction(2)), else by stopping and continuing it.
Outcome Disturb(const SleepingCall& call, std::optional<int> handler_flags) {
  Pipe quiet, handled, result;
  const pid_t pid = Fork([&] {
    handled_fd = handled.WriteEnd();
    if (handler_flags) Handle(SIGUSR1, OnSignal, *handler_flags);
    const long returned = call.run(quiet.ReadEnd());
    result.Send(returned == -1 ? errno : 0);
  });
  Await("the call sleeps", [&] { return StateOf(pid) == 'S'; });
  if (handler_flags) {
    Kill(pid, SIGUSR1);
    handled.Receive<char>();
  } else {
    Kill(pid, SIGSTOP);
    Await("the process is stopped", [&] { return StateOf(pid) == 'T'; });
    Kill(pid, SIGCONT);
  }
  Await("it sleeps again or has returned",
        [&] { return result.HasMessage() || StateOf(pid) == 'S'; });
  if (!result.HasMessage()) return Outcome::kSleepsOn;
  const int error = result.Receive<int>();
  if (error != EINTR) ThrowErrno(error, call.name);
  return Outcome::kEintr;
}

}  // namespace

std::vector<Interrupted> FindInterrupted() {
  std::vector<Interrupted> found;
  for (const SleepingCall& call : kCalls) {
    const Stage stage;
    found.push_back({.call = call.name,
                     .handler = Disturb(call, 0),
                     .with_restart = Disturb(call, SA_RESTART),
                     .stopped = Disturb(call, std::nullopt)});
  }
  return found;
}

namespace {

const char* Describe(Outcome outcome) { return outcome == Outcome::kEintr ? "EINTR" : "sleeps on"; }

void Tell() {
  fmt::print(
      "A signal comes while a process sleeps in a system call.\n\n"
      "  {:<22}  {:<10}  {:<10}  {}\n",
      "", "handler", "SA_RESTART", "stopped, continued; no handler");
  for (const Interrupted& row : FindInterrupted()) {
    fmt::print("  {:<22}  {:<10}  {:<10}  {}\n", row.call, Describe(row.handler),
               Describe(row.with_restart), Describe(row.stopped));
  }
  fmt::print(
      "\nA handler interrupts every one of them. SA_RESTART hides that for calls that wait "
      "without\n"
      "end for one thing. Those that wait with a timeout, or for many things, always say EINTR.\n"
      "In the last column is what surprises programs that have no handler at all: Ctrl-Z and fg,\n"
      "or a debugger, are enough. So every loop around such a call must expect EINTR.\n");
}

}  // namespace

const Lesson kLesson = {"EINTR: which system calls a signal interrupts, and what SA_RESTART helps.",
                        Tell};

}  // namespace graceful
