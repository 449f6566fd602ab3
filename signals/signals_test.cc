#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <system_error>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/signal_fd.h"
#include "signals/signal_names.h"
#include "signals/unique_fd.h"

namespace graceful {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1; }

// Forks a child that runs `body` and ends with what it returns.
template <typename Body>
pid_t Fork(Body body) {
  const pid_t pid = Check(fork(), "fork");
  if (pid == 0) _exit(body());
  return pid;
}

TEST(UniqueFdTest, ClosesWhatItOwnsOnce) {
  const int raw = Check(open("/dev/null", O_RDONLY | O_CLOEXEC), "open", "/dev/null");
  {
    UniqueFd first(raw);
    UniqueFd second(std::move(first));
    EXPECT_FALSE(first);  // NOLINT(bugprone-use-after-move): what a move leaves is the question
    EXPECT_EQ(second.Get(), raw);
    EXPECT_TRUE(IsOpen(raw));
  }
  EXPECT_FALSE(IsOpen(raw));
}

TEST(UniqueFdTest, ReleaseLeavesItOpen) {
  UniqueFd owner(Check(open("/dev/null", O_RDONLY | O_CLOEXEC), "open", "/dev/null"));
  UniqueFd again(owner.Release());
  EXPECT_TRUE(IsOpen(again.Get()));
}

TEST(CheckTest, NamesCallArgumentAndReason) {
  try {
    Check(open("/no/such/file", O_RDONLY | O_CLOEXEC), "open", "/no/such/file");
    FAIL() << "did not throw";
  } catch (const std::system_error& error) {
    EXPECT_STREQ(error.what(), "open /no/such/file: No such file or directory");
    EXPECT_EQ(error.code().value(), ENOENT);
  }
}

TEST(SignalNamesTest, BothWays) {
  EXPECT_EQ(SignalName(SIGTERM), "SIGTERM");
  EXPECT_EQ(SignalName(SIGRTMIN), "SIGRTMIN");
  EXPECT_EQ(SignalName(SIGRTMIN + 2), "SIGRTMIN+2");
  EXPECT_EQ(SignalName(4711), "signal 4711");
  for (const char* name : {"SIGUSR1", "USR1", "usr1", "10"}) {
    EXPECT_EQ(SignalNumber(name), SIGUSR1) << name;
  }
  for (const char* name : {"", "SIG", "0", "-1", "65", "10x", "SIGNOTHING"}) {
    EXPECT_EQ(SignalNumber(name), std::nullopt) << name;
  }
}

TEST(SignalNamesTest, EveryNumberSurvivesTheRoundTrip) {
  for (int number = 1; number <= SIGRTMAX; ++number) {
    if (number > SIGSYS && number < SIGRTMIN) continue;  // the C library's own
    EXPECT_EQ(SignalNumber(SignalName(number)), number);
  }
}

TEST(SignalFdTest, QueuesInsteadOfInterrupting) {
  SignalFd signals({SIGUSR1, SIGUSR2});
  EXPECT_EQ(signals.Read(), std::nullopt);
  kill(getpid(), SIGUSR1);
  kill(getpid(), SIGUSR1);  // coalesces with the first
  kill(getpid(), SIGUSR2);
  const auto first = signals.Read();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->ssi_signo, static_cast<unsigned>(SIGUSR1));
  EXPECT_EQ(first->ssi_pid, static_cast<unsigned>(getpid()));
  const auto second = signals.Read();
  ASSERT_TRUE(second.has_value());
  EXPECT_EQ(second->ssi_signo, static_cast<unsigned>(SIGUSR2));
  EXPECT_EQ(signals.Read(), std::nullopt);
}

TEST(SignalFdTest, WhatNohupIgnoredStaysIgnored) {
  const pid_t pid = Fork([] {
    signal(SIGHUP, SIG_IGN);
    SignalFd signals({SIGHUP});
    raise(SIGHUP);
    return signals.Read() ? 1 : 0;
  });
  EXPECT_EQ(WaitFor(pid).Describe(), "exited with status 0");
}

TEST(SignalFdTest, AnIgnoredSigchldDoesNotTakeTheChildrenAway) {
  const pid_t pid = Fork([] {
    signal(SIGCHLD, SIG_IGN);
    SignalFd signals({SIGCHLD});
    const pid_t child = Fork([] { return 0; });
    return WaitFor(child).Cleanly() ? 0 : 1;
  });
  EXPECT_EQ(WaitFor(pid).Describe(), "exited with status 0");
}

TEST(SignalFdTest, RestoreSignalsGivesAChildTheDefaults) {
  const pid_t pid = Fork([] {
    SignalFd signals({SIGTERM});
    IgnoreUntilExec({SIGPIPE});
    RestoreSignals();
    struct sigaction pipe_action;
    sigaction(SIGPIPE, nullptr, &pipe_action);
    if (pipe_action.sa_handler != SIG_DFL) return 1;
    raise(SIGTERM);
    return 2;
  });
  EXPECT_EQ(WaitFor(pid).Describe(), "was killed by SIGTERM");
}

TEST(SignalFdTest, WhatIsIgnoredUntilExecHasItsDefaultAfterIt) {
  const pid_t pid = Fork([] {
    IgnoreUntilExec({SIGHUP});
    raise(SIGHUP);
    execl("/bin/sh", "sh", "-c", "kill -HUP $$", nullptr);
    return 1;
  });
  EXPECT_EQ(WaitFor(pid).Describe(), "was killed by SIGHUP");
}

TEST(ChildrenTest, OneSignalStandsForManyChildrenAndAllAreReaped) {
  SignalFd signals({SIGCHLD});
  constexpr int kChildren = 20;
  for (int i = 0; i < kChildren; ++i) Fork([] { return 3; });
  int reaped = 0;
  while (reaped < kChildren) {
    pollfd waiting = {signals.Get(), POLLIN, 0};
    ASSERT_EQ(poll(&waiting, 1, 10'000), 1) << "only " << reaped << " children were reaped";
    while (signals.Read()) {
    }
    for (const Ended& ended : ReapChildren()) {
      EXPECT_EQ(ended.Describe(), "exited with status 3");
      EXPECT_FALSE(ended.Cleanly());
      ++reaped;
    }
  }
  EXPECT_TRUE(ReapChildren().empty());
}

TEST(ChildrenTest, PidfdTellsOfTheEndAndNeverNamesAnother) {
  const pid_t pid = Fork([] {
    pause();
    return 0;
  });
  const UniqueFd pidfd = OpenPidfd(pid);
  pollfd waiting = {pidfd.Get(), POLLIN, 0};
  EXPECT_EQ(poll(&waiting, 1, 0), 0);
  EXPECT_TRUE(SignalPidfd(pidfd, SIGKILL));
  EXPECT_EQ(poll(&waiting, 1, 10'000), 1);
  EXPECT_EQ(WaitFor(pid).Describe(), "was killed by SIGKILL");
  EXPECT_FALSE(SignalPidfd(pidfd, SIGKILL));
}

}  // namespace
}  // namespace graceful
