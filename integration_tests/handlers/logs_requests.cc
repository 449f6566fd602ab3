// The echo handler, and a line in the log for each request: "GET /".

#include <cstdio>

#include "reload/handler.h"

// OnRequest() of reload/handlers/echo.cc, which is compiled under this name (see BUILD).
extern "C" void Echo(const graceful::Request& request, graceful::Response& response);

void OnRequest(const graceful::Request& request, graceful::Response& response) {
  std::printf("%.*s %.*s\n", static_cast<int>(request.method.size()), request.method.data(),
              static_cast<int>(request.target.size()), request.target.data());
  Echo(request, response);
}
