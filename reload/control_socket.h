#ifndef GRACEFUL_RELOAD_CONTROL_SOCKET_H_
#define GRACEFUL_RELOAD_CONTROL_SOCKET_H_

#include <string>
#include <vector>

#include "reload/channel.h"
#include "signals/unique_fd.h"

namespace graceful {

// Where ctl talks to a master: a Unix socket of mode 0600. Removed at the end of its life.
class ControlSocket {
 public:
  // Throws std::runtime_error, also when another server listens there.
  explicit ControlSocket(std::string path);
  ~ControlSocket();
  ControlSocket(const ControlSocket&) = delete;
  ControlSocket& operator=(const ControlSocket&) = delete;

  int Get() const { return socket_.Get(); }
  const std::string& Path() const { return path_; }

  // A client that waits; an empty channel when there is none.
  Channel Accept() const;

 private:
  std::string path_;
  UniqueFd socket_;
};

// The client's end. Throws std::system_error when nobody listens there.
Channel ConnectToControl(const std::string& path);

// The path that a server with no setting for it uses: NAME.ctl in the user's own folder
// ($XDG_RUNTIME_DIR or /tmp), which is made when it is missing. Throws std::runtime_error when
// somebody else could write there.
std::string DefaultControlPath(const std::string& name);

// The control sockets that are in that folder, of servers that run or ran.
std::vector<std::string> FindControlSockets();

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_CONTROL_SOCKET_H_
