#include "signals/signal_names.h"

#include <signal.h>
#include <string.h>

#include <cctype>
#include <charconv>

namespace graceful {

namespace {

std::optional<int> ParseNumber(std::string_view text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool IsSignal(int number) { return number > 0 && number <= SIGRTMAX; }

}  // namespace

std::string SignalName(int number) {
  if (const char* abbreviation = sigabbrev_np(number)) return std::string("SIG") + abbreviation;
  // SIGRTMIN is a function call in disguise: the C library keeps the first few for itself.
  if (number == SIGRTMIN) return "SIGRTMIN";
  if (number > SIGRTMIN && number <= SIGRTMAX) {
    return "SIGRTMIN+" + std::to_string(number - SIGRTMIN);
  }
  return "signal " + std::to_string(number);
}

std::optional<int> SignalNumber(std::string_view name) {
  if (const auto number = ParseNumber(name)) {
    return IsSignal(*number) ? number : std::nullopt;
  }
  std::string upper;
  for (const char c : name) upper.push_back(static_cast<char>(std::toupper(c)));
  if (!upper.starts_with("SIG")) upper.insert(0, "SIG");
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (SignalName(number) == upper) return number;
  }
  return std::nullopt;
}

}  // namespace graceful
