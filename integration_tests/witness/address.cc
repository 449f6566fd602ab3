#include "integration_tests/witness/address.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>

#include "signals/check.h"

namespace graceful {

Url ParseUrl(std::string_view text) {
  const auto bad = [text](std::string_view why) {
    return std::invalid_argument("'" + std::string(text) + "': " + std::string(why));
  };
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) throw bad("only http://HOST[:PORT][/PATH] is understood");
  const std::string_view rest = text.substr(kScheme.size());
  const size_t path = rest.find_first_of("/?#");
  const std::string_view authority = rest.substr(0, path);

  Url url;
  url.authority = authority;
  if (path != std::string_view::npos) url.target = rest.substr(path, rest.find('#') - path);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");

  // RFC 3986, 3.2.2: an IPv6 address stands in brackets, since it has colons of its own.
  size_t host_end;
  if (authority.starts_with('[')) {
    const size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) throw bad("a [ without its ]");
    url.host = authority.substr(1, bracket - 1);
    host_end = bracket + 1;
  } else {
    host_end = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, host_end);
  }
  if (url.host.empty()) throw bad("no host");
  const std::string_view port = authority.substr(host_end);
  if (port.empty()) {
    url.port = "80";
  } else {
    url.port = port.substr(1);
    if (port[0] != ':' || url.port.empty() ||
        url.port.find_first_not_of("0123456789") != std::string::npos) {
      throw bad("the port is not a number");
    }
  }
  return url;
}

Address Address::Tcp(const std::string& host, const std::string& port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    throw std::runtime_error("getaddrinfo " + host + " port " + port + ": " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
  Address address;
  std::memcpy(&address.storage_, found->ai_addr, found->ai_addrlen);
  address.size_ = found->ai_addrlen;
  return address;
}

Address Address::Unix(const std::string& path) {
  sockaddr_un name = {};
  name.sun_family = AF_UNIX;
  if (path.size() >= sizeof name.sun_path) {
    throw std::invalid_argument("'" + path +
                                "': longer than the 107 bytes of a Unix socket's path");
  }
  path.copy(name.sun_path, path.size());
  Address address;
  std::memcpy(&address.storage_, &name, sizeof name);
  address.size_ = sizeof name;
  return address;
}

UniqueFd Address::MakeSocket() const {
  UniqueFd fd(Check(socket(Family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
  if (Family() != AF_UNIX) {
    // The second half of a request must not wait for the first one's acknowledgement.
    const int yes = 1;
    Check(setsockopt(fd.Get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), "setsockopt",
          "TCP_NODELAY");
  }
  return fd;
}

int Address::Connect(const UniqueFd& socket) const {
  const auto* name = reinterpret_cast<const sockaddr*>(&storage_);
  return connect(socket.Get(), name, size_) == 0 ? 0 : errno;
}

}  // namespace graceful
