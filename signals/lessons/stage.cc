#include "signals/lessons/stage.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>

#include "signals/check.h"
#include "signals/signal_fd.h"
#include "signals/signal_names.h"

namespace graceful {

namespace {

constexpr std::chrono::milliseconds kDeadline{10'000};

// The two fields of /proc/PID/stat that follow "PID (NAME) ". NAME may hold anything, so they
// are looked for behind its last parenthesis.
struct Stat {
  char state;
  pid_t parent;
};

std::optional<Stat> ReadStat(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  if (!std::getline(file, text)) return std::nullopt;
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  Stat stat;
  fields >> stat.state >> stat.parent;
  return stat;
}

}  // namespace

Stage::Stage() {
  RestoreSignals();
  // Orphans of an experiment become this process's children, so that it can end them too.
  Check(prctl(PR_SET_CHILD_SUBREAPER, 1), "prctl", "PR_SET_CHILD_SUBREAPER");
}

Stage::~Stage() {
  // Ending a parent hands its children to us: again until there are none.
  for (auto left = ChildrenOf(getpid()); !left.empty(); left = ChildrenOf(getpid())) {
    for (const pid_t pid : left) kill(pid, SIGKILL);
    for (const pid_t pid : left) waitpid(pid, nullptr, 0);
  }
}

pid_t Fork(const std::function<void()>& body) {
  const pid_t parent = getpid();
  const pid_t pid = Check(fork(), "fork");
  if (pid != 0) return pid;
  try {
    Check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl", "PR_SET_PDEATHSIG");
    if (getppid() != parent) _exit(1);  // it died before it could have told us
    RestoreSignals();
    body();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "process %d: %s\n", getpid(), error.what());
    _exit(1);
  }
  _exit(0);
}

void Kill(pid_t pid, int signal) {
  Check(kill(pid, signal), "kill", SignalName(signal) + " " + std::to_string(pid));
}

void Handle(int signal, void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  Check(sigaction(signal, &action, nullptr), "sigaction", SignalName(signal));
}

void Await(std::string_view what, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + kDeadline;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) ThrowErrno(ETIMEDOUT, "wait until", what);
    poll(nullptr, 0, 1);
  }
}

char StateOf(pid_t pid) {
  const auto stat = ReadStat(pid);
  return stat ? stat->state : 'X';
}

std::vector<pid_t> ChildrenOf(pid_t pid) {
  std::vector<pid_t> children;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(opendir("/proc"), closedir);
  if (!proc) ThrowErrno(errno, "opendir", "/proc");
  while (const dirent* entry = readdir(proc.get())) {
    if (!std::isdigit(static_cast<unsigned char>(entry->d_name[0]))) continue;
    const pid_t candidate = std::atoi(entry->d_name);
    const auto stat = ReadStat(candidate);
    if (stat && stat->parent == pid) children.push_back(candidate);
  }
  return children;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) ThrowErrno(errno, "open", path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

Pipe::Pipe() {
  int fds[2];
  Check(pipe2(fds, O_CLOEXEC), "pipe2");
  read_.Reset(fds[0]);
  write_.Reset(fds[1]);
}

bool Pipe::HasMessage() const {
  pollfd readable = {read_.Get(), POLLIN, 0};
  const int ready = Check(RetryInterrupted([&] { return poll(&readable, 1, 0); }), "poll", "pipe");
  return ready == 1 && (readable.revents & POLLIN) != 0;
}

void Pipe::Write(const void* data, size_t size) const {
  Check(RetryInterrupted([&] { return write(write_.Get(), data, size); }), "write", "pipe");
}

void Pipe::Read(void* data, size_t size) const {
  pollfd readable = {read_.Get(), POLLIN, 0};
  const int ready = Check(
      RetryInterrupted([&] { return poll(&readable, 1, static_cast<int>(kDeadline.count())); }),
      "poll", "pipe");
  if (ready == 0) ThrowErrno(ETIMEDOUT, "read", "pipe");
  const ssize_t got =
      Check(RetryInterrupted([&] { return read(read_.Get(), data, size); }), "read", "pipe");
  if (got != static_cast<ssize_t>(size)) ThrowErrno(EPIPE, "read", "pipe");
}

}  // namespace graceful
