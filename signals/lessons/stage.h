#ifndef GRACEFUL_SIGNALS_LESSONS_STAGE_H_
#define GRACEFUL_SIGNALS_LESSONS_STAGE_H_

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "signals/unique_fd.h"

namespace graceful {

// Where an experiment plays: it begins with every signal unblocked and at its default action,
// whatever this process inherited, and it ends with no process left, whatever went wrong.
class Stage {
 public:
  Stage();
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
};

// Forks a child that runs `body` and exits with 0, or with 1 and a line on stderr if it threw.
// It starts with default signals and dies with its parent.
pid_t Fork(const std::function<void()>& body);

// Sends a signal. A negative pid names a process group. Throws std::system_error.
void Kill(pid_t pid, int signal);

// Installs a handler. `flags` as in sigaction(2).
void Handle(int signal, void (*handler)(int), int flags = 0);

// Waits until `condition` is true. Throws std::system_error (ETIMEDOUT) that names `what` after
// ten seconds, which only a mistake or a broken machine can use up.
void Await(std::string_view what, const std::function<bool()>& condition);

// The state of a process as proc_pid_stat(5) names it: 'R' runs, 'S' sleeps, 'T' is stopped,
// 'Z' is a zombie; 'X' when there is no such process.
char StateOf(pid_t pid);

// The processes whose parent is `pid`, zombies included, in no order.
std::vector<pid_t> ChildrenOf(pid_t pid);

// A file's whole content, also of one in /proc. Throws std::system_error.
std::string ReadFile(const std::string& path);

// A pipe for messages between the processes of an experiment.
class Pipe {
 public:
  Pipe();  // Throws std::system_error.

  // One message that no other one mixes with: see PIPE_BUF in pipe(7).
  template <typename Message>
  void Send(const Message& message) const {
    static_assert(std::is_trivially_copyable_v<Message> && sizeof message <= 4096);
    Write(&message, sizeof message);
  }

  // The next message. Throws std::system_error when none comes in ten seconds, or none can
  // since every writer has gone.
  template <typename Message>
  Message Receive() const {
    Message message;
    Read(&message, sizeof message);
    return message;
  }

  // Whether Receive() would return at once.
  bool HasMessage() const;

  int ReadEnd() const { return read_.Get(); }
  int WriteEnd() const { return write_.Get(); }
  void CloseWriteEnd() { write_.Reset(); }

 private:
  void Write(const void* data, size_t size) const;
  void Read(void* data, size_t size) const;

  UniqueFd read_;
  UniqueFd write_;
};

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_STAGE_H_
