#ifndef GRACEFUL_SIGNALS_LESSONS_STOP_POLITELY_H_
#define GRACEFUL_SIGNALS_LESSONS_STOP_POLITELY_H_

#include <string>
#include <vector>

namespace graceful {

// What is on disk after a program was stopped while it saved a new document over an old one.
enum class OnDisk { kOld, kNew, kTorn };

// A program that writes over its file, and is stopped when half of it is written.
struct InPlace {
  OnDisk killed;            // SIGKILL: torn
  OnDisk terminated;        // SIGTERM, which it never thought of: just as torn
  OnDisk stopped_politely;  // SIGTERM, which it looks for when the document is saved: new
  std::string polite_end;   // "exited with status 0"
};
InPlace FindInPlace();

// The fix for what no program can catch: it writes a temporary file and renames that. Killed
// with SIGKILL after each step of it in turn: old until the rename, then new, never torn.
struct KilledAfter {
  std::string step;
  OnDisk on_disk;
};
std::vector<KilledAfter> FindReplaced();

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_STOP_POLITELY_H_
