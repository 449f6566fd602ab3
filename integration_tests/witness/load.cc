#include "integration_tests/witness/load.h"

#include <sys/epoll.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <iostream>
#include <limits>
#include <string>
#include <string_view>

#include "integration_tests/witness/report.h"
#include "signals/check.h"

namespace graceful {

namespace {

constexpr uint64_t kSignals = uint64_t{1} << 32;  // no connection has such an index
constexpr uint64_t kInput = kSignals + 1;

constexpr int64_t kSecond = 1'000'000;
constexpr int64_t kTimeoutCheck = kSecond / 20;
constexpr int64_t kRetry = kSecond / 50;  // after a refused connection

int64_t NowUs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * kSecond + now.tv_nsec / 1000;
}

}  // namespace

Load::Load(const Options& options, const Address& address, const Workload& workload,
           Account& account, Journal& journal, SignalFd& signals)
    : options_(options),
      limit_(options.requests.value_or(std::numeric_limits<uint64_t>::max())),
      signals_(signals),
      account_(account),
      journal_(journal),
      epoll_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      scene_{options, address, workload, account, journal, epoll_},
      places_(static_cast<size_t>(options.connections + options.idle)),
      not_announced_(places_.size()) {
  for (size_t i = 0; i < places_.size(); ++i) {
    places_[i].connection = std::make_unique<Connection>(scene_, static_cast<int>(i));
    places_[i].resting = i >= static_cast<size_t>(options.connections);
  }
}

bool Load::Watch(int fd, uint64_t tag) {
  epoll_event event = {};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  return epoll_ctl(epoll_.Get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

void Load::Run() {
  if (!Watch(signals_.Get(), kSignals)) ThrowErrno(errno, "epoll_ctl", "signalfd");
  // A regular file or /dev/null cannot be watched, and has nothing to say.
  Watch(STDIN_FILENO, kInput);
  begun_us_ = now_us_ = NowUs();
  next_turn_us_ = static_cast<double>(now_us_);
  for (Place& place : places_) Attend(place);
  UseResting();
  while (!done_) {
    WaitForEvents();
    RunTimers();
    CheckTimeouts();
    Announce();
    NextPhase();
  }
}

void Load::WaitForEvents() {
  int64_t until_us = next_timeout_check_us_;
  if (!timers_.empty()) until_us = std::min(until_us, timers_.top().first);
  // Rounded up: a timer that is not due yet would only wake the loop again.
  const int64_t wait_ms = (std::max<int64_t>(until_us - now_us_, 0) + 999) / 1000;
  std::array<epoll_event, 256> events;
  const int count = RetryInterrupted([&] {
    return epoll_wait(epoll_.Get(), events.data(), events.size(), static_cast<int>(wait_ms));
  });
  Check(count, "epoll_wait");
  now_us_ = NowUs();
  for (int i = 0; i < count; ++i) {
    const uint64_t tag = events[i].data.u64;
    if (tag == kSignals) {
      while (signals_.Read()) stop_ = true;
    } else if (tag == kInput) {
      OnInput();
    } else {
      Place& place = places_[tag];
      place.connection->OnEvents(events[i].events, now_us_);
      Attend(place);
    }
  }
}

void Load::OnInput() {
  std::array<char, 256> buffer;
  const ssize_t size =
      RetryInterrupted([&] { return read(STDIN_FILENO, buffer.data(), buffer.size()); });
  if (size <= 0) {
    epoll_ctl(epoll_.Get(), EPOLL_CTL_DEL, STDIN_FILENO, nullptr);
    return;
  }
  input_.append(buffer.data(), static_cast<size_t>(size));
  for (size_t end; (end = input_.find('\n')) != std::string::npos; input_.erase(0, end + 1)) {
    const std::string_view line = std::string_view(input_).substr(0, end);
    if (line == "use") {
      ++uses_wanted_;
    } else if (line == "tell") {
      Tell();
    } else {
      std::cerr << "witness: not understood: '" << line << "'\n";
    }
  }
}

void Load::Tell() const {
  std::cerr << "witness: told " +
                   JsonReport(options_, account_, journal_, {begun_us_, now_us_}, -1);
}

void Load::RunTimers() {
  while (!timers_.empty() && timers_.top().first <= now_us_) {
    Place& place = places_[static_cast<size_t>(timers_.top().second)];
    timers_.pop();
    Attend(place);
  }
}

void Load::CheckTimeouts() {
  if (now_us_ < next_timeout_check_us_) return;
  next_timeout_check_us_ = now_us_ + kTimeoutCheck;
  for (Place& place : places_) {
    const Connection::State before = place.connection->GetState();
    place.connection->CheckTimeout(now_us_);
    if (place.connection->GetState() != before) Attend(place);
  }
}

// Tells who started the witness how far it is.
void Load::Announce() {
  if (!announced_ && not_announced_ == 0) {
    announced_ = true;
    std::cerr << "witness: ready\n";
  }
  if (!announced_ || in_use_ > 0 || phase_ != Phase::kRun) return;
  if (use_under_way_) std::cerr << "witness: used\n";
  use_under_way_ = uses_wanted_ > 0;
  if (use_under_way_) {
    --uses_wanted_;
    UseResting();
  }
}

bool Load::RunIsOver() const {
  if (stop_ || taken_ >= limit_) return true;
  if (options_.seconds && static_cast<double>(now_us_ - begun_us_) >= *options_.seconds * kSecond)
    return true;
  if (options_.reconnect) return false;
  return std::all_of(places_.begin(), places_.end(), [](const Place& place) {
    const Connection& connection = *place.connection;
    return connection.GetState() == Connection::State::kClosed && connection.EverMade();
  });
}

bool Load::AllAtRest() const {
  return in_use_ == 0 && std::none_of(places_.begin(), places_.end(), [](const Place& place) {
           return place.connection->GetState() == Connection::State::kBusy;
         });
}

void Load::NextPhase() {
  if (phase_ == Phase::kRun && RunIsOver()) phase_ = Phase::kDrain;
  if (phase_ == Phase::kDrain && AllAtRest()) {
    ended_us_ = now_us_;
    phase_ = Phase::kLastUse;
    UseResting();
  }
  done_ = phase_ == Phase::kLastUse && in_use_ == 0;
}

void Load::Attend(Place& place) {
  if (place.not_before_us > now_us_) return;
  Connection& connection = *place.connection;
  NoteOutcome(place);
  if (connection.GetState() == Connection::State::kClosed) Reconnect(place);
  if (connection.GetState() == Connection::State::kReady) {
    SendNext(place);
  } else if (connection.HoldsBack()) {
    connection.SendRest(now_us_);
  }
}

void Load::NoteOutcome(Place& place) {
  const Connection::State state = place.connection->GetState();
  if (state == Connection::State::kBusy || state == Connection::State::kConnecting) return;
  if (place.begun && !place.announced) {
    place.announced = true;
    --not_announced_;
  }
  if (place.in_use && !place.due) {
    place.in_use = false;
    --in_use_;
  }
}

void Load::Reconnect(Place& place) {
  Connection& connection = *place.connection;
  if (connection.TakeRefusal()) {
    Refuse(place);
    return;
  }
  if (!MaySend(place)) return;
  if (!options_.reconnect && connection.EverMade()) {
    place.due = false;
    NoteOutcome(place);
  } else if (!connection.Connect(now_us_)) {
    Postpone(place, now_us_ + kSecond / 1000);
  } else if (connection.TakeRefusal()) {
    Refuse(place);
  }
}

// A request was due and could not even be sent.
void Load::Refuse(Place& place) {
  if (!MaySend(place)) return;
  const Request request = {numbers_++, now_us_, 0};
  if (!place.resting) ++taken_;
  account_.Refuse();
  journal_.Write(request, place.connection->Index(), Outcome::kRefused, 0, now_us_);
  place.due = false;
  NoteOutcome(place);
  Postpone(place, now_us_ + kRetry);
}

bool Load::MaySend(const Place& place) const {
  if (place.resting) return place.due;
  return phase_ == Phase::kRun && taken_ < limit_;
}

void Load::SendNext(Place& place) {
  if (!MaySend(place)) return;
  Connection& connection = *place.connection;
  uint64_t count = 1;
  if (!place.resting) {
    count = std::min(static_cast<uint64_t>(options_.pipeline), limit_ - taken_);
    if (WaitsForTurn(place, count)) return;
    taken_ += count;
  }
  place.due = false;
  place.begun = true;
  connection.Send(numbers_, count, now_us_);
  numbers_ += count;
  if (connection.HoldsBack()) Postpone(place, now_us_ + options_.split_ms * 1000LL);
}

// Under --max_rate all connections stand in one line; each gets its turn, and then sends.
bool Load::WaitsForTurn(Place& place, uint64_t count) {
  if (options_.max_rate == 0) return false;
  if (place.has_turn) {
    place.has_turn = false;
    return false;
  }
  const double turn_us = std::max(next_turn_us_, static_cast<double>(now_us_));
  next_turn_us_ = turn_us + static_cast<double>(count) * kSecond / options_.max_rate;
  if (turn_us <= static_cast<double>(now_us_)) return false;
  place.has_turn = true;
  Postpone(place, std::llround(turn_us));
  return true;
}

void Load::Postpone(Place& place, int64_t until_us) {
  place.not_before_us = until_us;
  timers_.emplace(until_us, place.connection->Index());
}

void Load::UseResting() {
  for (Place& place : places_) {
    if (!place.resting) continue;
    place.due = true;
    place.in_use = true;
    ++in_use_;
    Attend(place);
  }
}

}  // namespace graceful
