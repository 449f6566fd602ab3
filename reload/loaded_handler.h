#ifndef GRACEFUL_RELOAD_LOADED_HANDLER_H_
#define GRACEFUL_RELOAD_LOADED_HANDLER_H_

#include <memory>

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

 private:
  decltype(&OnRequest) on_request_;
  decltype(&OnWorkerStart) on_worker_start_;
  decltype(&OnWorkerStop) on_worker_stop_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_LOADED_HANDLER_H_
