#ifndef GRACEFUL_SIGNALS_SIGNAL_NAMES_H_
#define GRACEFUL_SIGNALS_SIGNAL_NAMES_H_

#include <optional>
#include <string>
#include <string_view>

namespace graceful {

// "SIGTERM" for 15; real-time signals as signal(7) counts them, "SIGRTMIN+1"; "signal 99" for
// a number that is none.
std::string SignalName(int number);

// The number for "SIGTERM", "TERM", "term", "15" or "RTMIN+1"; nothing for any other text.
std::optional<int> SignalNumber(std::string_view name);

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_SIGNAL_NAMES_H_
