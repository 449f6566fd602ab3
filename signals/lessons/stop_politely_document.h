#ifndef GRACEFUL_SIGNALS_LESSONS_STOP_POLITELY_DOCUMENT_H_
#define GRACEFUL_SIGNALS_LESSONS_STOP_POLITELY_DOCUMENT_H_

#include <functional>
#include <string>
#include <string_view>

namespace graceful {

// Told after each step of saving, by name: where an experiment can stop the program.
using AfterStep = std::function<void(std::string_view step)>;

using Save = void (*)(const std::string& path, std::string_view text, const AfterStep& after);

// Over the old document, in two halves: the second step is "wrote half".
void SaveInPlace(const std::string& path, std::string_view text, const AfterStep& after);

// To another file, which then takes the old one's name: the steps are kRenameSteps.
void SaveByRename(const std::string& path, std::string_view text, const AfterStep& after);

inline constexpr std::string_view kRenameSteps[] = {
    "opened a temporary file", "wrote half", "wrote all",
    "fsync of the file",       "rename",     "fsync of the folder"};

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_LESSONS_STOP_POLITELY_DOCUMENT_H_
