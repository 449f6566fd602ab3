#ifndef GRACEFUL_SIGNALS_CHECK_H_
#define GRACEFUL_SIGNALS_CHECK_H_

#include <cerrno>
#include <string>
#include <string_view>

namespace graceful {

// Throws std::system_error with errno `error`, saying which call failed, and on what:
// "open /var/log/x.log: Permission denied".
[[noreturn]] void ThrowErrno(int error, std::string_view call, std::string_view argument = {});

// Passes on the result of a system call that reports failure as -1 and errno, or throws.
//
//   UniqueFd fd(Check(open(path, O_RDONLY | O_CLOEXEC), "open", path));
template <typename Result>
Result Check(Result result, std::string_view call, std::string_view argument = {}) {
  if (result == static_cast<Result>(-1)) ThrowErrno(errno, call, argument);
  return result;
}

// Calls again for as long as a signal interrupts it (EINTR).
template <typename Call>
auto RetryInterrupted(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result == -1 && errno == EINTR);
  return result;
}

}  // namespace graceful

#endif  // GRACEFUL_SIGNALS_CHECK_H_
