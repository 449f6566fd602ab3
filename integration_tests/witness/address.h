#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_ADDRESS_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_ADDRESS_H_

#include <sys/socket.h>

#include <string>
#include <string_view>

#include "signals/unique_fd.h"

namespace graceful {

// The parts of http://HOST[:PORT][/PATH].
struct Url {
  std::string host;       // without the brackets of an IPv6 address
  std::string port;       // "80" when the URL names none
  std::string authority;  // as written, for the Host field
  std::string target;     // path and query, at least "/"
};

// Throws std::invalid_argument that names the URL and what is wrong with it.
Url ParseUrl(std::string_view text);

// Where a server listens: IPv4, IPv6 or a Unix socket.
class Address {
 public:
  // Looks the host up (getaddrinfo(3)) and takes its first address.
  // Throws std::runtime_error that names the host.
  static Address Tcp(const std::string& host, const std::string& port);

  // Throws std::invalid_argument when the path is longer than a Unix socket's may be.
  static Address Unix(const std::string& path);

  // A new non-blocking socket of the right family. Throws std::system_error.
  UniqueFd MakeSocket() const;

  // connect(2): 0 or an errno, EINPROGRESS for a connection that is under way.
  int Connect(const UniqueFd& socket) const;

  int Family() const { return storage_.ss_family; }

 private:
  sockaddr_storage storage_ = {};
  socklen_t size_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_ADDRESS_H_
