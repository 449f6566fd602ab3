#include "signals/lessons/interrupted.h"

#include <gtest/gtest.h>

#include <map>

namespace graceful {
namespace {

class InterruptedTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    for (const Interrupted& row : FindInterrupted()) found_[row.call] = row;
  }
  static inline std::map<std::string, Interrupted> found_;
};

TEST_F(InterruptedTest, WithoutRestartAHandlerInterruptsEveryCall) {
  EXPECT_EQ(found_.size(), 9u);
  for (const auto& [call, row] : found_) EXPECT_EQ(row.handler, Outcome::kEintr) << call;
}

TEST_F(InterruptedTest, RestartHidesItForCallsThatWaitWithoutEnd) {
  for (const char* call : {"read", "accept", "waitpid", "flock"}) {
    EXPECT_EQ(found_.at(call).with_restart, Outcome::kSleepsOn) << call;
  }
}

TEST_F(InterruptedTest, SomeCallsNeverRestart) {
  for (const char* call : {"poll", "select", "epoll_wait", "nanosleep", "recv with SO_RCVTIMEO"}) {
    EXPECT_EQ(found_.at(call).with_restart, Outcome::kEintr) << call;
  }
}

TEST_F(InterruptedTest, StopAndContinueInterruptSomeWithoutAnyHandler) {
  for (const char* call : {"epoll_wait", "recv with SO_RCVTIMEO"}) {
    EXPECT_EQ(found_.at(call).stopped, Outcome::kEintr) << call;
  }
  for (const char* call : {"read", "accept", "waitpid", "flock", "poll", "select", "nanosleep"}) {
    EXPECT_EQ(found_.at(call).stopped, Outcome::kSleepsOn) << call;
  }
}

}  // namespace
}  // namespace graceful
