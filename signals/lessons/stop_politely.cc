#include "signals/lessons/stop_politely.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <optional>
#include <string_view>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/lessons/lesson.h"
#include "signals/lessons/stage.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

std::string OldText() { return std::string(64 * 1024, 'o'); }
std::string NewText() { return std::string(64 * 1024, 'n'); }

// Told after each step of saving, by name: where an experiment can stop the program.
using AfterStep = std::function<void(std::string_view step)>;

void WriteAll(const UniqueFd& file, std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(Check(write(file.Get(), text.data(), text.size()), "write", "document"));
  }
}

UniqueFd OpenEmpty(const std::string& path) {
  return UniqueFd(
      Check(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), "open", path));
}

void SaveInPlace(const std::string& path, std::string_view text, const AfterStep& after) {
  const UniqueFd file = OpenEmpty(path);
  WriteAll(file, text.substr(0, text.size() / 2));
  after("wrote half");
  WriteAll(file, text.substr(text.size() / 2));
}

void SaveByRename(const std::string& path, std::string_view text, const AfterStep& after) {
  const std::string temporary = path + ".new";  // in the same folder, for rename(2)
  const UniqueFd file = OpenEmpty(temporary);
  after("opened a temporary file");
  WriteAll(file, text.substr(0, text.size() / 2));
  after("wrote half");
  WriteAll(file, text.substr(text.size() / 2));
  after("wrote all");
  Check(fsync(file.Get()), "fsync", temporary);
  after("fsync of the file");
  Check(rename(temporary.c_str(), path.c_str()), "rename", temporary);
  after("rename");
  const std::string folder = std::filesystem::path(path).parent_path();
  const UniqueFd directory(
      Check(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open", folder));
  Check(fsync(directory.Get()), "fsync", folder);
  after("fsync of the folder");
}

constexpr std::string_view kRenameSteps[] = {
    "opened a temporary file", "wrote half", "wrote all",
    "fsync of the file",       "rename",     "fsync of the folder"};

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

using Save = void (*)(const std::string& path, std::string_view text, const AfterStep& after);

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
  WriteAll(OpenEmpty(path), OldText());

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
