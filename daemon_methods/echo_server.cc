#include "daemon_methods/echo_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <sstream>
#include <utility>

#include "signals/check.h"

namespace graceful {

namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;

constexpr auto kNever = Clock::time_point::max();
constexpr std::chrono::seconds kPatience(5);
constexpr uint64_t kBodyLimit = 1 << 20;

// What epoll_wait(2) takes: rounded up, so that it isn't called again too early.
int MillisecondsUntil(Clock::time_point time) {
  if (time == kNever) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(time - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 1'000'000));
}

http::response<http::string_body> Answer(http::request<http::string_body>& request) {
  http::response<http::string_body> response(http::status::ok, request.version());
  if (request.method() == http::verb::get && request.target() == "/") {
    response.body() = "hello\n";
  } else if (request.method() == http::verb::post && request.target() == "/echo") {
    response.body() = std::move(request.body());
  } else {
    response.result(http::status::not_found);
    response.body() = "GET / or POST /echo\n";
  }
  response.keep_alive(request.keep_alive());
  response.prepare_payload();
  return response;
}

template <typename Message>
std::string Serialize(const Message& message) {
  std::ostringstream text;
  text << message;
  return text.str();
}

}  // namespace

UniqueFd Listen(uint16_t port) {
  UniqueFd socket(
      Check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  const int on = 1;
  Check(setsockopt(socket.Get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), "setsockopt");
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  Check(bind(socket.Get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind",
        "127.0.0.1 port " + std::to_string(port));
  Check(listen(socket.Get(), SOMAXCONN), "listen");
  return socket;
}

uint16_t LocalPort(const UniqueFd& socket) {
  sockaddr_in address;
  socklen_t size = sizeof address;
  Check(getsockname(socket.Get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

EchoServer::EchoServer(UniqueFd listener)
    : listener_(std::move(listener)),
      signals_({SIGTERM, SIGINT, SIGUSR1}),
      epoll_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
  Watch(listener_.Get(), EPOLLIN, EPOLL_CTL_ADD);
  Watch(signals_.Get(), EPOLLIN, EPOLL_CTL_ADD);
}

void EchoServer::Run(const Hooks& hooks) {
  auto next_tick = hooks.on_tick ? Clock::now() + hooks.tick : kNever;
  while (!stopping_) {
    HandleEvents(next_tick, hooks);
    if (Clock::now() < next_tick) continue;
    hooks.on_tick();
    next_tick = Clock::now() + hooks.tick;
  }
  const auto deadline = Clock::now() + kPatience;
  for (CloseIdle(); !connections_.empty() && Clock::now() < deadline; CloseIdle()) {
    HandleEvents(deadline, hooks);
  }
}

void EchoServer::HandleEvents(Clock::time_point until, const Hooks& hooks) {
  std::array<epoll_event, 64> events;
  const int timeout = MillisecondsUntil(until);
  const int count = Check(RetryInterrupted([&] {
                            return epoll_wait(epoll_.Get(), events.data(), events.size(), timeout);
                          }),
                          "epoll_wait");
  for (int i = 0; i < count; ++i) {
    const int fd = events[i].data.fd;
    if (fd == signals_.Get()) {
      HandleSignals(hooks);
    } else if (listener_ && fd == listener_.Get()) {
      Accept();
    } else {
      HandleConnection(fd, events[i].events);
    }
  }
}

void EchoServer::HandleSignals(const Hooks& hooks) {
  while (const auto info = signals_.Read()) {
    if (info->ssi_signo == SIGUSR1) {
      if (hooks.on_reload) hooks.on_reload();
      continue;
    }
    if (stopping_) continue;
    stopping_ = true;
    if (hooks.on_stop) hooks.on_stop();
    Watch(listener_.Get(), 0, EPOLL_CTL_DEL);
    // Who is in its queue has a connection, by all that he knows: closing it would reset that.
    Accept();
    listener_.Reset();
  }
}

void EchoServer::Accept() {
  for (;;) {
    const int fd = RetryInterrupted(
        [&] { return accept4(listener_.Get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); });
    if (fd == -1) return;  // nobody waits any more, or accept(2) says why this one is lost
    connections_.emplace(fd, Connection{.socket = UniqueFd(fd)});
    Watch(fd, EPOLLIN, EPOLL_CTL_ADD);
  }
}

void EchoServer::HandleConnection(int fd, uint32_t events) {
  const auto found = connections_.find(fd);
  if (found == connections_.end()) return;
  Connection& connection = found->second;
  bool alive = true;
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) alive = ReadInto(connection);
  if (alive) {
    AnswerRequests(connection);
    alive = WriteOut(connection);
  }
  if (!alive) {
    connections_.erase(found);
    return;
  }
  Watch(fd, connection.out.empty() ? EPOLLIN : EPOLLOUT, EPOLL_CTL_MOD);
}

bool EchoServer::ReadInto(Connection& connection) {
  std::array<char, 16 * 1024> buffer;
  const ssize_t size =
      RetryInterrupted([&] { return read(connection.socket.Get(), buffer.data(), buffer.size()); });
  if (size > 0) connection.in.append(buffer.data(), size);
  return size > 0 || (size == -1 && errno == EAGAIN);
}

// Answers all whole requests that have arrived.
void EchoServer::AnswerRequests(Connection& connection) {
  while (!connection.in.empty() && !connection.closing) {
    http::request_parser<http::string_body> parser;
    parser.eager(true);
    parser.body_limit(kBodyLimit);
    boost::beast::error_code error;
    const size_t used = parser.put(boost::asio::buffer(connection.in), error);
    if (error == http::error::need_more || (!error && !parser.is_done())) return;
    http::response<http::string_body> response(http::status::bad_request, 11);
    std::string what = "malformed request";
    if (error) {
      response.body() = error.message() + "\n";
      response.keep_alive(false);
      response.prepare_payload();
    } else {
      what = std::string(parser.get().method_string()) + " " + std::string(parser.get().target());
      response = Answer(parser.get());
    }
    connection.in.erase(0, used);
    connection.out += Serialize(response);
    connection.answered = true;
    connection.closing = !response.keep_alive();
    // Nobody may be there to read it: then the line is lost, and the server serves on.
    std::printf("line %d: %s -> %u\n", ++lines_, what.c_str(), response.result_int());
    std::fflush(stdout);
  }
}

bool EchoServer::WriteOut(Connection& connection) {
  while (!connection.out.empty()) {
    const ssize_t size = RetryInterrupted([&] {
      return send(connection.socket.Get(), connection.out.data(), connection.out.size(),
                  MSG_NOSIGNAL);
    });
    if (size == -1) return errno == EAGAIN;
    connection.out.erase(0, size);
  }
  return !connection.closing;
}

void EchoServer::Watch(int fd, uint32_t events, int operation) {
  epoll_event event = {};
  event.events = events;
  event.data.fd = fd;
  Check(epoll_ctl(epoll_.Get(), operation, fd, &event), "epoll_ctl", std::to_string(fd));
}

// A connection is at rest when its requests are answered. One that was accepted and has not yet
// sent its first is not: it was promised an answer.
void EchoServer::CloseIdle() {
  std::erase_if(connections_, [](const auto& entry) {
    const Connection& connection = entry.second;
    return connection.answered && connection.in.empty() && connection.out.empty();
  });
}

}  // namespace graceful
