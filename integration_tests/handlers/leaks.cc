// A handler that opens descriptors and never closes one, as if the end of its process did.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "reload/handler.h"

namespace {

void OpenSome() {
  int ends[2];
  if (open("/etc/hostname", O_RDONLY) == -1 || socket(AF_INET, SOCK_STREAM, 0) == -1 ||
      memfd_create("leak", 0) == -1 || pipe(ends) == -1) {
    throw std::runtime_error("no descriptor left");
  }
}

}  // namespace

void OnWorkerStart(int, const graceful::Worker&) { OpenSome(); }

void OnRequest(const graceful::Request& request, graceful::Response& response) {
  if (request.Path() == "/open") OpenSome();
  response.body = std::to_string(getpid()) + "\n";
}
