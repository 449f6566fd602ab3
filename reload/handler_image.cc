#include "reload/handler_image.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "signals/check.h"

namespace graceful {

UniqueFd ReadHandlerImage(const std::string& path) {
  const UniqueFd file(Check(open(path.c_str(), O_RDONLY | O_CLOEXEC), "open handler", path));
  struct stat status;
  Check(fstat(file.Get(), &status), "stat handler", path);
  if (!S_ISREG(status.st_mode)) ThrowErrno(ENOEXEC, "open handler", path);

  // The name shows in /proc/PID/maps and in a debugger.
  const std::string name = path.substr(path.rfind('/') + 1);
  UniqueFd image(
      Check(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create", name));
  for (off_t offset = 0; offset < status.st_size;) {
    const ssize_t copied = Check(
        sendfile(image.Get(), file.Get(), &offset, static_cast<size_t>(status.st_size - offset)),
        "read handler", path);
    if (copied == 0) break;  // the file shrank meanwhile; dlopen(3) will say so
  }
  Check(fcntl(image.Get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
        "fcntl F_ADD_SEALS", name);
  return image;
}

}  // namespace graceful
