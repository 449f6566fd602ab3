#ifndef GRACEFUL_RELOAD_CHANNEL_H_
#define GRACEFUL_RELOAD_CHANNEL_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "signals/unique_fd.h"

namespace graceful {

// What the processes of a server tell each other: master and keeper, keeper and worker, ctl and
// master. On the wire it is one JSON object, so strace(1) shows the conversation in plain text.
struct Message {
  std::string what = {};  // the verb: "reload", "ready", ...
  std::string text = {};  // an outcome, a reason, settings
  int number = 0;         // a generation, or what the verb says
  pid_t pid = 0;
  std::vector<int> numbers = {};
  std::vector<UniqueFd> fds = {};  // travel beside the text (unix(7), SCM_RIGHTS)
};

// One end of a connected pair of sockets of type SOCK_SEQPACKET: whole messages, in order, and
// the end of the other process is seen as an end of file. Every message is at most 200 kB.
class Channel {
 public:
  Channel() = default;
  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}

  static std::pair<Channel, Channel> MakePair();

  int Get() const { return socket_.Get(); }
  explicit operator bool() const { return static_cast<bool>(socket_); }

  // Sends, waiting for room. False when the other end is gone. Throws std::system_error.
  bool Send(const Message& message) const;

  // The next message, waiting for it. Nothing when the other end is gone.
  // Throws std::system_error, or std::runtime_error for what is no message.
  std::optional<Message> Receive() const;

 private:
  UniqueFd socket_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_CHANNEL_H_
