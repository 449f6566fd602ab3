#include "reload/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "signals/check.h"

namespace graceful {

namespace {

sockaddr_un AddressOf(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    throw std::runtime_error("control socket " + path + ": the path is too long for a socket");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

UniqueFd MakeSocket() {
  return UniqueFd(Check(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket"));
}

bool SomebodyListens(const std::string& path) {
  try {
    ConnectToControl(path);
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

std::string ControlFolder() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && runtime[0] == '/') return std::string(runtime) + "/graceful-daemons";
  return "/tmp/graceful-daemons-" + std::to_string(getuid());
}

}  // namespace

ControlSocket::ControlSocket(std::string path) : path_(std::move(path)), socket_(MakeSocket()) {
  const sockaddr_un address = AddressOf(path_);
  struct stat status;
  if (lstat(path_.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      throw std::runtime_error("control socket " + path_ + ": the file exists and is no socket");
    }
    if (SomebodyListens(path_)) {
      throw std::runtime_error("already running: another server answers on the control socket " +
                               path_ + "; choose another with --control_socket");
    }
    unlink(path_.c_str());  // left from a server that was killed
  }
  const mode_t before = umask(0177);
  const int bound =
      bind(socket_.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  umask(before);
  Check(bound, "bind control socket", path_);
  Check(listen(socket_.Get(), 16), "listen", path_);
}

ControlSocket::~ControlSocket() { unlink(path_.c_str()); }

Channel ControlSocket::Accept() const {
  return Channel(UniqueFd(accept4(socket_.Get(), nullptr, nullptr, SOCK_CLOEXEC)));
}

Channel ConnectToControl(const std::string& path) {
  const sockaddr_un address = AddressOf(path);
  UniqueFd socket = MakeSocket();
  Check(connect(socket.Get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
        "connect to control socket", path);
  return Channel(std::move(socket));
}

std::string DefaultControlPath(const std::string& name) {
  const std::string folder = ControlFolder();
  if (mkdir(folder.c_str(), 0700) == -1 && errno != EEXIST) ThrowErrno(errno, "mkdir", folder);
  struct stat status;
  Check(lstat(folder.c_str(), &status), "stat", folder);
  if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid() || (status.st_mode & 077) != 0) {
    throw std::runtime_error(folder + " is not a folder that only this user can write; choose a " +
                             "path with --control_socket");
  }
  return folder + "/" + name + ".ctl";
}

std::vector<std::string> FindControlSockets() {
  std::vector<std::string> paths;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(ControlFolder(), none)) {
    if (entry.path().extension() == ".ctl") paths.push_back(entry.path());
  }
  return paths;
}

}  // namespace graceful
