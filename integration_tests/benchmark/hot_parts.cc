// What the parts of a request cost, one by one (Google Benchmark; --help prints its options).

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "reload/buffer_pool.h"
#include "reload/connection_table.h"
#include "reload/connections.h"
#include "reload/log.h"
#include "reload/request_parser.h"
#include "reload/response_writer.h"
#include "reload/settings.h"
#include "reload/slot.h"
#include "signals/check.h"
#include "signals/unique_fd.h"

namespace graceful {
namespace {

// As wrk sends it, and as a browser does.
constexpr std::string_view kShortRequest = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
constexpr std::string_view kBrowserRequest =
    "GET /whoami?name=value HTTP/1.1\r\n"
    "Host: 127.0.0.1:8080\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-US,en;q=0.5\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\n"
    "Upgrade-Insecure-Requests: 1\r\n"
    "\r\n";

constexpr RequestLimits kLimits = {16 * 1024, 8 * 1024 * 1024};

class NoWorker : public Worker {
 public:
  int Slot() const override { return 0; }
  int Generation() const override { return 1; }
  std::string_view Setting(std::string_view) const override { return {}; }
};

void ParseRequest(benchmark::State& state, std::string_view bytes) {
  const NoWorker worker;
  RequestParser parser(kLimits);
  for (auto _ : state) {
    parser.Reset();
    if (parser.Parse(bytes) != RequestParser::Outcome::kComplete) state.SkipWithError("refused");
    benchmark::DoNotOptimize(parser.MakeRequest(bytes, worker));
  }
}
BENCHMARK_CAPTURE(ParseRequest, short, kShortRequest);
BENCHMARK_CAPTURE(ParseRequest, browser, kBrowserRequest);

void WriteHead(benchmark::State& state) {
  ResponseWriter writer;
  Response response;
  response.body = "hello\n";
  for (auto _ : state) benchmark::DoNotOptimize(writer.Head(response, {}).data());
}
BENCHMARK(WriteHead);

void CommitRecord(benchmark::State& state) {
  ConnectionTable table(16, 64 * 1024);
  Progress progress = {.state = State::kResting};
  for (auto _ : state) {
    ++progress.in_end;
    table.At(3).Commit(progress);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(CommitRecord);

// A request's two buffers, as a connection takes them and gives them back.
void AllocateAndFree(benchmark::State& state) {
  ConnectionTable table(16, 64 * 1024 * 1024);
  BufferPool& pool = table.Pool();
  for (int64_t i = 0; i < state.range(0); ++i) pool.Allocate(1);  // held by others
  for (auto _ : state) {
    const Extent in = *pool.Allocate(1);
    const Extent out = *pool.Allocate(1);
    benchmark::DoNotOptimize(pool.Data(out));
    pool.Free(in);
    pool.Free(out);
  }
}
BENCHMARK(AllocateAndFree)->ArgName("held")->Arg(0)->Arg(1000)->Arg(10000);

struct Pair {
  Pair() {
    int fds[2];
    Check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
    near.Reset(fds[0]);
    far.Reset(fds[1]);
  }
  UniqueFd near;
  UniqueFd far;
  std::string bytes = std::string(128, 'x');
};

void SendAndRecv(benchmark::State& state) {
  Pair pair;
  for (auto _ : state) {
    send(pair.near.Get(), pair.bytes.data(), pair.bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    recv(pair.far.Get(), pair.bytes.data(), pair.bytes.size(), MSG_DONTWAIT);
  }
}
BENCHMARK(SendAndRecv);

// The same through messages in shared memory, as connections.cc notes them (IoNote).
void SendmmsgAndRecvmmsg(benchmark::State& state) {
  Pair pair;
  ConnectionTable table(16, 64 * 1024);
  IoNote& note = table.Note();
  const auto prepare = [&](IoNote::Kind kind) {
    note.kind.store(IoNote::Kind::kNone, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    note.vector = {pair.bytes.data(), pair.bytes.size()};
    note.message = {};
    note.message.msg_hdr.msg_iov = &note.vector;
    note.message.msg_hdr.msg_iovlen = 1;
    note.kind.store(kind, std::memory_order_release);
  };
  for (auto _ : state) {
    prepare(IoNote::Kind::kSend);
    sendmmsg(pair.near.Get(), &note.message, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    prepare(IoNote::Kind::kReceive);
    recvmmsg(pair.far.Get(), &note.message, 1, MSG_DONTWAIT, nullptr);
  }
}
BENCHMARK(SendmmsgAndRecvmmsg);

// A client and a listening socket in one process: what a whole request costs both sides together.
class Loopback {
 public:
  Loopback() {
    listener_.Reset(Check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    const int on = 1;
    Check(setsockopt(listener_.Get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
    Check(bind(listener_.Get(), generic, size), "bind");
    Check(listen(listener_.Get(), 1), "listen");
    Check(getsockname(listener_.Get(), generic, &size), "getsockname");
    client_.Reset(Check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    Check(connect(client_.Get(), generic, size), "connect");
  }

  UniqueFd TakeListener() { return std::move(listener_); }
  void Ask() { send(client_.Get(), kShortRequest.data(), kShortRequest.size(), MSG_NOSIGNAL); }
  ssize_t ReadAnswer() { return recv(client_.Get(), bytes_, sizeof bytes_, 0); }

 private:
  UniqueFd listener_;
  UniqueFd client_;
  char bytes_[4096];
};

int WaitForOne(int epoll) {
  epoll_event event;
  Check(epoll_wait(epoll, &event, 1, 1000), "epoll_wait");
  return FdOf(event.data.u64);
}

// As bare_loop.cc does it.
void WholeRequestBare(benchmark::State& state) {
  Loopback loopback;
  const UniqueFd listener = loopback.TakeListener();
  const UniqueFd socket(Check(accept4(listener.Get(), nullptr, nullptr, SOCK_CLOEXEC), "accept"));
  const UniqueFd epoll(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"));
  epoll_event event = {EPOLLIN, {.u64 = static_cast<uint64_t>(socket.Get())}};
  Check(epoll_ctl(epoll.Get(), EPOLL_CTL_ADD, socket.Get(), &event), "epoll_ctl");
  const std::string response(122, 'x');
  char request[4096];
  for (auto _ : state) {
    loopback.Ask();
    const int fd = WaitForOne(epoll.Get());
    recv(fd, request, sizeof request, MSG_DONTWAIT);
    send(fd, response.data(), response.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (loopback.ReadAnswer() <= 0) return state.SkipWithError("no answer");
  }
}
BENCHMARK(WholeRequestBare);

// As a worker does it (connections.cc), with a handler that answers "hello".
void WholeRequest(benchmark::State& state) {
  Loopback loopback;
  const NoWorker worker;
  const Settings settings;
  const Log log(STDERR_FILENO, "benchmark");
  SlotStatus status = {};
  Slot slot{0,     UniqueFd(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
            {},    {},
            {},    ConnectionTable(1024, 64 * 1024 * 1024),
            status};
  slot.listeners.push_back(loopback.TakeListener());
  const int listener = slot.listeners[0].Get();
  Check(fcntl(listener, F_SETFL, O_NONBLOCK), "fcntl");
  Connections connections(
      slot, settings, worker, [](const Request&, Response& response) { response.body = "hello\n"; },
      log);
  connections.Accept(listener);
  for (auto _ : state) {
    loopback.Ask();
    const int fd = WaitForOne(slot.epoll.Get());
    connections.OnReady(fd);
    if (loopback.ReadAnswer() <= 0) return state.SkipWithError("no answer");
  }
}
BENCHMARK(WholeRequest);

}  // namespace
}  // namespace graceful

BENCHMARK_MAIN();
