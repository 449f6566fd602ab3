#include "signals/lessons/who_gets_it.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace graceful {
namespace {

using Seen = std::vector<Sighting>;

constexpr pid_t kKernel = 0;

class WhoGetsItTest : public testing::Test {
 protected:
  static void SetUpTestSuite() { found_ = FindWhoGetsIt(); }
  static inline WhoGotIt found_;
};

TEST_F(WhoGetsItTest, AKeyGoesToTheForegroundGroupAloneAndTheKernelSendsIt) {
  const Sightings interrupted = {{Actor::kSort, Seen{{SIGINT, kKernel}}},
                                 {Actor::kLess, Seen{{SIGINT, kKernel}}}};
  EXPECT_EQ(found_.ctrl_c, interrupted);
  const Sightings quit = {{Actor::kSort, Seen{{SIGQUIT, kKernel}}},
                          {Actor::kLess, Seen{{SIGQUIT, kKernel}}}};
  EXPECT_EQ(found_.ctrl_backslash, quit);
}

TEST_F(WhoGetsItTest, KillReachesOneProcess) {
  EXPECT_EQ(found_.kill_pid, (Sightings{{Actor::kLess, Seen{{SIGTERM, found_.me}}}}));
}

TEST_F(WhoGetsItTest, KillWithANegativePidReachesTheWholeGroupInTheBackgroundToo) {
  const Sightings expected = {{Actor::kMake, Seen{{SIGTERM, found_.me}}},
                              {Actor::kCompiler, Seen{{SIGTERM, found_.me}}}};
  EXPECT_EQ(found_.kill_group, expected);
}

TEST_F(WhoGetsItTest, TheKeyFollowsTheForeground) {
  const Sightings expected = {{Actor::kMake, Seen{{SIGINT, kKernel}}},
                              {Actor::kCompiler, Seen{{SIGINT, kKernel}}}};
  EXPECT_EQ(found_.ctrl_c_after_fg, expected);
}

// The daemon was in the shell's group until it called setsid(2).
TEST_F(WhoGetsItTest, AtThePromptTheShellAloneIsInTheForeground) {
  EXPECT_EQ(found_.ctrl_c_at_prompt, (Sightings{{Actor::kShell, Seen{{SIGINT, kKernel}}}}));
}

}  // namespace
}  // namespace graceful
