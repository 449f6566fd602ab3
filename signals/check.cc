#include "signals/check.h"

#include <system_error>

namespace graceful {

void ThrowErrno(int error, std::string_view call, std::string_view argument) {
  std::string what(call);
  if (!argument.empty()) what.append(" ").append(argument);
  throw std::system_error(error, std::generic_category(), what);
}

}  // namespace graceful
