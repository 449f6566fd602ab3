// What becomes of the listeners of a slot that was given up (master.h).
//
// Their sockets stay open, so that nothing that waits in their queues is lost. The master accepts
// for them and deals the connections out to the slots that are left.

#include <sys/socket.h>

#include <cstring>

#include "reload/master.h"
#include "signals/check.h"

namespace graceful {

namespace {

// How soon the master tries again to accept and deal out, when there was no room.
constexpr uint32_t kParkedPauseMs = 20;

}  // namespace

// False when nobody waits there, or no slot has room.
bool Master::OnParkedListener(int fd) {
  if (!undealt_) undealt_.Reset(accept4(fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (undealt_ && Deal()) return true;
  if (undealt_ || errno != EAGAIN) WatchParked(false);  // OnTime() tries again
  return false;
}

// Sends the connection in hand to the next slot that has room. False when none has.
bool Master::Deal() {
  Parcel parcel;
  parcel.progress.state = State::kResting;
  iovec vector = {&parcel, sizeof parcel};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr header = {};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  *rights = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
  const int raw = undealt_.Get();
  std::memcpy(CMSG_DATA(rights), &raw, sizeof raw);
  for (size_t i = 0; i < seats_.size(); ++i) {
    const Seat& seat = *seats_[turn_++ % seats_.size()];
    if (seat.leaving || sendmsg(seat.inbox_in.Get(), &header, MSG_NOSIGNAL) == -1) continue;
    undealt_.Reset();
    return true;
  }
  return false;
}

void Master::Park(int slot, bool parked) {
  for (const int fd : listeners_.OwnOfSlot(slot)) {
    if (parked && parked_watched_) Watch(fd);
    if (!parked) Unwatch(fd);
  }
  if (parked) {
    parked_.insert(slot);
  } else {
    parked_.erase(slot);
  }
}

void Master::WatchParked(bool watched) {
  if (parked_watched_ == watched) return;
  parked_watched_ = watched;
  if (!watched) watch_parked_at_ = ClockMs() + kParkedPauseMs;
  for (const int slot : parked_) {
    for (const int fd : listeners_.OwnOfSlot(slot)) {
      if (watched) {
        Watch(fd);
      } else {
        Unwatch(fd);
      }
    }
  }
}

}  // namespace graceful
