#include "reload/listeners.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string_view>

#include "signals/check.h"

namespace graceful {

struct Listeners::Address {
  std::string text;  // as it was set
  sockaddr_storage address = {};
  socklen_t size = 0;
  UniqueFd shared;  // a Unix socket's one listener

  int Family() const { return address.ss_family; }
  const sockaddr* Get() const { return reinterpret_cast<const sockaddr*>(&address); }
  in_port_t& Port() {
    return Family() == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                : reinterpret_cast<sockaddr_in&>(address).sin_port;
  }
  const char* Path() const { return reinterpret_cast<const sockaddr_un&>(address).sun_path; }
};

namespace {

[[noreturn]] void Fail(const std::string& listen, const std::string& reason) {
  throw std::runtime_error("cannot listen on " + listen + ": " + reason);
}

struct HostAndPort {
  std::string host;
  std::string port;
};

// "host", "host:port", "[v6]", "[v6]:port", "v6".
HostAndPort Split(const std::string& text, int default_port) {
  const std::string port = std::to_string(default_port);
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string::npos) Fail(text, "the ']' is missing");
    const std::string rest = text.substr(end + 1);
    if (!rest.empty() && rest[0] != ':') Fail(text, "what follows the ']' is no port");
    return {text.substr(1, end - 1), rest.empty() ? port : rest.substr(1)};
  }
  const size_t colon = text.find(':');
  if (colon == std::string::npos || text.find(':', colon + 1) != std::string::npos) {
    return {text, port};
  }
  return {text.substr(0, colon), text.substr(colon + 1)};
}

void CheckPort(const std::string& text, const std::string& port) {
  int number = -1;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || end != port.data() + port.size() || number < 0 || number > 65535) {
    Fail(text, "'" + port + "' is no port");
  }
}

void SetOption(int fd, int level, int option, int value, const char* name) {
  Check(setsockopt(fd, level, option, &value, sizeof value), "setsockopt", name);
}

// A socket file that nobody listens on is left from a server that was killed.
void RemoveStaleSocket(const std::string& text, const char* path) {
  struct stat status;
  if (lstat(path, &status) == -1) return;
  if (!S_ISSOCK(status.st_mode)) Fail(text, "the file exists and is no socket");
  const UniqueFd probe(Check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path, std::min(std::strlen(path), sizeof address.sun_path - 1));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (connect(probe.Get(), generic, sizeof address) == -1 && errno == ECONNREFUSED) unlink(path);
}

}  // namespace

Listeners::Listeners(const Settings& settings) : backlog_(settings.backlog) {
  for (const std::string& text : settings.listen) {
    Address address;
    address.text = text;
    if (text.starts_with("unix:")) {
      auto& unix_address = reinterpret_cast<sockaddr_un&>(address.address);
      const std::string path = text.substr(5);
      if (path.empty() || path.size() >= sizeof unix_address.sun_path) {
        Fail(text, fmt::format("the path needs 1 to {} bytes", sizeof unix_address.sun_path - 1));
      }
      unix_address.sun_family = AF_UNIX;
      std::memcpy(unix_address.sun_path, path.data(), path.size());
      address.size = sizeof unix_address;
    } else {
      const HostAndPort parts = Split(text, settings.port);
      CheckPort(text, parts.port);
      addrinfo hints = {};
      hints.ai_socktype = SOCK_STREAM;
      hints.ai_flags = AI_PASSIVE;
      addrinfo* found = nullptr;
      const int error = getaddrinfo(parts.host.c_str(), parts.port.c_str(), &hints, &found);
      if (error != 0) Fail(text, gai_strerror(error));
      const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, freeaddrinfo);
      std::memcpy(&address.address, found->ai_addr, found->ai_addrlen);
      address.size = found->ai_addrlen;
    }
    addresses_.push_back(std::move(address));
  }
  for (Address& address : addresses_) {
    if (address.Family() == AF_UNIX) address.shared = Listen(address, true);
  }
  for (int slot = 0; slot < settings.worker_num; ++slot) AddSlot(slot);
}

Listeners::~Listeners() {
  for (const Address& address : addresses_) {
    if (address.shared) unlink(address.Path());
  }
}

// The first socket of an address is bound without SO_REUSEPORT, so that an address that another
// server has is an error and not a share of its connections; the group is opened after that.
UniqueFd Listeners::Listen(Address& address, bool first) const {
  const bool tcp = address.Family() != AF_UNIX;
  UniqueFd fd(
      Check(socket(address.Family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  if (tcp) {
    SetOption(fd.Get(), SOL_SOCKET, SO_REUSEADDR, 1, "SO_REUSEADDR");
    if (address.Family() == AF_INET6) {
      SetOption(fd.Get(), IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY");
    }
    if (!first) SetOption(fd.Get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
    // Accepted sockets inherit both: answers go out at once, and clients that vanished are found.
    SetOption(fd.Get(), IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
    SetOption(fd.Get(), SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
  } else {
    RemoveStaleSocket(address.text, address.Path());
  }
  if (bind(fd.Get(), address.Get(), address.size) == -1) {
    std::string reason = std::strerror(errno);
    if (errno == EADDRINUSE) reason += "; another server has it, choose another with --port";
    if (errno == EACCES && tcp) reason += "; ports below 1024 need root or CAP_NET_BIND_SERVICE";
    Fail(address.text + (tcp ? fmt::format(" port {}", ntohs(address.Port())) : ""), reason);
  }
  if (tcp && first) SetOption(fd.Get(), SOL_SOCKET, SO_REUSEPORT, 1, "SO_REUSEPORT");
  Check(listen(fd.Get(), backlog_), "listen", address.text);
  if (tcp && first) {  // port 0: the kernel has chosen, and the other slots follow
    Check(getsockname(fd.Get(), reinterpret_cast<sockaddr*>(&address.address), &address.size),
          "getsockname");
  }
  return fd;
}

void Listeners::AddSlot(int slot) {
  if (static_cast<size_t>(slot) < slots_.size()) return;
  slots_.emplace_back();
  for (Address& address : addresses_) {
    if (address.Family() != AF_UNIX) slots_.back().push_back(Listen(address, slot == 0));
  }
}

std::vector<UniqueFd> Listeners::ForSlot(int slot) const {
  std::vector<int> fds = OwnOfSlot(slot);
  for (const Address& address : addresses_) {
    if (address.shared) fds.push_back(address.shared.Get());
  }
  std::vector<UniqueFd> copies;
  copies.reserve(fds.size());
  for (const int fd : fds) {
    copies.emplace_back(Check(fcntl(fd, F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC"));
  }
  return copies;
}

std::vector<int> Listeners::OwnOfSlot(int slot) const {
  std::vector<int> fds;
  for (const UniqueFd& fd : slots_[slot]) fds.push_back(fd.Get());
  return fds;
}

std::vector<std::string> Listeners::Urls() const {
  std::vector<std::string> urls;
  for (const Address& address : addresses_) {
    if (address.Family() == AF_UNIX) {
      urls.push_back(address.text);
      continue;
    }
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    getnameinfo(address.Get(), address.size, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char* format = address.Family() == AF_INET6 ? "http://[{}]:{}" : "http://{}:{}";
    urls.push_back(fmt::format(fmt::runtime(format), host, port));
  }
  return urls;
}

int Listeners::Port() const {
  for (const Address& address : addresses_) {
    if (address.Family() != AF_UNIX) return ntohs(const_cast<Address&>(address).Port());
  }
  return 0;
}

// A socket filter that drops every packet (socket(7), SO_ATTACH_FILTER): a client's SYN finds
// nobody and is sent again, by when the port is closed and the client is told so.
void Listeners::Refuse() {
  sock_filter drop_all = {BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program = {1, &drop_all};
  for (const std::vector<UniqueFd>& slot : slots_) {
    for (const UniqueFd& fd : slot) {
      setsockopt(fd.Get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    }
  }
  for (Address& address : addresses_) {
    if (!address.shared) continue;
    unlink(address.Path());
    address.shared.Reset();  // the path may be another server's from now on
  }
}

}  // namespace graceful
