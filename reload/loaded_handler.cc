#include "reload/loaded_handler.h"

#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace graceful {

namespace {

template <typename Symbol>
Symbol Find(void* library, const char* name) {
  return reinterpret_cast<Symbol>(dlsym(library, name));
}

}  // namespace

LoadedHandler::LoadedHandler(int image_fd) {
  // RTLD_NOW: a missing symbol is found here, not in the middle of a request. The library is
  // never closed: its worker process ends instead, which cleans up more surely than dlclose(3).
  const std::string path = "/proc/self/fd/" + std::to_string(image_fd);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::string reason = dlerror();
    if (reason.starts_with(path + ": ")) reason.erase(0, path.size() + 2);
    throw std::runtime_error("dlopen: " + reason);
  }

  on_request_ = Find<decltype(on_request_)>(library, "OnRequest");
  on_task_ = Find<decltype(on_task_)>(library, "OnTask");
  on_finish_ = Find<decltype(on_finish_)>(library, "OnFinish");
  on_worker_start_ = Find<decltype(on_worker_start_)>(library, "OnWorkerStart");
  on_worker_stop_ = Find<decltype(on_worker_stop_)>(library, "OnWorkerStop");
  if (on_request_ == nullptr) {
    throw std::runtime_error("it has no entry point OnRequest (reload/handler.h)");
  }
  const auto* interface = Find<const unsigned*>(library, "graceful_handler_interface");
  if (interface == nullptr) {
    throw std::runtime_error("it was not built with reload/handler.h");
  }
  if (*interface != kHandlerInterface) {
    throw std::runtime_error("it was built for handler interface " + std::to_string(*interface) +
                             ", this server has " + std::to_string(kHandlerInterface));
  }
}

void LoadedHandler::RequireTasks(int task_worker_num) const {
  if (task_worker_num == 0 || on_task_ != nullptr) return;
  throw std::runtime_error("task_worker_num is " + std::to_string(task_worker_num) +
                           ", and it has no entry point OnTask (reload/handler.h)");
}

void LoadedHandler::Finish(const TaskResult& result, const Request& request,
                           Response& response) const {
  if (on_finish_ != nullptr) return on_finish_(result, request, response);
  switch (result.state) {
    case TaskState::kDone:
      break;
    case TaskState::kUnknown:
      response.status = 404;
      break;
    case TaskState::kFailed:
    case TaskState::kDead:
      response.status = 500;
      break;
    case TaskState::kWaiting:
    case TaskState::kRunning:
      response.status = 202;
      break;
  }
  response.body = result.text;
}

}  // namespace graceful
