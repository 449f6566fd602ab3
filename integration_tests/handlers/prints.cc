// A handler that prints: numbered lines, a child's, and last words.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "reload/handler.h"

namespace {

long printed = 0;

// Half of them on each of the two, with both of C's and C++'s favourite calls.
void PrintLine() {
  const long number = printed++;
  std::fprintf(number % 2 == 0 ? stdout : stderr, "line %d %ld of a length that is not short\n",
               getpid(), number);
}

}  // namespace

// "PID FIRST END": the numbers of the lines that it has printed.
void OnRequest(const graceful::Request& request, graceful::Response& response) {
  const std::string_view path = request.Path();
  if (path == "/last-words") {
    std::printf("last words, and no end");
    std::abort();
  }
  if (path == "/child") {
    if (std::system("echo from a child; echo of the shell >&2") != 0)
      throw std::runtime_error("sh");
  }
  if (path == "/bytes") std::printf("\xff\"\\\n");
  const long first = printed;
  if (path == "/print") {
    const long count = std::stol("0" + std::string(request.Query("n")));
    for (long i = 0; i < count; ++i) PrintLine();
  }
  response.body =
      std::to_string(getpid()) + " " + std::to_string(first) + " " + std::to_string(printed) + "\n";
}

void OnWorkerStop() { std::printf("goodbye, and no end"); }
