#ifndef GRACEFUL_RELOAD_TASKS_TASK_POST_H_
#define GRACEFUL_RELOAD_TASKS_TASK_POST_H_

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reload/tasks/task_message.h"
#include "signals/unique_fd.h"

namespace graceful {

// The task keeper's side of its conversation with the slots (task_message.h). What can't be sent
// at once waits here; should this process die first, its successor has all slots ask again.
class TaskPost {
 public:
  // Reads from `calls`; `epoll` is told of sockets that are waited for. Not owned.
  TaskPost(UniqueFd calls, int epoll);

  int Calls() const { return calls_.Get(); }

  // What a slot's next notices go to.
  void SetInbox(int slot, UniqueFd inbox);

  using OnCall = std::function<void(const TaskCall&, std::string_view tasks)>;
  // Reads what waits, up to some hundred messages, and then hands it on: `before` runs between the
  // two. False once all slots have gone.
  bool Receive(const std::function<void()>& before, const OnCall& on_call);

  // To be told with the next Flush(). `size` is set here.
  void Tell(int slot, TaskNotice notice, std::string_view text);

  // Has every slot say again whom it wants to be told of what.
  void AskAll();

  void Flush();

 private:
  struct Letter {
    std::string bytes;
    UniqueFd attached;
  };
  struct Box {
    UniqueFd inbox;
    std::deque<Letter> letters;
    bool waits = false;  // for room, in the epoll
  };

  void FlushBox(Box& box);

  UniqueFd calls_;
  const int epoll_;
  std::map<int, Box> boxes_;
  std::vector<char> buffers_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_TASK_POST_H_
