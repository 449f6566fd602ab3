// The limit: the least that a server of this shape can do. N processes, each with its own
// SO_REUSEPORT socket and its own epoll; what one read gives is taken for one request, unread,
// and answered with the same canned bytes. No parsing, no limits, no time, no log.
//
//   bare_loop PROCESSES RESPONSE_FILE
//
// Prints "listening on http://127.0.0.1:PORT" and "ready", serves until it is killed.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "signals/check.h"
#include "signals/unique_fd.h"

namespace {

using graceful::Check;
using graceful::UniqueFd;

constexpr int kBacklog = 4096;
constexpr int kEventBatch = 64;
constexpr int kReadBytes = 4096;

std::string ReadResponse(const char* path) {
  std::ifstream file(path, std::ios::binary);
  std::string response{std::istreambuf_iterator<char>(file), {}};
  if (response.empty()) throw std::runtime_error(std::string(path) + ": no response in it");
  return response;
}

void SetOption(int fd, int level, int option, const char* name) {
  const int on = 1;
  Check(setsockopt(fd, level, option, &on, sizeof on), "setsockopt", name);
}

// Port 0 the first time: the kernel chooses, and the others follow.
UniqueFd Listen(sockaddr_in& address) {
  UniqueFd fd(Check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  SetOption(fd.Get(), SOL_SOCKET, SO_REUSEPORT, "SO_REUSEPORT");
  SetOption(fd.Get(), IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY");
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  Check(bind(fd.Get(), generic, size), "bind");
  Check(listen(fd.Get(), kBacklog), "listen");
  Check(getsockname(fd.Get(), generic, &size), "getsockname");
  return fd;
}

void Watch(int epoll, int fd) {
  epoll_event event = {EPOLLIN, {.fd = fd}};
  Check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void AcceptAll(int epoll, int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd == -1) return;
    Watch(epoll, fd);
  }
}

[[noreturn]] void Serve(int listener, const std::string& response) {
  const UniqueFd epoll(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  Watch(epoll.Get(), listener);
  char request[kReadBytes];
  for (;;) {
    epoll_event events[kEventBatch];
    const int count = epoll_wait(epoll.Get(), events, kEventBatch, -1);
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == listener) {
        AcceptAll(epoll.Get(), listener);
      } else if (recv(fd, request, sizeof request, MSG_DONTWAIT) <= 0 ||
                 send(fd, response.data(), response.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == -1) {
        close(fd);
      }
    }
  }
}

void Run(int processes, const std::string& response) {
  const rlimit limit = [] {
    rlimit now;
    Check(getrlimit(RLIMIT_NOFILE, &now), "getrlimit");
    return rlimit{now.rlim_max, now.rlim_max};
  }();
  Check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::vector<UniqueFd> listeners;
  listeners.reserve(processes);
  for (int i = 0; i < processes; ++i) listeners.push_back(Listen(address));
  const pid_t self = getpid();
  for (const UniqueFd& listener : listeners) {
    if (Check(fork(), "fork") != 0) continue;
    Check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    if (getppid() != self) std::_Exit(1);
    Serve(listener.Get(), response);
  }
  std::cout << "listening on http://127.0.0.1:" << ntohs(address.sin_port) << "/\nready"
            << std::endl;
  for (;;) pause();
}

}  // namespace

int main(int argc, char** argv) {
  const int processes = argc == 3 ? std::atoi(argv[1]) : 0;
  if (processes < 1) {
    std::cerr << "usage: bare_loop PROCESSES RESPONSE_FILE\n";
    return 2;
  }
  try {
    Run(processes, ReadResponse(argv[2]));
  } catch (const std::exception& error) {
    std::cerr << "bare_loop: " << error.what() << "\n";
    return 1;
  }
}
