// How the master makes slots and their keepers, and ends them (master.h).

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <stdexcept>
#include <utility>

#include "reload/child_process.h"
#include "reload/keeper.h"
#include "reload/master.h"
#include "signals/check.h"

namespace graceful {

Master::Seat& Master::AddSeat() {
  int ends[2];
  Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), "socketpair");
  auto seat = std::make_unique<Seat>();
  seat->number = static_cast<int>(seats_.size());
  listeners_.AddSlot(seat->number);
  seat->inbox_in.Reset(ends[0]);
  seat->inbox_out.Reset(ends[1]);
  std::memset(static_cast<void*>(&statuses_[seat->number]), 0, sizeof(SlotStatus));
  seats_.push_back(std::move(seat));
  tasks_.SetInbox(seats_.back()->number, seats_.back()->inbox_in.Get());
  return *seats_.back();
}

void Master::StartKeeper(Seat& seat) {
  auto [channel, keepers_end] = Channel::MakePair();
  seat.start_at = 0;
  seat.started = ClockMs();
  seat.keeper = Check(fork(), "fork");
  if (seat.keeper == 0) BecomeKeeper(seat, std::move(keepers_end));
  seat.channel = std::move(channel);
  Watch(seat.channel.Get());
  if (parked_.contains(seat.number)) Park(seat.number, false);
}

// In the child. Nothing here returns into the master's objects, which are copies now.
void Master::BecomeKeeper(Seat& seat, Channel channel) {
  try {
    // A group of its own: the terminal's signals (Ctrl-C) are for the master alone.
    Check(setpgid(0, 0), "setpgid");
    KeeperStart start = {.number = seat.number,
                         .listeners = listeners_.ForSlot(seat.number),
                         .inbox = UniqueFd(seat.inbox_out.Release()),
                         .tasks = UniqueFd(tasks_.Calls()),
                         .channel = std::move(channel),
                         .status = statuses_[seat.number],
                         .settings = settings_,
                         .log = log_.As("keeper " + std::to_string(seat.number))};
    std::vector<int> keep = {start.inbox.Get(), start.channel.Get(), start.log.Fd()};
    if (start.tasks) keep.push_back(start.tasks.Get());
    for (const UniqueFd& listener : start.listeners) keep.push_back(listener.Get());
    CloseAllBut(std::move(keep));
    DropPrivileges(settings_);
    RunKeeper(std::move(start));
  } catch (const std::exception& error) {
    log_.Error("keeper {} cannot start: {}", seat.number, error.what());
    _exit(1);
  }
}

void Master::TellToRun(const Channel& keeper, const Code& code) {
  Message message = {.what = "reload", .text = Encode(code.settings), .number = code.generation};
  message.fds.emplace_back(
      Check(fcntl(code.image->Get(), F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC"));
  keeper.Send(message);
}

void Master::KillAll() {
  tasks_.Kill();
  for (const auto& seat : seats_) {
    if (seat->keeper == 0) continue;
    kill(-seat->keeper, SIGKILL);
    kill(seat->keeper, SIGKILL);
    WaitFor(seat->keeper);
    seat->keeper = 0;
  }
}

Master::Seat* Master::FindSeat(int slot) {
  for (const auto& seat : seats_) {
    if (seat->number == slot) return seat.get();
  }
  throw std::logic_error("no slot " + std::to_string(slot));
}

}  // namespace graceful
