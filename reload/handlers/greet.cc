// A whole handler, to begin one's own with.

#include <string>

#include "reload/handler.h"

void OnRequest(const graceful::Request& request, graceful::Response& response) {
  if (request.Path() != "/greet") {
    response.status = 404;
    return;
  }
  response.body = "hello, " + std::string(request.Query("name")) + "\n";
}
