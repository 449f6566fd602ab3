// How connections come, and end with a slot (connections.h).

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "reload/connections.h"
#include "signals/check.h"

namespace graceful {

namespace {

// Connections taken from a listener in one go: the others wait no longer than for these.
constexpr int kAcceptBatch = 64;

// How soon room is looked for again when descriptors ran out: others than ours may be closed.
constexpr double kPauseSeconds = 0.1;

// Descriptors that accepting leaves free: a reload, a recovery and a parcel need some.
constexpr int kSpareDescriptors = 32;

}  // namespace

bool Connections::Accept(int listener) {
  for (int i = 0; i < kAcceptBatch && accepting_; ++i) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Count(slot_.status.accepted);
      Add(fd, {.state = State::kResting});
      if (slot_.table.Draining()) FinishIdle(fd);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      PauseAccepting(std::strerror(errno));
    } else if (errno == EAGAIN) {
      if (std::exchange(said_full_, false)) log_.Line("accepting connections again");
      return false;
    }
    // Any other error is about one connection that is gone already (accept(2)): go on.
  }
  return accepting_;
}

void Connections::Add(int fd, const Progress& progress) {
  slot_.table.RaiseHighWater(fd);
  At(fd).Commit(progress);
  Count(slot_.status.connections);
  if (!Watch(EPOLL_CTL_ADD, fd)) return Close(fd, /*by_peer=*/false);
  if (IsFull()) return PauseAccepting("as many as max_connection allows");
  if (fd >= FirstSpare()) PauseAccepting("no descriptor is left (ulimit -n)");
}

bool Connections::IsFull() const {
  return slot_.status.connections >= static_cast<uint32_t>(settings_.max_connection);
}

// The first of the descriptors that are not for connections.
int Connections::FirstSpare() const {
  const int capacity = slot_.table.Capacity();
  return capacity - std::min(kSpareDescriptors, capacity / 4);
}

// Whether the next descriptor that the kernel gives is below `limit`.
bool Connections::HasDescriptorBelow(int limit) const {
  const UniqueFd next(fcntl(slot_.epoll.Get(), F_DUPFD_CLOEXEC, 0));
  return next && next.Get() < limit;
}

void Connections::PauseAccepting(const char* why) {
  if (!accepting_) return;
  if (!std::exchange(said_full_, true)) {
    log_.Line("accepting no connections for now: {} ({} open)", why,
              slot_.status.connections.load());
  }
  StopAccepting();
  paused_ = true;
  LookAgainForRoom();
}

void Connections::StopAccepting() {
  accepting_ = paused_ = false;
  for (const UniqueFd& listener : slot_.listeners) {
    epoll_ctl(slot_.epoll.Get(), EPOLL_CTL_DEL, listener.Get(), nullptr);
  }
}

// After a pause, when there is room again.
void Connections::ResumeAccepting() {
  if (paused_ && !IsFull() && HasDescriptorBelow(FirstSpare())) StartAccepting();
  if (paused_) LookAgainForRoom();
}

// Room below max_connection comes when one of ours is closed; a descriptor, also without that.
void Connections::LookAgainForRoom() {
  if (!IsFull()) slot_.table.ExpectDeadline(ClockMs() + Milliseconds(kPauseSeconds));
}

void Connections::StartAccepting() {
  WatchInbox(true);
  accepting_ = true;
  paused_ = false;
  if (IsFull()) return PauseAccepting("as many as max_connection allows");
  if (!HasDescriptorBelow(FirstSpare())) return PauseAccepting("no descriptor is left (ulimit -n)");
  for (const UniqueFd& listener : slot_.listeners) {
    // A Unix socket is in the epoll of every slot: one of them is woken, not all.
    epoll_event event = {EPOLLIN | EPOLLEXCLUSIVE,
                         {.u64 = EventData(EventKind::kListener, listener.Get())}};
    // EEXIST: the worker before this one had not paused.
    epoll_ctl(slot_.epoll.Get(), EPOLL_CTL_ADD, listener.Get(), &event);
  }
}

void Connections::WatchInbox(bool watched) {
  inbox_paused_ = !watched;
  epoll_event event = {EPOLLIN, {.u64 = EventData(EventKind::kInbox, slot_.inbox.Get())}};
  epoll_ctl(slot_.epoll.Get(), watched ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, slot_.inbox.Get(), &event);
  if (!watched) slot_.table.ExpectDeadline(ClockMs() + Milliseconds(kPauseSeconds));
}

bool Connections::AcceptWaiting() {
  const uint64_t before = slot_.status.accepted;
  for (const UniqueFd& listener : slot_.listeners) {
    while (Accept(listener.Get())) {
    }
  }
  bool parcels = false;
  while (ReceiveParcel()) parcels = true;
  return parcels || slot_.status.accepted != before;
}

// The listeners stay watched: who waits there for room comes in when others have ended.
void Connections::Drain() {
  AcceptWaiting();
  for (int fd = 0; fd < slot_.table.HighWater(); ++fd) {
    if (At(fd).Get().state == State::kResting) FinishIdle(fd);
  }
}

// An idle connection is closed; one with a part-read request, or an answer under way, may end.
void Connections::FinishIdle(int fd) {
  if (Receive(fd)) Advance(fd);  // what has arrived by now is answered
  const Progress progress = At(fd).Get();
  if (progress.state == State::kResting && !progress.in) Close(fd, /*by_peer=*/false);
}

}  // namespace graceful
