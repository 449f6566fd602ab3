#include "signals/lessons/children.h"

#include <gtest/gtest.h>

namespace graceful {
namespace {

TEST(ChildrenLessonTest, OneSignalStandsForManyAndOnlyTheLoopReapsAll) {
  const ChildrenEnd found = FindHowChildrenEnd();
  EXPECT_EQ(found.zombies, kChildren);
  EXPECT_EQ(found.signals, 1);
  EXPECT_EQ(found.left_by_one_wait, kChildren - 1);
  EXPECT_EQ(found.reaped_by_loop, kChildren - 1);
  EXPECT_EQ(found.left_by_loop, 0);
  EXPECT_EQ(found.known_when_ignored, 0);
}

TEST(ChildrenLessonTest, APidfdTellsOfTheEndAndNamesNobodyElse) {
  const PidfdTells found = FindWhatPidfdTells();
  EXPECT_FALSE(found.readable_while_it_runs);
  EXPECT_TRUE(found.signalled_while_it_runs);
  EXPECT_TRUE(found.readable_as_zombie);
  EXPECT_FALSE(found.signalled_when_reaped);
}

}  // namespace
}  // namespace graceful
