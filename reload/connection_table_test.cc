#include "reload/connection_table.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>

#include "signals/check.h"
#include "signals/children.h"
#include "signals/unique_fd.h"

namespace graceful {
namespace {

TEST(ConnectionTableTest, ARecordIsSmallEnoughForIdleConnections) {
  EXPECT_LE(sizeof(Record), 128u);
}

TEST(ConnectionTableTest, ACommitIsSeenWholeOrNotAtAll) {
  ConnectionTable table(16, 1 << 20);
  Record& record = table.At(3);
  EXPECT_EQ(record.Get().state, State::kFree);
  record.Commit({.state = State::kResting});
  Progress changed = record.Get();
  changed.in_end = 7;
  EXPECT_EQ(record.Get().in_end, 0u) << "not committed yet";
  record.Commit(changed);
  EXPECT_EQ(record.Get().in_end, 7u);
  EXPECT_EQ(record.Get().state, State::kResting);
}

TEST(ConnectionTableTest, OutlivesTheProcessThatWroteIt) {
  ConnectionTable table(16, 1 << 20);
  const pid_t pid = Check(fork(), "fork");
  if (pid == 0) {
    table.RaiseHighWater(5);
    table.At(5).Commit({.state = State::kHeld, .deaths = 1});
    raise(SIGKILL);
  }
  EXPECT_EQ(WaitFor(pid).Describe(), "was killed by SIGKILL");
  EXPECT_EQ(table.HighWater(), 6);
  EXPECT_EQ(table.At(5).Get().state, State::kHeld);
  EXPECT_EQ(table.At(5).Get().deaths, 1);
}

TEST(ConnectionTableTest, ConsumeKeepsTheBufferForWhatIsLeft) {
  Progress progress;
  progress.in = {4, 1};
  progress.in_end = 30;
  progress.deaths = 1;
  EXPECT_FALSE(progress.Consume(10));
  EXPECT_EQ(progress.in_begin, 10u);
  EXPECT_EQ(progress.deaths, 0) << "the next request has killed nobody";
  EXPECT_EQ(progress.Consume(20).page, 4u);
  EXPECT_FALSE(progress.in);
  EXPECT_EQ(progress.in_end, 0u);
}

TEST(ConnectionTableTest, DeadlinesCompareAcrossTheWrapOfTheClock) {
  EXPECT_TRUE(Passed(5, 5));
  EXPECT_FALSE(Passed(6, 5));
  EXPECT_TRUE(Passed(0xfffffff0u, 10));
  EXPECT_FALSE(Passed(10, 0xfffffff0u));
  ConnectionTable table(1, 4096);
  table.ExpectDeadline(500);
  table.ExpectDeadline(900);
  EXPECT_EQ(table.NextDeadline(), 500u);
  table.ExpectDeadline(100);
  EXPECT_EQ(table.NextDeadline(), 100u);
}

// What recovery stands on: the kernel notes in shared memory how much a call took, and a process
// that is killed in or right after the call has either both or neither.
TEST(ConnectionTableTest, TheKernelNotesHowMuchADeadProcessSent) {
  ConnectionTable table(16, 1 << 20);
  for (int round = 0; round < 200; ++round) {
    int ends[2];
    Check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
    const UniqueFd here(ends[0]);
    const UniqueFd there(ends[1]);
    IoNote& note = table.Note();
    note.message.msg_len = 0;
    const pid_t pid = Check(fork(), "fork");
    if (pid == 0) {
      char byte = 'x';
      note.vector = {&byte, 1};
      note.message = {};
      note.message.msg_hdr.msg_iov = &note.vector;
      note.message.msg_hdr.msg_iovlen = 1;
      sendmmsg(there.Get(), &note.message, 1, MSG_DONTWAIT);
      for (;;) pause();
    }
    usleep(static_cast<useconds_t>(round % 20 * 20));  // anywhere: before, in, after the call
    kill(pid, SIGKILL);
    WaitFor(pid);
    char buffer[2];
    const ssize_t arrived = recv(here.Get(), buffer, sizeof buffer, MSG_DONTWAIT);
    EXPECT_EQ(note.message.msg_len, arrived == 1 ? 1u : 0u);
  }
}

}  // namespace
}  // namespace graceful
