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

}  // namespace graceful
