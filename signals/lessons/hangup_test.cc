#include "signals/lessons/hangup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cerrno>

namespace graceful {
namespace {

const std::vector<Sighting> kHangup = {{SIGHUP, 0}, {SIGCONT, 0}};

TEST(HangupTest, TheKernelTellsTheLeaderThenTheForegroundAndWhoIsStopped) {
  const WhoHeard heard = FindWhoHears();
  EXPECT_EQ(heard.when_it_closed, (Sightings{{Actor::kShell, kHangup}}));
  const Sightings expected = {
      {Actor::kSort, kHangup}, {Actor::kLess, kHangup}, {Actor::kEditor, kHangup}};
  EXPECT_EQ(heard.when_shell_ended, expected);
}

TEST(HangupTest, TheTerminalIsGoneForThoseWhoStillHaveIt) {
  const WhoHeard heard = FindWhoHears();
  EXPECT_EQ(heard.read_result, 0);
  EXPECT_EQ(heard.write_error, EIO);
}

TEST(HangupTest, ByDefaultItKillsWhomItReachesAndNobodyElse) {
  const std::string killed = "was killed by SIGHUP";
  EXPECT_THAT(FindFates(),
              testing::ElementsAre(
                  testing::Pair(Actor::kShell, killed), testing::Pair(Actor::kSort, killed),
                  testing::Pair(Actor::kLess, killed), testing::Pair(Actor::kMake, kLivesOn),
                  testing::Pair(Actor::kCompiler, kLivesOn), testing::Pair(Actor::kEditor, killed),
                  testing::Pair(Actor::kDaemon, kLivesOn)));
}

}  // namespace
}  // namespace graceful
