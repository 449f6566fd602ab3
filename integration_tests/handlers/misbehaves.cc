// A handler whose requests go wrong, in the way that the path names.

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "reload/handler.h"

// A name of its own, to be found in the stack that the keeper has logged.
[[gnu::noinline]] void Hang() {
  for (;;) pause();
}

void OnRequest(const graceful::Request& request, graceful::Response& response) {
  const std::string_view path = request.Path();
  if (path == "/throw") throw std::runtime_error("as asked");
  if (path == "/throw-int") throw 1;
  if (path == "/abort") std::abort();
  if (path == "/hang") Hang();
  if (path == "/split") response.headers.emplace_back("X", "a\r\nSet-Cookie: b");
  if (path == "/large")
    response.body.assign(std::stoul("0" + std::string(request.Query("n"))), 'x');
}
