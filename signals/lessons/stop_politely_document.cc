#include "signals/lessons/stop_politely_document.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "signals/check.h"
#include "signals/unique_fd.h"

namespace graceful {

namespace {

void WriteAll(const UniqueFd& file, std::string_view text) {
  while (!text.empty()) {
    text.remove_prefix(Check(write(file.Get(), text.data(), text.size()), "write", "document"));
  }
}

UniqueFd OpenEmpty(const std::string& path) {
  return UniqueFd(
      Check(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), "open", path));
}

}  // namespace

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

}  // namespace graceful
