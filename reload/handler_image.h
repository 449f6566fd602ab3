#ifndef GRACEFUL_RELOAD_HANDLER_IMAGE_H_
#define GRACEFUL_RELOAD_HANDLER_IMAGE_H_

#include <string>

#include "signals/unique_fd.h"

namespace graceful {

// Reads a handler's file into a sealed memory file (memfd_create(2)), once a reload.
//
// All workers of a reload then load the same bytes, whatever happens to the file meanwhile; a
// worker that is replaced after a crash gets the code that the last good reload accepted, not
// what lies on disk by now; and writing over the file in place, as cp(1) does, can't pull the code
// from under a running worker. Throws std::system_error.
UniqueFd ReadHandlerImage(const std::string& path);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_HANDLER_IMAGE_H_
