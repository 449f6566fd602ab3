#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_LOAD_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_LOAD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "integration_tests/witness/connection.h"
#include "signals/signal_fd.h"

namespace graceful {

// Decides what each connection does and when: the loop of the witness.
//
// Run: busy connections send again as soon as they are answered. Drain: nothing new, what is
// under way is finished. Last use: the resting connections are used once more.
class Load {
 public:
  // `signals` ends the run early. Throws std::system_error.
  Load(const Options& options, const Address& address, const Workload& workload, Account& account,
       Journal& journal, SignalFd& signals);

  // Throws std::system_error.
  void Run();

  // Of CLOCK_MONOTONIC: when the first request could begin, and when the last one had ended.
  int64_t BegunUs() const { return begun_us_; }
  int64_t EndedUs() const { return ended_us_; }

 private:
  enum class Phase { kRun, kDrain, kLastUse };

  // A connection and what it is for.
  struct Place {
    std::unique_ptr<Connection> connection;
    bool resting = false;
    bool due = false;           // a resting one: to be used
    bool in_use = false;        // a resting one: from then until it was
    bool has_turn = false;      // under --max_rate
    bool begun = false;         // has sent a request
    bool announced = false;     // and had the first one's outcome
    int64_t not_before_us = 0;  // nothing to do until then
  };

  bool Watch(int fd, uint64_t tag);
  void WaitForEvents();
  void OnInput();
  void Tell() const;
  void RunTimers();
  void CheckTimeouts();
  void Announce();
  void NextPhase();
  bool RunIsOver() const;
  bool AllAtRest() const;

  // Gives the connection what it should do next, if anything.
  void Attend(Place& place);
  void NoteOutcome(Place& place);
  void Reconnect(Place& place);
  void Refuse(Place& place);
  void SendNext(Place& place);
  bool MaySend(const Place& place) const;
  bool WaitsForTurn(Place& place, uint64_t count);
  void Postpone(Place& place, int64_t until_us);
  void UseResting();

  const Options& options_;
  const uint64_t limit_;  // of requests on busy connections
  SignalFd& signals_;
  Account& account_;
  Journal& journal_;
  UniqueFd epoll_;
  Scene scene_;
  std::vector<Place> places_;

  Phase phase_ = Phase::kRun;
  bool stop_ = false;  // a signal has come
  bool done_ = false;
  int64_t now_us_ = 0;
  int64_t begun_us_ = 0;
  int64_t ended_us_ = 0;
  int64_t next_timeout_check_us_ = 0;
  double next_turn_us_ = 0;  // under --max_rate
  uint64_t numbers_ = 0;     // given to requests so far
  uint64_t taken_ = 0;       // of limit_

  bool announced_ = false;
  size_t not_announced_;  // connections without their first outcome
  size_t in_use_ = 0;     // resting connections
  int uses_wanted_ = 0;   // lines `use`, the one that is being served not counted
  bool use_under_way_ = false;
  std::string input_;

  using Timer = std::pair<int64_t, int>;  // when, which connection
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_LOAD_H_
