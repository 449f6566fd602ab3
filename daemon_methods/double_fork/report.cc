#include "daemon_methods/double_fork/report.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>

#include "signals/check.h"

namespace graceful {

namespace {

constexpr size_t kMaxText = 16 * 1024;

struct Header {
  Report::Kind kind;
  int value;
};

}  // namespace

std::pair<UniqueFd, UniqueFd> MakeReportChannel() {
  int ends[2];
  Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void SendReport(const UniqueFd& channel, const Report& report) {
  Header header = {report.kind, report.value};
  iovec parts[] = {
      {&header, sizeof header},
      {const_cast<char*>(report.text.data()), std::min(report.text.size(), kMaxText)},
  };
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  const ssize_t sent =
      RetryInterrupted([&] { return sendmsg(channel.Get(), &message, MSG_NOSIGNAL); });
  // ECONNRESET: it is gone, too, and had not read all that was sent before.
  if (sent == -1 && errno == ECONNRESET) errno = EPIPE;
  Check(sent, "sendmsg", "to the process that started this daemon");
}

std::optional<Report> ReceiveReport(const UniqueFd& channel) {
  Header header;
  std::string text(kMaxText, '\0');
  iovec parts[] = {{&header, sizeof header}, {text.data(), text.size()}};
  msghdr message = {};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  const ssize_t size =
      RetryInterrupted([&] { return recvmsg(channel.Get(), &message, MSG_CMSG_CLOEXEC); });
  if (Check(size, "recvmsg", "from the daemon") < static_cast<ssize_t>(sizeof header)) {
    return std::nullopt;
  }
  text.resize(size - sizeof header);
  return Report{header.kind, header.value, std::move(text)};
}

}  // namespace graceful
