#ifndef GRACEFUL_RELOAD_TASKS_SQLITE_TASK_STORE_H_
#define GRACEFUL_RELOAD_TASKS_SQLITE_TASK_STORE_H_

#include <memory>
#include <string>

#include "reload/tasks/task_store.h"

struct sqlite3;
struct sqlite3_stmt;

namespace graceful {

// Keeps tasks in an SQLite database: they survive kill -9 of every process, and a reboot. A
// Write() is one transaction in a write-ahead log that is synced (synchronous=FULL) before it
// returns. The database is locked for as long as this lives, so two servers can't share one.
class SqliteTaskStore : public TaskStore {
 public:
  // Opens or makes the file. Throws std::runtime_error that names it: it can't be written, is in
  // use, is damaged, or holds something else.
  explicit SqliteTaskStore(const std::string& path);
  ~SqliteTaskStore() override;

  std::vector<StoredTask> Load() override;
  void Write(std::span<const TaskChange> changes) override;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  struct Close {
    void operator()(sqlite3* database) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

  void Configure();
  void Run(const char* sql);
  std::string Ask(const char* sql);
  Statement Prepare(const char* sql);
  void Step(const Statement& statement);
  void Apply(const TaskChange& change);
  [[noreturn]] void Fail() const;

  const std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
  Statement begin_, commit_, add_, update_, remove_;
  uint64_t place_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_TASKS_SQLITE_TASK_STORE_H_
