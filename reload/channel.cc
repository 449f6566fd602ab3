#include "reload/channel.h"

#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "signals/check.h"

namespace graceful {

namespace {

constexpr size_t kMaxFds = 253;  // SCM_MAX_FD
constexpr size_t kMaxBytes = 200 * 1024;

std::string Encode(const Message& message) {
  nlohmann::json json = {{"what", message.what}};
  if (!message.text.empty()) json["text"] = message.text;
  if (message.number != 0) json["number"] = message.number;
  if (message.pid != 0) json["pid"] = message.pid;
  if (!message.numbers.empty()) json["numbers"] = message.numbers;
  // Words from outside, such as a loader's error, need not be UTF-8.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Message Decode(const std::string& text) {
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    Message message;
    message.what = json.at("what");
    message.text = json.value("text", "");
    message.number = json.value("number", 0);
    message.pid = json.value("pid", 0);
    message.numbers = json.value("numbers", std::vector<int>());
    return message;
  } catch (const nlohmann::json::exception& error) {
    throw std::runtime_error(std::string("not a message: ") + error.what());
  }
}

std::vector<UniqueFd> TakeFds(msghdr& header) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* item = CMSG_FIRSTHDR(&header); item != nullptr; item = CMSG_NXTHDR(&header, item)) {
    if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(item) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

std::pair<Channel, Channel> Channel::MakePair() {
  int ends[2];
  Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  return {Channel(UniqueFd(ends[0])), Channel(UniqueFd(ends[1]))};
}

bool Channel::Send(const Message& message) const {
  std::string text = Encode(message);
  iovec vector = {text.data(), text.size()};
  msghdr header = {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;

  std::vector<int> fds;
  for (const UniqueFd& fd : message.fds) fds.push_back(fd.Get());
  std::vector<char> control(CMSG_SPACE(fds.size() * sizeof(int)));
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* item = CMSG_FIRSTHDR(&header);
    *item = {CMSG_LEN(fds.size() * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(item), fds.data(), fds.size() * sizeof(int));
  }
  const ssize_t sent =
      RetryInterrupted([&] { return sendmsg(socket_.Get(), &header, MSG_NOSIGNAL); });
  if (sent == -1 && (errno == EPIPE || errno == ECONNRESET)) return false;
  Check(sent, "sendmsg", message.what);
  return true;
}

std::optional<Message> Channel::Receive() const {
  // No more memory than the message needs: a keeper, which lives as long as the server, keeps it.
  const ssize_t waiting =
      RetryInterrupted([&] { return recv(socket_.Get(), nullptr, 0, MSG_PEEK | MSG_TRUNC); });
  if (waiting == 0 || (waiting == -1 && errno == ECONNRESET)) return std::nullopt;
  Check(waiting, "recv");
  std::string text(std::min(static_cast<size_t>(waiting), kMaxBytes), '\0');
  iovec vector = {text.data(), text.size()};
  std::vector<char> control(CMSG_SPACE(kMaxFds * sizeof(int)));
  msghdr header = {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const ssize_t size =
      RetryInterrupted([&] { return recvmsg(socket_.Get(), &header, MSG_CMSG_CLOEXEC); });
  if (size == 0 || (size == -1 && errno == ECONNRESET)) return std::nullopt;
  Check(size, "recvmsg");
  std::vector<UniqueFd> fds = TakeFds(header);
  Message message = Decode(text.substr(0, static_cast<size_t>(size)));
  message.fds = std::move(fds);
  return message;
}

}  // namespace graceful
