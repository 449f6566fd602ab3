#include "reload/tasks/task_queue.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "reload/tasks/memory_task_store.h"
#include "reload/tasks/sqlite_task_store.h"
#include "signals/check.h"
#include "signals/children.h"
#include "signals/unique_fd.h"

namespace graceful {
namespace {

// Both stores, and what it takes to open each again as a successor does.
struct Place {
  virtual ~Place() = default;
  virtual std::unique_ptr<TaskStore> Open() = 0;
};

struct MemoryPlace : Place {
  TaskMemory memory{100, 64 * 1024};
  std::unique_ptr<TaskStore> Open() override { return std::make_unique<MemoryTaskStore>(memory); }
};

std::string FreshPath() {
  std::string path = testing::TempDir() + "tasks.db";
  for (const char* end : {"", "-wal", "-journal"}) std::filesystem::remove(path + end);
  return path;
}

struct SqlitePlace : Place {
  std::string path = FreshPath();
  std::unique_ptr<TaskStore> Open() override { return std::make_unique<SqliteTaskStore>(path); }
};

class TaskQueueTest : public testing::TestWithParam<const char*> {
 protected:
  TaskQueueTest() {
    if (GetParam() == std::string_view("memory")) {
      place_ = std::make_unique<MemoryPlace>();
    } else {
      place_ = std::make_unique<SqlitePlace>();
    }
    Reopen();
  }

  // As after a death: what was not committed is gone.
  void Reopen() {
    queue_.reset();
    store_.reset();
    store_ = place_->Open();
    queue_ = std::make_unique<TaskQueue>(*store_, limits_);
  }

  TaskId LeaseId() {
    const StoredTask* task = queue_->Lease();
    return task == nullptr ? 0 : task->id;
  }

  TaskQueue::Limits limits_ = {.tasks = 50, .results = 3};
  std::unique_ptr<Place> place_;
  std::unique_ptr<TaskStore> store_;
  std::unique_ptr<TaskQueue> queue_;
};

INSTANTIATE_TEST_SUITE_P(Stores, TaskQueueTest, testing::Values("memory", "sqlite"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(TaskQueueTest, ATaskIsNobodysBeforeItIsCommitted) {
  queue_->Add(1, "one");
  EXPECT_EQ(queue_->Lease(), nullptr);
  EXPECT_EQ(queue_->Commit(), "");
  const StoredTask* task = queue_->Lease();
  ASSERT_NE(task, nullptr);
  EXPECT_EQ(task->payload, "one");
  EXPECT_EQ(queue_->Lease(), nullptr);
  queue_->Finish(1, true, "result");
  EXPECT_EQ(queue_->Find(1)->state, TaskState::kDone);
  EXPECT_EQ(queue_->Find(1)->result, "result");
}

TEST_P(TaskQueueTest, WhatIsCommittedOutlivesTheProcess) {
  for (TaskId id = 1; id <= 5; ++id) queue_->Add(id, "payload " + std::to_string(id));
  queue_->Commit();
  EXPECT_EQ(LeaseId(), 1u);
  EXPECT_EQ(LeaseId(), 2u);
  EXPECT_EQ(LeaseId(), 3u);
  queue_->Finish(1, true, "done");
  queue_->Finish(2, false, "why");
  queue_->Died(3, "killed");
  queue_->Commit();
  queue_->Add(6, "never accepted");
  Reopen();
  EXPECT_EQ(queue_->Find(1)->result, "done");
  EXPECT_EQ(queue_->Find(1)->state, TaskState::kDone);
  EXPECT_EQ(queue_->Find(2)->state, TaskState::kFailed);
  EXPECT_EQ(queue_->Find(2)->result, "why");
  EXPECT_EQ(queue_->Find(6), nullptr);
  const StoredTask* third = queue_->Lease();
  ASSERT_NE(third, nullptr);
  EXPECT_EQ(third->id, 3u);
  EXPECT_EQ(third->attempts, 1);
  EXPECT_EQ(third->payload, "payload 3");
  EXPECT_EQ(LeaseId(), 4u);
  EXPECT_EQ(LeaseId(), 5u);
  EXPECT_EQ(LeaseId(), 0u);
}

TEST_P(TaskQueueTest, ATaskThatKillsOnceTooOftenIsADeadLetter) {
  queue_->Add(1, "one");
  queue_->Add(2, "two");
  queue_->Commit();
  for (int death = 1; death <= 2; ++death) {
    EXPECT_EQ(LeaseId(), 1u) << "it is the first again";
    EXPECT_FALSE(queue_->Died(1, "why"));
  }
  EXPECT_EQ(LeaseId(), 1u);
  EXPECT_TRUE(queue_->Died(1, "it was killed by SIGSEGV"));
  EXPECT_EQ(LeaseId(), 2u);
  queue_->Commit();
  Reopen();
  ASSERT_EQ(queue_->Dead().size(), 1u);
  EXPECT_EQ(queue_->Dead()[0]->result, "it was killed by SIGSEGV");
  EXPECT_EQ(queue_->Dead()[0]->payload, "one");
  EXPECT_FALSE(queue_->Retry(2));
  EXPECT_TRUE(queue_->Retry(1));
  EXPECT_EQ(LeaseId(), 2u);
  EXPECT_EQ(LeaseId(), 1u);
  for (int death = 1; death <= 3; ++death) {
    EXPECT_EQ(queue_->Died(1, "again"), death == 3) << "all attempts are before it again";
    if (death < 3) {
      EXPECT_EQ(LeaseId(), 1u);
    }
  }
  EXPECT_TRUE(queue_->Drop(1));
  queue_->Commit();
  Reopen();
  EXPECT_EQ(queue_->Find(1), nullptr);
}

TEST_P(TaskQueueTest, WhatWasNotBegunIsTheNextAgain) {
  for (TaskId id = 1; id <= 3; ++id) queue_->Add(id, "");
  queue_->Commit();
  LeaseId();
  LeaseId();
  queue_->Return(2);
  queue_->Return(1);
  EXPECT_EQ(LeaseId(), 1u);
  EXPECT_EQ(queue_->Find(1)->attempts, 0);
}

TEST_P(TaskQueueTest, OldResultsAreForgotten) {
  for (TaskId id = 1; id <= 5; ++id) queue_->Add(id, "");
  queue_->Commit();
  for (TaskId id = 1; id <= 5; ++id) queue_->Finish(LeaseId(), true, "r");
  queue_->Commit();
  EXPECT_NE(queue_->Find(1), nullptr) << "for who waits for it";
  queue_->ForgetOldResults();
  queue_->Commit();
  EXPECT_EQ(queue_->Find(2), nullptr);
  EXPECT_NE(queue_->Find(3), nullptr);
  Reopen();
  EXPECT_EQ(queue_->Find(2), nullptr);
  EXPECT_NE(queue_->Find(3), nullptr);
}

TEST_P(TaskQueueTest, IsBounded) {
  EXPECT_TRUE(queue_->HasRoom(50));
  EXPECT_FALSE(queue_->HasRoom(51));
  for (TaskId id = 1; id <= 50; ++id) queue_->Add(id, "");
  EXPECT_FALSE(queue_->HasRoom(1));
  queue_->Commit();
  queue_->Finish(LeaseId(), true, "");
  EXPECT_TRUE(queue_->HasRoom(1));
}

TEST(MemoryTaskStoreTest, FullRefusesWhatIsNewAndKeepsWhatIsThere) {
  TaskMemory memory(100, 8 * BufferPool::kPageSize);
  MemoryTaskStore store(memory);
  TaskQueue queue(store, {});
  const std::string page(BufferPool::kPageSize, 'x');  // too large for a slip's own room
  for (TaskId id = 1; id <= 6; ++id) queue.Add(id, page);
  EXPECT_EQ(queue.Commit(), "");
  queue.Finish(queue.Lease()->id, true, page);
  EXPECT_EQ(queue.Commit(), "");
  for (TaskId id = 11; id <= 13; ++id) queue.Add(id, page);
  EXPECT_EQ(queue.Commit(), "") << "a result is forgotten for a task";
  EXPECT_EQ(queue.Find(1), nullptr);
  for (TaskId id = 21; id <= 22; ++id) queue.Add(id, page);
  EXPECT_NE(queue.Commit().find("full"), std::string::npos);
  EXPECT_EQ(queue.Find(21), nullptr);
  EXPECT_EQ(queue.Waiting(), 8u);
  EXPECT_EQ(TaskQueue(store, {}).Waiting(), 8u);
}

TEST(MemoryTaskStoreTest, AFullMemoryIsGivenBackWhole) {
  TaskMemory memory(100, 64 * BufferPool::kPageSize);
  MemoryTaskStore store(memory);
  TaskQueue queue(store, {.results = 2});
  for (TaskId id = 1; id <= 2000; ++id) {
    queue.Add(id, std::string(id % 5 * 3000, 'p'));
    ASSERT_EQ(queue.Commit(), "") << id;
    queue.Finish(queue.Lease()->id, true, std::string(id % 3 * 5000, 'r'));
    queue.ForgetOldResults();
  }
}

std::string ErrorOf(const std::string& path) {
  try {
    SqliteTaskStore store(path);
    store.Load();
    return "";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

TEST(SqliteTaskStoreTest, ErrorsNameTheFileAndTheReason) {
  EXPECT_NE(ErrorOf("/no/such/folder/x.db").find("/no/such/folder/x.db"), std::string::npos);
  EXPECT_NE(ErrorOf("/no/such/folder/x.db").find("No such file"), std::string::npos);

  const std::string path = FreshPath();
  std::ofstream(path) << std::string(9000, 'x');
  EXPECT_NE(ErrorOf(path).find("not a database"), std::string::npos) << ErrorOf(path);

  FreshPath();
  sqlite3* other = nullptr;
  sqlite3_open(path.c_str(), &other);
  sqlite3_exec(other, "CREATE TABLE people (name)", nullptr, nullptr, nullptr);
  sqlite3_close(other);
  EXPECT_NE(ErrorOf(path).find("not a task queue"), std::string::npos) << ErrorOf(path);
}

TEST(SqliteTaskStoreTest, OneServerAtATime) {
  const std::string path = FreshPath();
  int ends[2];
  Check(pipe2(ends, O_CLOEXEC), "pipe2");
  const UniqueFd in(ends[0]);
  UniqueFd out(ends[1]);
  const pid_t other = Check(fork(), "fork");
  if (other == 0) {
    const SqliteTaskStore store(path);
    out.Reset();
    for (;;) pause();
  }
  out.Reset();
  char byte;
  EXPECT_EQ(read(in.Get(), &byte, 1), 0) << "the other has it open";
  EXPECT_NE(ErrorOf(path).find("another process uses"), std::string::npos) << ErrorOf(path);
  kill(other, SIGKILL);
  WaitFor(other);
  EXPECT_EQ(ErrorOf(path), "");
}

TEST(SqliteTaskStoreTest, ADamagedDatabaseIsNoticed) {
  const std::string path = FreshPath();
  {
    SqliteTaskStore store(path);
    TaskQueue queue(store, {});
    for (TaskId id = 1; id <= 100; ++id) queue.Add(id, std::string(1000, 'x'));
    queue.Commit();
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(4096, '\xff');
  }
  EXPECT_NE(ErrorOf(path).find(path), std::string::npos);
  EXPECT_NE(ErrorOf(path).find("damaged"), std::string::npos) << ErrorOf(path);
}

TEST(TaskIdTest, IsSixteenDigits) {
  EXPECT_EQ(TaskIdText(0xabc), "0000000000000abc");
  EXPECT_EQ(ParseTaskId("0000000000000abc"), TaskId{0xabc});
  for (const char* bad : {"", "abc", "0000000000000000", "0000000000000abcd", "000000000000 abc"}) {
    EXPECT_FALSE(ParseTaskId(bad)) << bad;
  }
  EXPECT_NE(NewTaskId(), NewTaskId());
}

}  // namespace
}  // namespace graceful
