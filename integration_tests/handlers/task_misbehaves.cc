// A handler whose tasks go wrong, in the way that their payload says. POST / starts one and answers
// when it has finished, as the server does it by itself: there is no OnFinish().

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include "reload/handler.h"

void OnTask(const graceful::Task& task, std::string& result) {
  const std::string payload(task.payload);
  if (payload == "throw") throw std::runtime_error("as asked");
  if (payload == "throw-int") throw 1;
  if (payload == "abort") std::abort();
  if (payload == "large") result.assign(2'000'000, 'x');
  if (payload == "print") std::printf("half a line");
  if (payload == "print-and-abort") {
    std::printf("famous last words");
    std::abort();
  }
  if (payload == "hang") {
    for (;;) pause();
  }
  // "mend /path": aborts until there is such a file.
  if (payload.starts_with("mend ") && !std::ifstream(payload.substr(5))) std::abort();
  // "sleep N", "twice": dies the first time.
  if (payload.starts_with("sleep ")) {
    std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(payload.substr(6))));
  }
  if (payload == "twice" && task.attempt == 1) raise(SIGKILL);
  if (result.empty()) result = "attempt " + std::to_string(task.attempt);
}

void OnRequest(const graceful::Request& request, graceful::Response& response) {
  if (request.method != "POST") return;
  if (request.Path() == "/throw") {
    request.worker.StartTask("never to be");
    throw std::runtime_error("as asked");
  }
  if (request.Path() == "/many") {
    std::string ids;
    for (int i = 0; i < std::stoi(std::string(request.body)); ++i) {
      ids += request.worker.StartTask("one of many") + "\n";
    }
    response.status = 202;
    response.body = ids;
    return;
  }
  if (request.Path() == "/defer") return response.Defer(request.body);
  response.Defer(request.worker.StartTask(request.body));
}
