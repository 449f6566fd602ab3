#include "signals/lessons/stop_politely.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string_view>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/lessons/stage.h"
#include "signals/lessons/stop_politely_document.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

std::string OldText() { return std::string(64 * 1024, 'o'); }
std::string NewText() { return std::string(64 * 1024, 'n'); }

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(std::filesystem::temp_directory_path() / "stop_politely.XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ThrowErrno(errno, "mkdtemp", path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  const std::string& Path() const { return path_; }

 private:
  std::string path_;
};

struct Stopped {
  OnDisk on_disk;
  std::string end;
};

// Starts a program that saves, and sends it a signal when it has done `step`. A polite one has
// SIGTERM wait until the document is saved.
Stopped StopAfter(std::string_view step, int signal, Save save, bool polite) {
  const Stage stage;
  const TemporaryFolder folder;
  const std::string path = folder.Path() + "/document";
  SaveInPlace(path, OldText(), [](std::string_view) {});

  Pipe reached, gate;
  const pid_t pid = Fork([&] {
    gate.CloseWriteEnd();
    std::optional<SignalFd> signals;
    if (polite) signals.emplace(std::initializer_list<int>{SIGTERM});
    save(path, NewText(), [&](std::string_view done) {
      if (done != step) return;
      reached.Send('!');
      char byte;
      Check(read(gate.ReadEnd(), &byte, 1), "read", "gate");
    });
    if (polite && !signals->Read()) _exit(1);  // nobody asked it to stop
  });
  reached.Receive<char>();
  Kill(pid, signal);
  gate.CloseWriteEnd();

  Stopped stopped = {.on_disk = OnDisk::kTorn, .end = WaitFor(pid).Describe()};
  const std::string text = ReadFile(path);
  if (text == OldText()) stopped.on_disk = OnDisk::kOld;
  if (text == NewText()) stopped.on_disk = OnDisk::kNew;
  return stopped;
}

}  // namespace

InPlace FindInPlace() {
  const Stopped polite = StopAfter("wrote half", SIGTERM, SaveInPlace, /*polite=*/true);
  return {.killed = StopAfter("wrote half", SIGKILL, SaveInPlace, /*polite=*/false).on_disk,
          .terminated = StopAfter("wrote half", SIGTERM, SaveInPlace, /*polite=*/false).on_disk,
          .stopped_politely = polite.on_disk,
          .polite_end = polite.end};
}

std::vector<KilledAfter> FindReplaced() {
  std::vector<KilledAfter> found;
  for (const std::string_view step : kRenameSteps) {
    const Stopped stopped = StopAfter(step, SIGKILL, SaveByRename, /*polite=*/false);
    found.push_back({std::string(step), stopped.on_disk});
  }
  return found;
}

}  // namespace graceful
