#include "reload/connections.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "signals/check.h"

namespace graceful {

namespace {

// Answers to pipelined requests are gathered up to this size, then written.
constexpr uint32_t kGatherBytes = 64 * 1024;

// How long a closed-for-writing connection waits for the peer's close.
constexpr double kLingerSeconds = 2;

// A worker that once sent a large response does not keep its size.
constexpr size_t kKeptResponseBytes = 64 * 1024;

constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

// Keeps the pulse odd for as long as it lives (ConnectionTable::Pulse()).
class Beat {
 public:
  explicit Beat(std::atomic<uint32_t>& pulse) : pulse_(pulse) { Count(pulse_); }
  ~Beat() { Count(pulse_); }
  Beat(const Beat&) = delete;
  Beat& operator=(const Beat&) = delete;

 private:
  std::atomic<uint32_t>& pulse_;
};

bool IsBroken(int error) { return error != EAGAIN && error != EWOULDBLOCK && error != EINTR; }

}  // namespace

Connections::Connections(Slot& slot, const Settings& settings, const Worker& worker, Answer answer,
                         const Log& log, Finish finish)
    : slot_(slot),
      settings_(settings),
      worker_(worker),
      answer_(std::move(answer)),
      finish_(std::move(finish)),
      log_(log),
      limits_{settings.max_header, settings.max_body},
      tasks_(slot.tasks.Get(), slot.number, settings.task_max_size) {}

// --- Coming and going -----------------------------------------------------------------------

// Closes first and forgets then: a death between the two leaves a record without a socket, which
// recovery sees; the other order would leave a socket that nobody knows.
void Connections::Close(int fd, bool by_peer) {
  const Progress last = At(fd).Get();
  close(fd);
  At(fd).Commit({});
  Pool().Free(last.in);
  Pool().Free(last.out);
  begun_.erase(fd);
  Count(by_peer ? slot_.status.closed_by_peer : slot_.status.closed_by_server);
  Count(slot_.status.connections, uint32_t(-1));
  ResumeAccepting();
}

// For what the record says.
bool Connections::Watch(int operation, int fd) {
  const Progress progress = At(fd).Get();
  const EPOLL_EVENTS wanted = progress.waits_to_write ? EPOLLOUT : EPOLLIN;
  epoll_event event = {progress.muted && !progress.waits_to_write ? 0u : wanted,
                       {.u64 = EventData(EventKind::kConnection, fd)}};
  if (epoll_ctl(slot_.epoll.Get(), operation, fd, &event) == 0) return true;
  // After a death nobody knows whether it is watched already.
  if (errno == EEXIST) return Watch(EPOLL_CTL_MOD, fd);
  if (errno == ENOENT) return Watch(EPOLL_CTL_ADD, fd);
  log_.Line("epoll_ctl for connection {}: {}", fd, std::strerror(errno));
  return false;
}

// --- One event ------------------------------------------------------------------------------

void Connections::OnReady(int fd) {
  switch (At(fd).Get().state) {
    case State::kResting:
      if (Receive(fd)) Advance(fd);
      return;
    case State::kAnswering:
      return Advance(fd);
    case State::kLingering:
      return Discard(fd);
    case State::kWaiting:
      return OnWaitingReady(fd);
    case State::kFree:  // closed earlier in this batch of events
    case State::kHeld:
      return;
  }
}

// Answers what is in the buffer and writes it, until one of the two has to wait for the client.
void Connections::Advance(int fd) {
  for (;;) {
    const Input input =
        At(fd).Get().state == State::kResting ? AnswerBuffered(fd) : Input::kHasMore;
    if (!Flush(fd) || input != Input::kHasMore) return;
    if (At(fd).Get().state != State::kResting) return;
    if (slot_.table.Unanswered(At(fd).Get()).empty()) return;
  }
}

// --- Reading --------------------------------------------------------------------------------

// Notes in shared memory what the next call is about to do; the kernel adds how much it did.
IoNote& Connections::Note(IoNote::Kind kind, int fd, const void* data, size_t size) {
  IoNote& note = slot_.table.Note();
  // No note while it is half written: the last call's size must never be taken for this one's.
  note.kind.store(IoNote::Kind::kNone, std::memory_order_relaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  note.fd = fd;
  note.version = At(fd).Version();
  note.vector = {const_cast<void*>(data), size};
  note.message = {};
  note.message.msg_hdr.msg_iov = &note.vector;
  note.message.msg_hdr.msg_iovlen = 1;
  note.kind.store(kind, std::memory_order_release);
  return note;
}

// Reads once. False when nothing came, the connection is gone, or has no room.
bool Connections::Receive(int fd) {
  if (!MakeRoom(fd)) return false;
  Record& record = At(fd);
  Progress progress = record.Get();
  IoNote& note = Note(IoNote::Kind::kReceive, fd, Pool().Data(progress.in) + progress.in_end,
                      BufferPool::Capacity(progress.in) - progress.in_end);
  const int received = recvmmsg(fd, &note.message, 1, MSG_DONTWAIT, nullptr);
  if (received == 1 && note.message.msg_len > 0) {
    progress.in_end += note.message.msg_len;
    record.Commit(progress);
    return true;
  }
  if (received == 1 || IsBroken(errno)) {
    Close(fd, /*by_peer=*/true);
    return false;
  }
  if (progress.in_begin == progress.in_end) {  // a false alarm: keep no buffer for it
    const Extent unused = progress.Consume(0);
    record.Commit(progress);
    Pool().Free(unused);
  }
  return false;
}

// Makes sure that there is a buffer with room for more. Bytes never move within a buffer, where a
// death half way would leave neither the old nor the new: a larger one gets a copy.
bool Connections::MakeRoom(int fd) {
  Record& record = At(fd);
  Progress progress = record.Get();
  if (progress.in && progress.in_end < BufferPool::Capacity(progress.in)) return true;

  const std::string_view kept = slot_.table.Unanswered(progress);
  const auto parser = begun_.find(fd);
  const size_t expected = parser == begun_.end() ? 0 : parser->second->ExpectedSize();
  const std::optional<Extent> larger =
      Pool().Allocate(std::max(expected, kept.empty() ? 1 : kept.size() * 2));
  if (!larger) {
    Refuse(fd, 503, "no buffer is free");
    Flush(fd);
    return false;
  }
  kept.copy(Pool().Data(*larger), kept.size());
  const Extent old = std::exchange(progress.in, *larger);
  progress.in_begin = 0;
  progress.in_end = static_cast<uint32_t>(kept.size());
  record.Commit(progress);
  Pool().Free(old);
  return true;
}

// --- Answering ------------------------------------------------------------------------------

// Takes whole requests from the buffer and has them answered, one after another.
Connections::Input Connections::AnswerBuffered(int fd) {
  for (;;) {
    Progress progress = At(fd).Get();
    std::string_view bytes = slot_.table.Unanswered(progress);
    // An empty line before a request is let pass (RFC 9112, 2.2).
    size_t blank = 0;
    while (bytes.substr(blank).starts_with("\r\n")) blank += 2;
    if (blank > 0) {
      const Extent used = progress.Consume(blank);
      At(fd).Commit(progress);
      Pool().Free(used);
      bytes.remove_prefix(blank);
    }
    if (bytes.empty()) return Input::kNeedsMore;
    if (slot_.table.Unwritten(progress).size() >= kGatherBytes) return Input::kHasMore;

    std::unique_ptr<RequestParser> parser;
    if (const auto begun = begun_.find(fd); begun != begun_.end()) {
      parser = std::move(begun->second);
      begun_.erase(begun);
    } else {
      parser = parser_ ? std::move(parser_) : std::make_unique<RequestParser>(limits_);
      parser->Reset();
    }
    switch (parser->Parse(bytes)) {
      case RequestParser::Outcome::kNeedMore:
        return WaitForMore(fd, std::move(parser));
      case RequestParser::Outcome::kBad:
        return Refuse(fd, parser->Status(), parser->Reason());
      case RequestParser::Outcome::kComplete:
        const Input input = AnswerRequest(fd, *parser);
        parser_ = std::move(parser);
        if (input != Input::kHasMore) return input;
    }
  }
}

Connections::Input Connections::WaitForMore(int fd, std::unique_ptr<RequestParser> parser) {
  Progress progress = At(fd).Get();
  Extent outgrown;
  if (!parser->HeaderDone()) {
    // Counted from the first byte, so that a header can't be trickled in for ever.
    if (progress.deadline == 0) SetDeadline(progress, settings_.header_timeout);
  } else {
    SetDeadline(progress, settings_.body_timeout);
    if (parser->ExpectsContinue() && !progress.continue_sent) {
      progress.continue_sent = AppendAnswer(progress, kContinue, {}, outgrown);
    }
  }
  At(fd).Commit(progress);
  Pool().Free(outgrown);
  begun_[fd] = std::move(parser);
  return Input::kNeedsMore;
}

// The heart of it: the request is held, answered, and taken from the buffer together with the
// answer's arrival in the other. In between, a death leaves the request as it was.
// `result`: what it has waited for, when it was deferred before.
Connections::Input Connections::AnswerRequest(int fd, RequestParser& parser,
                                              const TaskResult* result) {
  Record& record = At(fd);
  Progress progress = record.Get();
  progress.state = State::kHeld;
  progress.deadline = 0;
  record.Commit(progress);

  const std::string_view bytes = slot_.table.Unanswered(progress);
  const size_t size = parser.Size();
  ResponseWriter::Framing framing = {.head = parser.IsHead(), .http10 = parser.IsHttp10()};
  if (result == nullptr) {
    ++requests_;
    Count(slot_.status.requests);
  }
  const std::string* head;
  ResetResponse();
  // Decided when the response is there: a stop may have been asked for meanwhile.
  const auto is_last = [&] {
    return !parser.KeepAlive() || (slot_.table.Draining() && size == bytes.size());
  };
  try {
    RunHandler(parser.MakeRequest(bytes, worker_), result);
    framing.close = is_last();
    head = &writer_.Head(response_, framing);
  } catch (const std::exception& error) {
    framing.close = is_last();
    head = &HandlerFailed(bytes, error.what(), framing);
  } catch (...) {
    framing.close = is_last();
    head = &HandlerFailed(bytes, "it threw what is no std::exception", framing);
  }

  if (!response_.deferred_to.empty()) return WaitForTask(fd, progress);
  Extent outgrown;
  const bool has_body = ResponseWriter::HasBody(response_, framing);
  const std::string_view body = has_body ? std::string_view(response_.body) : "";
  if (!AppendAnswer(progress, *head, body, outgrown)) {
    log_.Line("no buffer is free for a response of {} bytes", response_.body.size());
    return Refuse(fd, 503, "no buffer is free");
  }
  progress.close_after = framing.close;
  if (tasks_.Started() > 0) {
    const Input input = HoldBack(fd, progress, head->size() + body.size());
    Pool().Free(outgrown);
    return input;
  }
  progress.StopWaiting();
  progress.state = State::kAnswering;
  const Extent used = progress.Consume(size);
  record.Commit(progress);
  Count(slot_.status.answered);
  Pool().Free(used);
  Pool().Free(outgrown);
  return framing.close ? Input::kLast : Input::kHasMore;
}

void Connections::RunHandler(const Request& request, const TaskResult* result) {
  const Beat beat(slot_.table.Pulse());
  in_handler_ = true;
  if (result == nullptr) {
    answer_(request, response_);
  } else {
    finish_(*result, request, response_);
  }
  in_handler_ = false;
  if (!response_.deferred_to.empty() && !ParseTaskId(response_.deferred_to)) {
    throw std::invalid_argument("'" + response_.deferred_to + "' is no task's id");
  }
}

const std::string& Connections::HandlerFailed(std::string_view request, const char* why,
                                              ResponseWriter::Framing framing) {
  log_.Error("the handler failed at '{}': {}", request.substr(0, request.find('\r')), why);
  Count(slot_.status.failed);
  in_handler_ = false;
  tasks_.Forget();
  response_ = PlainResponse(500, "the handler failed");
  return writer_.Head(response_, framing);
}

// As a new one, but for the memory that it keeps for the next.
void Connections::ResetResponse() {
  if (response_.body.capacity() > kKeptResponseBytes) std::string().swap(response_.body);
  response_.status = 200;
  response_.content_type = kPlainText;
  response_.headers.clear();
  response_.body.clear();
  response_.deferred_to.clear();
  tasks_.Forget();
}

// Answers what is no request of ours, or finds no room, and reads no further: nobody knows where
// the next request begins.
Connections::Input Connections::Refuse(int fd, int status, const std::string& reason) {
  Progress progress = At(fd).Get();
  Count(slot_.status.refused);
  Response response = PlainResponse(status, reason);
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  const std::string& head = writer_.Head(response, {.close = true});
  Extent outgrown;
  if (!AppendAnswer(progress, head, response.body, outgrown) && !progress.out) {
    // With no buffer to be had: straight from here, as far as the kernel takes it, then the end.
    const std::string text = head + response.body;
    send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    Linger(fd);
    return Input::kLast;
  }
  // Without room for it, the earlier answers still go out, and the close after them says the rest.
  progress.state = State::kAnswering;
  progress.close_after = true;
  const Extent used = progress.Consume(progress.in_end - progress.in_begin);
  At(fd).Commit(progress);
  Pool().Free(used);
  Pool().Free(outgrown);
  return Input::kLast;
}

// Puts head and body behind what is still to be written, in a larger buffer if need be; `outgrown`
// is the old one, to be freed once `progress` is committed. False when the pool is full.
bool Connections::AppendAnswer(Progress& progress, std::string_view head, std::string_view body,
                               Extent& outgrown) {
  const size_t size = head.size() + body.size();
  if (!progress.out || BufferPool::Capacity(progress.out) - progress.out_end < size) {
    const std::string_view unwritten = slot_.table.Unwritten(progress);
    const size_t needed = unwritten.size() + size;
    // Twice as large when there is something already: more pipelined answers may follow.
    const auto larger = Pool().Allocate(unwritten.empty() ? needed : needed * 2);
    if (!larger) return false;
    unwritten.copy(Pool().Data(*larger), unwritten.size());
    outgrown = std::exchange(progress.out, *larger);
    progress.out_begin = 0;
    progress.out_end = static_cast<uint32_t>(unwritten.size());
  }
  char* end = Pool().Data(progress.out) + progress.out_end;
  head.copy(end, head.size());
  body.copy(end + head.size(), body.size());
  progress.out_end += static_cast<uint32_t>(size);
  return true;
}

// --- Writing --------------------------------------------------------------------------------

// Writes what there is to write. True when all of it is out and the connection still there.
bool Connections::Flush(int fd) {
  Record& record = At(fd);
  for (;;) {
    Progress progress = record.Get();
    if (!progress.out) return progress.state != State::kFree;
    std::string_view unwritten = slot_.table.Unwritten(progress);
    unwritten.remove_suffix(progress.held_back);
    if (unwritten.empty()) {
      FinishAnswer(fd, progress);
      return true;
    }
    IoNote& note = Note(IoNote::Kind::kSend, fd, unwritten.data(), unwritten.size());
    if (sendmmsg(fd, &note.message, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1) {
      progress.out_begin += note.message.msg_len;
      if (progress.out_begin + progress.held_back == progress.out_end) {
        FinishAnswer(fd, progress);
        return true;
      }
      SetDeadline(progress, settings_.send_timeout);
      record.Commit(progress);
    } else if (IsBroken(errno)) {
      Close(fd, /*by_peer=*/true);
      return false;
    } else {
      WaitToWrite(fd, progress);
      return false;
    }
  }
}

// All is written: the connection rests again, or ends, or waits for a task.
void Connections::FinishAnswer(int fd, Progress progress) {
  const bool waits = progress.state == State::kWaiting;
  const bool watched = progress.waits_to_write || (progress.muted && !waits);
  Extent written;
  if (progress.held_back == 0) {
    written = std::exchange(progress.out, {});
    progress.out_begin = progress.out_end = 0;
  }
  if (!waits) {
    progress.state = State::kResting;
    progress.muted = false;
  }
  progress.waits_to_write = false;
  progress.deadline = 0;
  if (progress.in && !waits) SetDeadline(progress, settings_.body_timeout);
  At(fd).Commit(progress);
  Pool().Free(written);
  if (watched) Watch(EPOLL_CTL_MOD, fd);
  if (waits) return;
  if (progress.close_after || (slot_.table.Draining() && !progress.in)) Linger(fd);
}

void Connections::WaitToWrite(int fd, Progress progress) {
  if (progress.waits_to_write) return;
  if (progress.state != State::kWaiting) progress.state = State::kAnswering;
  progress.waits_to_write = true;
  SetDeadline(progress, settings_.send_timeout);
  At(fd).Commit(progress);
  Watch(EPOLL_CTL_MOD, fd);
}

// --- Ending ---------------------------------------------------------------------------------

// Says that there is no more to come and waits for the peer to close, so that what it may still
// be sending does not make the kernel reset the connection and with it the last response.
void Connections::Linger(int fd) {
  Progress progress = At(fd).Get();
  const Extent in = progress.in;
  const Extent out = progress.out;
  begun_.erase(fd);
  if (shutdown(fd, SHUT_WR) == -1) return Close(fd, /*by_peer=*/true);
  const bool watched = progress.waits_to_write || progress.muted;
  progress = {};
  progress.state = State::kLingering;
  SetDeadline(progress, kLingerSeconds);
  At(fd).Commit(progress);
  Pool().Free(in);
  Pool().Free(out);
  if (watched) Watch(EPOLL_CTL_MOD, fd);
}

void Connections::Discard(int fd) {
  char unwanted[16 * 1024];
  const ssize_t size = recv(fd, unwanted, sizeof unwanted, MSG_DONTWAIT);
  if (size == 0 || (size == -1 && IsBroken(errno))) Close(fd, /*by_peer=*/false);
}

void Connections::SetDeadline(Progress& progress, double seconds) {
  progress.deadline = ClockMs() + Milliseconds(seconds);
  if (progress.deadline == 0) progress.deadline = 1;
  slot_.table.ExpectDeadline(progress.deadline);
}

int Connections::EnforceDeadlines() {
  uint32_t& next = slot_.table.NextDeadline();
  if (next == 0) return -1;
  const uint32_t now = ClockMs();
  if (Passed(next, now)) {
    next = 0;
    ResumeAccepting();
    if (inbox_paused_) WatchInbox(true);
    for (int fd = 0; fd < slot_.table.HighWater(); ++fd) {
      const Progress progress = At(fd).Get();
      if (progress.state == State::kFree || progress.deadline == 0) continue;
      if (!Passed(progress.deadline, now)) {
        slot_.table.ExpectDeadline(progress.deadline);
      } else if (progress.state == State::kResting) {
        Refuse(fd, 408, "the request did not come in time");
        Flush(fd);
      } else {
        Close(fd, /*by_peer=*/false);
      }
    }
  }
  return next == 0 ? -1 : std::max(0, static_cast<int>(next - now));
}

}  // namespace graceful
