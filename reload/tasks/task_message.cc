#include "reload/tasks/task_message.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "signals/check.h"

namespace graceful {

UniqueFd MakeByteFile(std::initializer_list<std::string_view> bytes) {
  UniqueFd file(Check(memfd_create("bytes", MFD_CLOEXEC), "memfd_create"));
  for (const std::string_view part : bytes) {
    for (size_t done = 0; done < part.size();) {
      done += static_cast<size_t>(
          Check(write(file.Get(), part.data() + done, part.size() - done), "write", "memfd"));
    }
  }
  return file;
}

bool IsByteFile(int fd, size_t size) {
  struct stat status;
  return fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL && fstat(fd, &status) == 0 &&
         static_cast<size_t>(status.st_size) == size;
}

bool SendMessage(int socket, std::string_view bytes, int attached) {
  iovec vector = {const_cast<char*>(bytes.data()), bytes.size()};
  msghdr header = {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  if (attached >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    *rights = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    std::memcpy(CMSG_DATA(rights), &attached, sizeof attached);
  }
  return RetryInterrupted([&] { return sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL); }) !=
         -1;
}

}  // namespace graceful
