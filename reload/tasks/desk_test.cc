#include "reload/tasks/desk.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>
#include <string>

#include "signals/check.h"
#include "signals/children.h"

namespace graceful {
namespace {

StoredTask MakeTask(TaskId id, const std::string& payload = "p") {
  StoredTask task;
  task.id = id;
  task.payload = payload;
  return task;
}

TEST(DeskTest, TasksGoAndResultsCome) {
  Desk desk(100);
  EXPECT_FALSE(desk.Begin());
  desk.Put(MakeTask(7, "work"));
  EXPECT_FALSE(desk.IsRunning());
  const auto work = desk.Begin();
  ASSERT_TRUE(work);
  EXPECT_EQ(work->id, 7u);
  EXPECT_EQ(work->payload, "work");
  ASSERT_TRUE(desk.IsRunning());
  EXPECT_EQ(desk.IsRunning()->id, 7u);
  EXPECT_FALSE(desk.TakeResult());
  desk.Finish(true, "result");
  EXPECT_FALSE(desk.IsRunning());
  const auto result = desk.TakeResult();
  ASSERT_TRUE(result);
  EXPECT_EQ(result->id, 7u);
  EXPECT_TRUE(result->ok);
  EXPECT_EQ(result->text, "result");
  EXPECT_EQ(desk.InHand(), 0u);
}

TEST(DeskTest, WhatWasNotBegunCanBeTakenBack) {
  Desk desk(100);
  for (TaskId id = 1; id <= 4; ++id) desk.Put(MakeTask(id));
  desk.Begin();
  EXPECT_EQ(desk.TakeBack(), (std::vector<TaskId>{4, 3, 2}));
  EXPECT_EQ(desk.InHand(), 1u);
  desk.Put(MakeTask(5));
  desk.Finish(true, "");
  EXPECT_EQ(desk.Begin()->id, 5u);
  desk.Finish(true, "");
  EXPECT_EQ(desk.TakeResult()->id, 1u);
  EXPECT_EQ(desk.TakeResult()->id, 5u);
  EXPECT_TRUE(desk.TakeBack().empty());
}

TEST(DeskTest, IsFullWithAllPlacesTaken) {
  Desk desk(100);
  for (uint32_t i = 0; i < Desk::kPlaces; ++i) {
    EXPECT_TRUE(desk.HasRoom());
    desk.Put(MakeTask(i + 1));
  }
  EXPECT_FALSE(desk.HasRoom());
  desk.Begin();
  desk.Finish(true, "");
  desk.TakeResult();
  EXPECT_TRUE(desk.HasRoom());
}

TEST(DeskTest, AResultThatIsTooLargeIsAFailureThatSaysSo) {
  Desk desk(4096);
  desk.Put(MakeTask(1));
  desk.Begin();
  desk.Finish(true, std::string(5000, 'x'));
  const auto result = desk.TakeResult();
  EXPECT_FALSE(result->ok);
  EXPECT_NE(result->text.find("task_max_size"), std::string::npos);
}

// A worker is killed anywhere, while tasks are put, and taken back: each is in exactly one hand.
TEST(DeskTest, NoTaskIsLostOrTwiceInHandWhenTheWorkerIsKilled) {
  for (int round = 0; round < 100; ++round) {
    Desk desk(100);
    const pid_t worker = Check(fork(), "fork");
    if (worker == 0) {
      for (;;) {
        const auto work = desk.Begin();
        if (work) {
          desk.Finish(true, work->payload);
        } else {
          desk.Wait();
        }
      }
    }
    std::multiset<TaskId> seen;
    TaskId id = 0;
    for (int i = 0; i < 20 + round; ++i) {
      while (desk.HasRoom()) {
        ++id;
        desk.Put(MakeTask(id, std::to_string(id)));
      }
      desk.Wake();
      if (i % 7 == 0) {
        for (const TaskId back : desk.TakeBack()) seen.insert(back);
      }
      while (const auto result = desk.TakeResult()) {
        EXPECT_EQ(result->text, std::to_string(result->id));
        seen.insert(result->id);
      }
    }
    kill(worker, SIGKILL);
    WaitFor(worker);
    while (const auto result = desk.TakeResult()) seen.insert(result->id);
    for (const TaskId back : desk.TakeBack()) seen.insert(back);
    if (const auto running = desk.IsRunning()) seen.insert(running->id);
    EXPECT_EQ(seen.size(), id);
    EXPECT_EQ(std::set<TaskId>(seen.begin(), seen.end()).size(), id);
  }
}

}  // namespace
}  // namespace graceful
