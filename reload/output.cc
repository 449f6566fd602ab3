#include "reload/output.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string_view>

#include "signals/check.h"

namespace graceful {

namespace {

// A line that is longer goes to the log in pieces.
constexpr size_t kLongestLine = 16 * 1024;

// As many processes may be in the middle of a line.
constexpr size_t kMostBegun = 64;

}  // namespace

Output::Output(const Log& log) : log_(log) {
  int ends[2];
  Check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  socket_.Reset(ends[0]);
  const UniqueFd written(ends[1]);
  const int on = 1;
  Check(setsockopt(socket_.Get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on), "setsockopt");
  shutdown(socket_.Get(), SHUT_WR);  // who reads from it by mistake sees the end of a file
  for (const int standard : {STDOUT_FILENO, STDERR_FILENO}) {
    Check(dup2(written.Get(), standard), "dup2");
  }
}

void Output::Read() {
  while (ReadOnce()) {
  }
}

// The kernel gives no two writers' bytes at once.
bool Output::ReadOnce() {
  char bytes[64 * 1024];
  iovec vector = {bytes, sizeof bytes};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
  msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t size =
      RetryInterrupted([&] { return recvmsg(socket_.Get(), &message, MSG_DONTWAIT); });
  if (size <= 0) return false;
  ucred writer = {};
  const cmsghdr* credentials = CMSG_FIRSTHDR(&message);
  if (credentials != nullptr && credentials->cmsg_type == SCM_CREDENTIALS) {
    std::memcpy(&writer, CMSG_DATA(credentials), sizeof writer);
  }
  Add(writer.pid, {bytes, static_cast<size_t>(size)});
  return true;
}

void Output::Add(pid_t pid, std::string_view bytes) {
  std::string& begun = begun_[pid];
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    begun += bytes.substr(0, end);
    const bool whole = end != std::string_view::npos;
    bytes.remove_prefix(whole ? end + 1 : bytes.size());
    std::string_view line = begun;
    for (; line.size() > kLongestLine; line.remove_prefix(kLongestLine)) {
      log_.Said(pid, line.substr(0, kLongestLine));
    }
    if (whole) {
      log_.Said(pid, line);
      begun.clear();
    } else {
      begun.erase(0, begun.size() - line.size());
    }
  }
  if (begun.empty()) begun_.erase(pid);
  if (begun_.size() > kMostBegun) End();
}

void Output::Ended(pid_t pid) {
  const auto begun = begun_.extract(pid);
  if (!begun.empty()) log_.Said(pid, begun.mapped());
}

void Output::End() {
  while (!begun_.empty()) Ended(begun_.begin()->first);
}

}  // namespace graceful
