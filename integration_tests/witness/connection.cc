#include "integration_tests/witness/connection.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "signals/check.h"

namespace graceful {

namespace {

constexpr size_t kBeginning = 200;
constexpr size_t kExcerpt = 60;

// Printable, and short enough for a line.
std::string Quote(std::string_view bytes) {
  std::string quoted = "'";
  for (const char byte : bytes.substr(0, kExcerpt)) {
    const auto code = static_cast<unsigned char>(byte);
    if (code >= 0x20 && code < 0x7f) {
      quoted += byte;
    } else {
      quoted += fmt::format("\\x{:02x}", code);
    }
  }
  return quoted + (bytes.size() > kExcerpt ? "...'" : "'");
}

}  // namespace

void BodyCheck::Start(Body expected) {
  expected_ = std::move(expected);
  same_ = true;
  size_ = 0;
  beginning_.clear();
}

void BodyCheck::OnBody(std::string_view piece) {
  same_ = same_ && expected_.Has(size_, piece);
  size_ += piece.size();
  beginning_ += piece.substr(0, kBeginning - beginning_.size());
}

std::string BodyCheck::Describe() const {
  const std::string expected =
      expected_.own + std::string(expected_.common.substr(0, kExcerpt + 1));
  return fmt::format("body {} ({} bytes), expected {} ({} bytes)", Quote(beginning_), size_,
                     Quote(expected), expected_.Size());
}

Connection::Connection(const Scene& scene, int index)
    : scene_(scene), index_(index), reader_(body_check_, scene.workload.IsHead()) {}

void Connection::Watch(uint32_t events, int operation) {
  if (operation == EPOLL_CTL_MOD && events == watched_) return;
  watched_ = events;
  epoll_event event = {};
  event.events = events;
  event.data.u64 = static_cast<uint64_t>(index_);
  Check(epoll_ctl(scene_.epoll.Get(), operation, socket_.Get(), &event), "epoll_ctl");
}

bool Connection::Connect(int64_t now_us) {
  socket_ = scene_.address.MakeSocket();
  reader_.Reset();
  if (!std::exchange(connect_later_, false)) connect_begun_us_ = now_us;
  state_ = State::kConnecting;
  const int error = scene_.address.Connect(socket_);
  const int64_t waited_us = now_us - connect_begun_us_;
  if (error == 0) {
    Watch(EPOLLIN, EPOLL_CTL_ADD);
    FinishConnect();
  } else if (error == EINPROGRESS) {
    Watch(EPOLLOUT, EPOLL_CTL_ADD);
  } else if (error == EAGAIN && waited_us < scene_.options.timeout_ms * 1000LL) {
    connect_later_ = true;  // a Unix socket says so when its backlog is full, unix(7)
    Close();
  } else {
    FailConnect(error);
  }
  return !connect_later_;
}

void Connection::FinishConnect() {
  int error = 0;
  socklen_t size = sizeof error;
  Check(getsockopt(socket_.Get(), SOL_SOCKET, SO_ERROR, &error, &size), "getsockopt", "SO_ERROR");
  if (error != 0) {
    FailConnect(error);
    return;
  }
  ever_made_ = true;
  state_ = State::kReady;
  scene_.account.Connect();
  Watch(EPOLLIN, EPOLL_CTL_MOD);
}

void Connection::FailConnect(int error) {
  refused_ = true;
  Describe("connect: " + std::generic_category().message(error));
  Close();
}

void Connection::Send(uint64_t first, uint64_t count, int64_t now_us) {
  batch_.clear();
  answered_ = 0;
  out_.clear();
  written_ = 0;
  for (uint64_t number = first; number < first + count; ++number) {
    batch_.push_back({number, now_us, 0});
    scene_.account.Begin();
    scene_.workload.AppendRequest(number, out_);
  }
  held_back_ = scene_.options.split_ms > 0 ? out_.size() - out_.size() / 2 : 0;
  state_ = State::kBusy;
  body_check_.Start(scene_.workload.ExpectedBody(first));
  Write(now_us);
}

void Connection::SendRest(int64_t now_us) {
  held_back_ = 0;
  Write(now_us);
}

void Connection::Write(int64_t now_us) {
  const size_t end = out_.size() - held_back_;
  while (written_ < end) {
    const ssize_t size = RetryInterrupted(
        [&] { return send(socket_.Get(), out_.data() + written_, end - written_, MSG_NOSIGNAL); });
    if (size == -1) {
      if (errno == EAGAIN) {
        Watch(EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
        return;
      }
      // The server has closed it. What it said before that can still be read, and the end of the
      // connection is found there: epoll reports it.
      break;
    }
    written_ += static_cast<size_t>(size);
  }
  Watch(EPOLLIN, EPOLL_CTL_MOD);
  if (held_back_ > 0) return;
  if (!Outstanding()) state_ = State::kReady;
  for (size_t i = answered_; i < batch_.size(); ++i) {
    if (batch_[i].written_us != 0) continue;
    batch_[i].written_us = now_us;
    scene_.account.Await(now_us);
  }
}

void Connection::OnEvents(uint32_t events, int64_t now_us) {
  if (state_ == State::kClosed) return;
  if (state_ == State::kConnecting) {
    FinishConnect();
    return;
  }
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) ReadAll(now_us);
  if ((events & EPOLLOUT) && state_ == State::kBusy) Write(now_us);
}

void Connection::ReadAll(int64_t now_us) {
  static std::array<char, 64 * 1024> buffer;  // one thread, and nothing stays in it
  while (state_ != State::kClosed) {
    const ssize_t size =
        RetryInterrupted([&] { return recv(socket_.Get(), buffer.data(), buffer.size(), 0); });
    if (size == -1 && errno == EAGAIN) return;
    if (size <= 0) {
      OnLost(/*orderly=*/size == 0, now_us);
      return;
    }
    reader_.Feed({buffer.data(), static_cast<size_t>(size)});
    TakeResponses(now_us);
    if (static_cast<size_t>(size) < buffer.size()) return;
  }
}

void Connection::TakeResponses(int64_t now_us) {
  while (Outstanding()) {
    switch (reader_.Read()) {
      case ResponseReader::Progress::kNeedMore:
        return;
      case ResponseReader::Progress::kMalformed:
        Describe(
            fmt::format("malformed response ({}): {}", reader_.Error(), Quote(reader_.Unread())));
        EndAll(Outcome::kWrong, Outcome::kWrong, now_us);
        scene_.account.CloseByWitness();
        Close();
        return;
      case ResponseReader::Progress::kResponse:
        Judge(now_us);
        if (state_ == State::kClosed) return;
        reader_.Next();
        if (Outstanding()) {
          body_check_.Start(scene_.workload.ExpectedBody(batch_[answered_].number));
        }
    }
  }
  if (!reader_.Unread().empty()) {
    scene_.account.Unasked();
    Describe("bytes that nobody asked for: " + Quote(reader_.Unread()));
    scene_.account.CloseByWitness();
    Close();
    return;
  }
  // A response may come before its request was written to the end; the rest is written anyway.
  if (written_ == out_.size()) state_ = State::kReady;
}

void Connection::Judge(int64_t now_us) {
  const int status = reader_.Status();
  const bool close = reader_.AnnouncesClose();
  if (scene_.options.allow.contains(status)) {
    End(Outcome::kAllowed, status, now_us);
  } else if (!scene_.workload.StatusIsRight(status)) {
    Describe(fmt::format("status {}", status));
    End(Outcome::kWrong, status, now_us);
  } else if (scene_.workload.ChecksBody() && !body_check_.Right()) {
    Describe(body_check_.Describe());
    End(Outcome::kWrong, status, now_us);
  } else {
    if (scene_.options.tally) scene_.account.Tally(body_check_.Beginning());
    End(Outcome::kOk, status, now_us);
  }
  if (!close) {
    if (scene_.options.close) Close();
    return;
  }
  // RFC 9112, 9.6: nothing more is answered here, so what was pipelined behind it is lost.
  scene_.account.CloseAnnounced();
  EndAll(Outcome::kReset, Outcome::kReset, now_us);
  Close();
}

void Connection::End(Outcome outcome, int status, int64_t now_us) {
  const Request& request = batch_[answered_++];
  scene_.account.End(request, outcome, status, now_us);
  scene_.journal.Write(request, index_, outcome, status, now_us);
}

void Connection::EndAll(Outcome first, Outcome rest, int64_t now_us) {
  for (Outcome outcome = first; Outstanding(); outcome = rest) End(outcome, 0, now_us);
}

void Connection::Describe(const std::string& what) {
  scene_.account.Describe(Outstanding() ? fmt::format("request {} on connection {}: {}",
                                                      batch_[answered_].number, index_, what)
                                        : fmt::format("connection {}: {}", index_, what));
}

void Connection::OnLost(bool orderly, int64_t now_us) {
  if (orderly && Outstanding() && reader_.End() == ResponseReader::Progress::kResponse) {
    Judge(now_us);  // a response that ends with its connection announces the end
    return;
  }
  if (Outstanding()) {
    scene_.account.CloseBusy();
    EndAll(reader_.Begun() ? Outcome::kTruncated : Outcome::kReset, Outcome::kReset, now_us);
  } else {
    scene_.account.CloseIdle();
  }
  Close();
}

void Connection::CheckTimeout(int64_t now_us) {
  const int64_t limit = now_us - scene_.options.timeout_ms * 1000LL;
  if (state_ == State::kConnecting && connect_begun_us_ < limit) {
    FailConnect(ETIMEDOUT);
  } else if (state_ == State::kBusy && batch_.front().begun_us < limit) {
    EndAll(Outcome::kTimedOut, Outcome::kTimedOut, now_us);
    scene_.account.CloseByWitness();
    Close();
  }
}

void Connection::Close() {
  socket_.Reset();
  state_ = State::kClosed;
  held_back_ = 0;
}

}  // namespace graceful
