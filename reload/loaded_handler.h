#ifndef GRACEFUL_RELOAD_LOADED_HANDLER_H_
#define GRACEFUL_RELOAD_LOADED_HANDLER_H_

#include <string>

#include "reload/handler.h"
#include "signals/unique_fd.h"

namespace graceful {

// A handler in this process's memory, found by dlopen(3) and dlsym(3).
class LoadedHandler {
 public:
  // Loads the image (handler_image.h). Throws std::runtime_error that says why it is no handler.
  explicit LoadedHandler(int image_fd);

  void Start(const Worker& worker) const {
    if (on_worker_start_ != nullptr) on_worker_start_(worker.Slot(), worker);
  }
  void Stop() const {
    if (on_worker_stop_ != nullptr) on_worker_stop_();
  }
  void Run(const Request& request, Response& response) const { on_request_(request, response); }

  // Throws std::runtime_error when there are task workers and no OnTask() for them.
  void RequireTasks(int task_worker_num) const;
  void RunTask(const Task& task, std::string& result) const { on_task_(task, result); }
  void Finish(const TaskResult& result, const Request& request, Response& response) const;

 private:
  decltype(&OnRequest) on_request_;
  decltype(&OnTask) on_task_;
  decltype(&OnFinish) on_finish_;
  decltype(&OnWorkerStart) on_worker_start_;
  decltype(&OnWorkerStop) on_worker_stop_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_LOADED_HANDLER_H_
