#ifndef GRACEFUL_DAEMON_METHODS_ECHO_SERVER_H_
#define GRACEFUL_DAEMON_METHODS_ECHO_SERVER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "signals/signal_fd.h"
#include "signals/unique_fd.h"

namespace graceful {

// A listening socket on 127.0.0.1; port 0 lets the kernel choose. Throws std::system_error.
UniqueFd Listen(uint16_t port);

// The port of such a socket.
uint16_t LocalPort(const UniqueFd& socket);

// What every method turns into a daemon: a small HTTP server in one process and one thread.
//
//   GET /        hello
//   POST /echo   the body
//
// It prints a numbered line on standard output for each request, so that one can see which lines
// reach whom, and goes on serving when nobody can read them any more.
class EchoServer {
 public:
  // Serves `listener`, which does not block. Blocks SIGTERM, SIGINT and SIGUSR1, which Run() reads;
  // SIGHUP keeps the action it has. Throws std::system_error.
  //
  // Make it after the last fork(2): a signalfd in an epoll instance tells of the signals of the
  // process that put it there (signalfd(2)), so a child would wait for those of its parent.
  explicit EchoServer(UniqueFd listener);

  uint16_t Port() const { return LocalPort(listener_); }

  struct Hooks {
    std::function<void()> on_reload = {};  // SIGUSR1
    std::function<void()> on_stop = {};    // SIGTERM or SIGINT, before the last requests
    std::function<void()> on_tick = {};    // each `tick`, from the loop: shows that it turns
    std::chrono::milliseconds tick = {};
  };

  // Serves until SIGTERM or SIGINT, then answers whoever it has accepted, for at most 5 s.
  void Run(const Hooks& hooks);
  void Run() { Run(Hooks()); }

 private:
  struct Connection {
    UniqueFd socket;
    std::string in = {};
    std::string out = {};
    bool answered = false;  // at least once
    bool closing = false;   // after `out`
  };

  void HandleEvents(std::chrono::steady_clock::time_point until, const Hooks& hooks);
  void Accept();
  void HandleSignals(const Hooks& hooks);
  void HandleConnection(int fd, uint32_t events);
  bool ReadInto(Connection& connection);
  void AnswerRequests(Connection& connection);
  bool WriteOut(Connection& connection);
  void Watch(int fd, uint32_t events, int operation);
  void CloseIdle();

  UniqueFd listener_;
  SignalFd signals_;
  UniqueFd epoll_;
  std::map<int, Connection> connections_;
  int lines_ = 0;
  bool stopping_ = false;
};

}  // namespace graceful

#endif  // GRACEFUL_DAEMON_METHODS_ECHO_SERVER_H_
