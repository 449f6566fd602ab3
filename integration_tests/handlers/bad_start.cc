// A handler that cannot start, in the way that AT_START names.

#include <unistd.h>

#include <cstdlib>
#include <stdexcept>

#include "reload/handler.h"

void ThisFunctionIsNowhere();

namespace {

[[maybe_unused]] void Throws() { throw std::runtime_error("no database at 10.0.0.1"); }
[[maybe_unused]] void Aborts() { std::abort(); }
[[maybe_unused]] void Hangs() {
  for (;;) pause();
}
[[maybe_unused]] void LacksSymbol() { ThisFunctionIsNowhere(); }

}  // namespace

void OnWorkerStart(int, const graceful::Worker&) { AT_START(); }

void OnRequest(const graceful::Request&, graceful::Response&) {}
