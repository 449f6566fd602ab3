// What a worker does first when its predecessor died with the slot in its hands (connections.h).
//
// The table may have been left at any instruction, or been written over by a handler gone wild.
// It is read as one reads input from outside: a record that makes no sense costs its connection.

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "reload/connections.h"
#include "reload/descriptors.h"

namespace graceful {

namespace {

// A request that was in the hands of so many workers when they died is not given to another.
constexpr int kDeathsPerRequest = 2;

// A byte that was written over may be neither false nor true.
bool IsBool(const bool& value) {
  unsigned char byte;
  std::memcpy(&byte, &value, 1);
  return byte <= 1;
}

}  // namespace

void Connections::Recover(bool was_stuck) {
  ApplyNote();
  // Looked for once: a question to the kernel for each of thousands is what recovery takes.
  const std::vector<int> sockets = OpenConnections();
  Pool().Clear();
  uint32_t open = 0;
  uint32_t lost = 0;
  for (int fd = 0; fd < slot_.table.HighWater(); ++fd) {
    if (At(fd).Get().state == State::kFree) continue;
    const bool is_connection = std::binary_search(sockets.begin(), sockets.end(), fd);
    if (is_connection && IsSound(At(fd).Get())) {
      ++open;
      continue;
    }
    if (is_connection) close(fd);
    At(fd).Commit({});
    ++lost;
  }
  slot_.status.connections = open;
  if (lost > 0) log_.Line("{} records of the table made no sense and were given up", lost);
  if (slot_.table.Inbox().message.msg_len > 0) UnpackInbox();
  AdoptStrays(sockets);

  for (int fd = 0; fd < slot_.table.HighWater(); ++fd) {
    const Progress progress = At(fd).Get();
    if (progress.state == State::kFree) continue;
    // Whether or not it was in the epoll yet, and for what: now it is.
    Watch(EPOLL_CTL_MOD, fd);
    if (progress.deadline != 0) slot_.table.ExpectDeadline(progress.deadline);
    if (progress.state == State::kHeld) RetryHeld(fd, was_stuck);
    const State state = At(fd).Get().state;
    if (state == State::kResting || state == State::kAnswering) Advance(fd);
    if (state == State::kWaiting && Flush(fd)) AskAgain(fd);
  }
}

// The slot's connections, as the kernel knows them, in order. The table's own end is not trusted.
std::vector<int> Connections::OpenConnections() {
  std::vector<int> sockets = OpenDescriptors(slot_.table.Capacity());
  std::erase_if(sockets, [this](int fd) { return !IsConnection(slot_, fd); });
  if (!sockets.empty()) slot_.table.RaiseHighWater(sockets.back());
  return sockets;
}

// Brings the record of the connection that was being read or written up to what the kernel did.
void Connections::ApplyNote() {
  IoNote& note = slot_.table.Note();
  const IoNote::Kind kind = note.kind.load(std::memory_order_acquire);
  note.kind = IoNote::Kind::kNone;
  if (kind == IoNote::Kind::kNone || !IsConnection(slot_, note.fd)) return;
  Record& record = At(note.fd);
  if (record.Version() != note.version) return;  // the dead worker had done it itself
  Progress progress = record.Get();
  const uint32_t size = note.message.msg_len;
  if (size == 0) return;
  switch (kind) {
    case IoNote::Kind::kReceive:
      progress.in_end += size;
      break;
    case IoNote::Kind::kSend:
      progress.out_begin += size;
      break;
    case IoNote::Kind::kGiveAway:  // another slot has it now; its pages go with Clear()
      epoll_ctl(slot_.epoll.Get(), EPOLL_CTL_DEL, note.fd, nullptr);
      close(note.fd);
      progress = {};
      break;
    case IoNote::Kind::kNone:
      return;
  }
  record.Commit(progress);
}

// Whether a connection can be in such a state at all. What its buffers say is another question.
bool Connections::IsPossible(const Progress& progress) {
  if (!IsBool(progress.close_after) || !IsBool(progress.continue_sent) ||
      !IsBool(progress.waits_to_write) || !IsBool(progress.muted) || !IsBool(progress.own_task) ||
      progress.wait > TaskWait::kState) {
    return false;
  }
  const bool waits = progress.state == State::kWaiting;
  // Only an answer is waited for with writability; else the epoll would never be silent.
  if (progress.waits_to_write && progress.state != State::kAnswering && !waits) return false;
  if (!waits && progress.held_back != 0) return false;
  // What nobody hears of must have somebody who ends it.
  if (progress.muted &&
      (progress.state == State::kResting || progress.state == State::kLingering)) {
    return false;
  }
  switch (progress.state) {
    case State::kFree:
    case State::kResting:
      return true;
    case State::kHeld:
      return static_cast<bool>(progress.in);
    case State::kAnswering:
      return static_cast<bool>(progress.out);
    case State::kLingering:
      return !progress.in && !progress.out && progress.deadline != 0;
    case State::kWaiting:
      return progress.in && progress.task != 0 && progress.wait != TaskWait::kNone &&
             (progress.out || (!progress.waits_to_write && progress.held_back == 0));
  }
  return false;
}

// Takes the record's buffers in the pool; false when what it says can't be.
bool Connections::IsSound(const Progress& progress) {
  const auto fits = [this](Extent extent, uint32_t begin, uint32_t end) {
    if (!extent) return begin == 0 && end == 0;
    return begin <= end && end <= BufferPool::Capacity(extent) && Pool().Take(extent);
  };
  if (!IsPossible(progress) || progress.held_back > progress.out_end - progress.out_begin) {
    return false;
  }
  if (!fits(progress.in, progress.in_begin, progress.in_end)) return false;
  if (fits(progress.out, progress.out_begin, progress.out_end)) return true;
  Pool().Free(progress.in);
  return false;
}

// The request that the dead worker held: run again when that does no harm (RFC 9110, 9.2.2) and it
// is not what kills or blocks the workers; else answered, so that the client knows.
void Connections::RetryHeld(int fd, bool was_stuck) {
  Progress progress = At(fd).Get();
  if (progress.deaths < kDeathsPerRequest) ++progress.deaths;
  RequestParser parser(limits_);
  if (parser.Parse(slot_.table.Unanswered(progress)) != RequestParser::Outcome::kComplete) {
    return Close(fd, /*by_peer=*/false);
  }
  const bool had_waited = progress.task != 0;  // OnFinish() had it
  if (had_waited && !was_stuck && progress.deaths < kDeathsPerRequest) {
    Count(slot_.status.rerun);
    progress.state = State::kWaiting;
    return At(fd).Commit(progress);
  }
  if (!had_waited && !was_stuck && parser.IsIdempotent() && progress.deaths < kDeathsPerRequest) {
    Count(slot_.status.rerun);
    progress.state = State::kResting;
    return At(fd).Commit(progress);
  }
  Count(slot_.status.given_up);
  Response response = PlainResponse(503, was_stuck ? "the request took longer than worker_timeout"
                                                   : "the worker died while it ran this request");
  response.headers.emplace_back("Retry-After", "0");
  AnswerInstead(fd, progress, parser, std::move(response));
}

// Answers a whole request in the handler's place.
void Connections::AnswerInstead(int fd, Progress progress, const RequestParser& parser,
                                Response response) {
  const ResponseWriter::Framing framing = {
      .close = !parser.KeepAlive(), .head = parser.IsHead(), .http10 = parser.IsHttp10()};
  Extent outgrown;
  const std::string& head = writer_.Head(response, framing);
  if (!AppendAnswer(progress, head, framing.head ? "" : response.body, outgrown)) {
    Refuse(fd, 503, "no buffer is free");
    return;
  }
  progress.StopWaiting();
  progress.state = State::kAnswering;
  progress.close_after = framing.close;
  const Extent used = progress.Consume(parser.Size());
  At(fd).Commit(progress);
  Pool().Free(used);
  Pool().Free(outgrown);
}

// Connections that were accepted and not yet written down: in the descriptor table only.
void Connections::AdoptStrays(const std::vector<int>& sockets) {
  for (const int fd : sockets) {
    // Asked again, since some were closed meanwhile.
    if (At(fd).Get().state == State::kFree && IsConnection(slot_, fd)) {
      Add(fd, {.state = State::kResting});
    }
  }
}

}  // namespace graceful
