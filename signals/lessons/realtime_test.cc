#include "signals/lessons/realtime.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>

namespace graceful {
namespace {

TEST(RealtimeTest, EachArrivesWithItsValueTheLowestNumberFirst) {
  const Queued found = FindQueued();
  std::vector<Numbered> expected = found.sent;
  std::stable_sort(expected.begin(), expected.end(),
                   [](const Numbered& a, const Numbered& b) { return a.signal < b.signal; });
  EXPECT_NE(found.sent, expected) << "were sent in order: that proves nothing";
  EXPECT_EQ(found.sent.size(), 9u);
  EXPECT_EQ(found.received, expected);
}

TEST(RealtimeTest, AStandardSignalKeepsItsFirstValueAndDropsTheRest) {
  const Queued found = FindQueued();
  EXPECT_EQ(found.standard_sent.size(), 9u);
  EXPECT_EQ(found.standard_received, (std::vector<Numbered>{{SIGUSR1, 1}}));
}

TEST(RealtimeTest, AFullQueueRefuses) { EXPECT_EQ(FindQueued().error_when_full, EAGAIN); }

}  // namespace
}  // namespace graceful
