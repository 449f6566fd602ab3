#include "signals/lessons/inherited.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace graceful {
namespace {

using Set = std::set<int>;

TEST(InheritedTest, ForkKeepsAllButWhatIsPending) {
  const Inherited found = FindInherited();
  const SignalState before = {
      .blocked = {SIGTERM}, .pending = {SIGTERM}, .ignored = {SIGUSR1}, .caught = {SIGUSR2}};
  EXPECT_EQ(found.before, before);
  EXPECT_EQ(found.after_fork.pending, Set{});
  EXPECT_EQ(found.after_fork.blocked, before.blocked);
  EXPECT_EQ(found.after_fork.ignored, before.ignored);
  EXPECT_EQ(found.after_fork.caught, before.caught);
}

TEST(InheritedTest, ExecKeepsAllButTheHandlers) {
  const Inherited found = FindInherited();
  EXPECT_EQ(found.after_exec.caught, Set{});
  EXPECT_EQ(found.after_exec.blocked, found.before.blocked);
  EXPECT_EQ(found.after_exec.pending, found.before.pending);
  EXPECT_EQ(found.after_exec.ignored, found.before.ignored);
}

TEST(InheritedTest, WhatNohupIgnoresItsProgramIgnores) {
  const Nohup found = FindNohup();
  EXPECT_EQ(found.without, "was killed by SIGHUP");
  EXPECT_EQ(found.with, "exited with status 0");
}

}  // namespace
}  // namespace graceful
