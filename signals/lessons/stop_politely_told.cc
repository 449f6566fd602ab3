// What the lesson's program says of what it has found.

#include <fmt/core.h>

#include "signals/lessons/lesson.h"
#include "signals/lessons/stop_politely.h"

namespace graceful {

namespace {

const char* Describe(OnDisk on_disk) {
  switch (on_disk) {
    case OnDisk::kOld:
      return "the old document, whole";
    case OnDisk::kNew:
      return "the new document, whole";
    case OnDisk::kTorn:
      return "half a document";
  }
  return "";
}

void Tell() {
  const InPlace found = FindInPlace();
  fmt::print(
      "A program writes over its document. When half is written it is stopped. On disk is then:\n"
      "  SIGKILL                          {}\n"
      "  SIGTERM, not thought of          {}\n"
      "  SIGTERM, looked for after saving {}; it {}\n\n"
      "SIGTERM is a request, if the program makes it one. SIGKILL (and the kernel when memory is\n"
      "short) can't be caught. So it writes another file and renames that. SIGKILL after each "
      "step:\n",
      Describe(found.killed), Describe(found.terminated), Describe(found.stopped_politely),
      found.polite_end);
  for (const auto& [step, on_disk] : FindReplaced()) {
    fmt::print("  {:<32} {}\n", step, Describe(on_disk));
  }
  fmt::print(
      "\nrename(2) replaces one name by the other in one step. The two fsync(2) are not for "
      "signals,\n"
      "which take nothing from the kernel's cache, but for the power that fails.\n");
}

}  // namespace

const Lesson kLesson = {"SIGTERM, SIGKILL, and a document that is half written.", Tell};

}  // namespace graceful
