#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_CONNECTION_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_CONNECTION_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "integration_tests/witness/account.h"
#include "integration_tests/witness/address.h"
#include "integration_tests/witness/journal.h"
#include "integration_tests/witness/response_reader.h"
#include "integration_tests/witness/workload.h"
#include "signals/unique_fd.h"

namespace graceful {

// What all connections share.
struct Scene {
  const Options& options;
  const Address& address;
  const Workload& workload;
  Account& account;
  Journal& journal;
  const UniqueFd& epoll;
};

// Compares a response's body with what is expected while it comes.
class BodyCheck : public BodySink {
 public:
  void Start(Body expected);
  void OnBody(std::string_view piece) override;

  bool Right() const { return same_ && size_ == expected_.Size(); }
  // "got 'abc...' (7 bytes), expected 6 bytes", for a wrong one.
  std::string Describe() const;
  // Its first 200 bytes.
  const std::string& Beginning() const { return beginning_; }

 private:
  Body expected_;
  bool same_ = true;
  size_t size_ = 0;
  std::string beginning_;
};

// One place for a connection to the server, with the requests that are under way on it. Knows how
// to send and read, and enters each outcome into the account; when to do what is up to Load. Made
// anew after a loss, it keeps its number.
class Connection {
 public:
  enum class State {
    kClosed,
    kConnecting,
    kReady,  // nothing outstanding
    kBusy,
  };

  // Events come from epoll with `index` as their data.
  Connection(const Scene& scene, int index);
  Connection(const Connection&) = delete;

  // Begins to connect. False when the server's backlog is full: to be tried again soon.
  // Throws std::system_error when there are no descriptors left.
  bool Connect(int64_t now_us);

  // Has connecting failed since this was last asked?
  bool TakeRefusal() { return std::exchange(refused_, false); }

  // Was there ever a connection?
  bool EverMade() const { return ever_made_; }

  // Begins the requests of these numbers, first to last, in one write, or its first half.
  // Only when kReady.
  void Send(uint64_t first, uint64_t count, int64_t now_us);

  // Writes the second half.
  void SendRest(int64_t now_us);
  bool HoldsBack() const { return held_back_ > 0; }

  void OnEvents(uint32_t events, int64_t now_us);

  // Gives up what has waited for longer than timeout_ms.
  void CheckTimeout(int64_t now_us);

  State GetState() const { return state_; }
  int Index() const { return index_; }

 private:
  bool Outstanding() const { return answered_ < batch_.size(); }
  void Watch(uint32_t events, int operation);
  void FinishConnect();
  void FailConnect(int error);
  void Write(int64_t now_us);
  void ReadAll(int64_t now_us);
  void TakeResponses(int64_t now_us);
  void Judge(int64_t now_us);
  void End(Outcome outcome, int status, int64_t now_us);
  void EndAll(Outcome first, Outcome rest, int64_t now_us);
  void Describe(const std::string& what);
  // The server has closed it (`orderly`), or it broke.
  void OnLost(bool orderly, int64_t now_us);
  void Close();

  const Scene& scene_;
  const int index_;
  UniqueFd socket_;
  State state_ = State::kClosed;
  bool refused_ = false;
  bool ever_made_ = false;
  bool connect_later_ = false;
  int64_t connect_begun_us_ = 0;
  uint32_t watched_ = 0;

  std::string out_;       // requests to be written
  size_t written_ = 0;    // of out_
  size_t held_back_ = 0;  // bytes at its end that wait for SendRest()

  std::vector<Request> batch_;
  size_t answered_ = 0;  // of batch_
  BodyCheck body_check_;
  ResponseReader reader_;
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_CONNECTION_H_
