// How connections travel from a slot that is given up to the others (connections.h).

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "reload/connections.h"
#include "reload/descriptors.h"
#include "signals/check.h"

namespace graceful {

namespace {

bool WaitToSend(int inbox, uint32_t deadline) {
  pollfd waiting = {inbox, POLLOUT, 0};
  const int32_t left = static_cast<int32_t>(deadline - ClockMs());
  return RetryInterrupted([&] { return poll(&waiting, 1, std::max(0, left)); }) == 1;
}

}  // namespace

uint32_t Connections::GiveAway(const std::vector<int>& inboxes, uint32_t deadline) {
  StopAccepting();  // the master goes on with the listeners
  while (ReceiveParcel()) {
  }
  size_t turn = 0;
  for (int fd = 0; fd < slot_.table.HighWater(); ++fd) {
    if (At(fd).Get().state == State::kFree) continue;
    if (!SendParcel(fd, inboxes[turn++ % inboxes.size()], deadline)) break;
  }
  return slot_.status.connections;
}

bool Connections::SendParcel(int fd, int inbox, uint32_t deadline) {
  const Progress progress = At(fd).Get();
  const std::string_view unanswered = slot_.table.Unanswered(progress);
  const std::string_view unwritten = slot_.table.Unwritten(progress);
  Parcel parcel = {.progress = progress,
                   .unanswered = static_cast<uint32_t>(unanswered.size()),
                   .unwritten = static_cast<uint32_t>(unwritten.size())};
  UniqueFd bytes;
  if (!unanswered.empty() || !unwritten.empty()) bytes = MakeByteFile({unanswered, unwritten});
  const int fds[2] = {fd, bytes.Get()};
  const size_t fds_size = (bytes ? 2 : 1) * sizeof(int);

  IoNote& note = Note(IoNote::Kind::kGiveAway, fd, &parcel, sizeof parcel);
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {};
  note.message.msg_hdr.msg_control = control;
  note.message.msg_hdr.msg_controllen = CMSG_SPACE(fds_size);
  cmsghdr* rights = CMSG_FIRSTHDR(&note.message.msg_hdr);
  *rights = {CMSG_LEN(fds_size), SOL_SOCKET, SCM_RIGHTS};
  std::memcpy(CMSG_DATA(rights), fds, fds_size);

  while (sendmmsg(inbox, &note.message, 1, MSG_DONTWAIT | MSG_NOSIGNAL) != 1) {
    // ETOOMANYREFS: too many descriptors are on their way already (unix(7)); they will arrive.
    if (errno != EAGAIN && errno != EINTR && errno != ETOOMANYREFS) return false;
    if (errno == ETOOMANYREFS) usleep(1000);
    if (!WaitToSend(inbox, deadline) || Passed(deadline, ClockMs())) return false;
  }
  Forget(fd);
  return true;
}

// Lets go of a connection that another slot has now. The epoll would watch it for as long as any
// process has it open (epoll(7), Q6), so it is told.
void Connections::Forget(int fd) {
  epoll_ctl(slot_.epoll.Get(), EPOLL_CTL_DEL, fd, nullptr);
  const Progress last = At(fd).Get();
  close(fd);
  At(fd).Commit({});
  Pool().Free(last.in);
  Pool().Free(last.out);
  begun_.erase(fd);
  Count(slot_.status.connections, uint32_t(-1));
}

// All of them, since a batch of events may take long and a parcel is somebody who waits.
void Connections::ReceiveParcels() {
  while (!slot_.table.Interrupt() && ReceiveParcel()) {
  }
}

bool Connections::ReceiveParcel() {
  // The kernel would drop what it finds no descriptor for (unix(7), SCM_RIGHTS): it stays there.
  if (!HasDescriptorBelow((FirstSpare() + slot_.table.Capacity()) / 2)) {
    WatchInbox(false);
    return false;
  }
  InboxNote& note = slot_.table.Inbox();
  note.vector = {note.bytes, sizeof note.bytes};
  note.message = {};
  note.message.msg_hdr.msg_iov = &note.vector;
  note.message.msg_hdr.msg_iovlen = 1;
  note.message.msg_hdr.msg_control = note.control;
  note.message.msg_hdr.msg_controllen = sizeof note.control;
  const int received =
      recvmmsg(slot_.inbox.Get(), &note.message, 1, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr);
  if (received != 1 || note.message.msg_len == 0) return false;
  UnpackInbox();
  return true;
}

// What came beside the message, -1 for none.
std::pair<int, int> Connections::InboxDescriptors() {
  const InboxNote& note = slot_.table.Inbox();
  int fds[2] = {-1, -1};
  cmsghdr rights;
  std::memcpy(&rights, note.control, sizeof rights);
  if (note.message.msg_hdr.msg_controllen > sizeof rights && rights.cmsg_len > CMSG_LEN(0) &&
      rights.cmsg_level == SOL_SOCKET && rights.cmsg_type == SCM_RIGHTS) {
    const size_t size = std::min<size_t>(rights.cmsg_len - CMSG_LEN(0), sizeof fds);
    std::memcpy(fds, note.control + CMSG_LEN(0), size);
  }
  return {fds[0], fds[1]};
}

// Also a successor's first step when its predecessor died in here: it may be done twice, and the
// note may have been written over. So nothing in it is believed, and no pointer of it followed.
void Connections::UnpackParcel() {
  InboxNote& note = slot_.table.Inbox();
  const auto [fd, file] = InboxDescriptors();
  const size_t size = size_t{note.parcel.unanswered} + note.parcel.unwritten;
  const UniqueFd bytes(IsByteFile(file, size) ? file : -1);
  const bool arrived = note.message.msg_len == sizeof(Parcel) && IsConnection(slot_, fd);
  // A record above the mark is no record, whatever it says.
  if (arrived && (fd >= slot_.table.HighWater() || At(fd).Get().state == State::kFree)) {
    Progress progress = note.parcel.progress;
    progress.in = progress.out = {};
    progress.in_begin = progress.out_begin = 0;
    progress.in_end = note.parcel.unanswered;
    progress.out_end = note.parcel.unwritten;
    progress.waits_to_write = progress.muted = false;
    bool whole = true;
    const auto unpack = [&](Extent& extent, uint32_t size, uint32_t offset) {
      if (size == 0) return;
      const std::optional<Extent> room = Pool().Allocate(size);
      whole = whole && room &&
              pread(bytes.Get(), Pool().Data(*room), size, offset) == static_cast<ssize_t>(size);
      if (room) extent = *room;
    };
    unpack(progress.in, progress.in_end, 0);
    unpack(progress.out, progress.out_end, progress.in_end);
    whole = whole && IsPossible(progress) && progress.held_back <= progress.out_end &&
            progress.state != State::kHeld && progress.state != State::kFree;
    if (whole) {
      if (progress.deadline != 0) slot_.table.ExpectDeadline(progress.deadline);
      Add(fd, progress);
    } else {
      Pool().Free(progress.in);
      Pool().Free(progress.out);
      Add(fd, {.state = State::kResting});
      Refuse(fd, 503, "no buffer is free");
      Flush(fd);
    }
    if (whole && (progress.in || progress.out)) Advance(fd);
    if (At(fd).Get().state == State::kWaiting) AskAgain(fd);
    if (slot_.table.Draining() && At(fd).Get().state == State::kResting) FinishIdle(fd);
  }
}

}  // namespace graceful
