#include "reload/tasks/sqlite_task_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace graceful {

namespace {

// "GDtq" in the database's header (PRAGMA application_id): whose it is.
constexpr int kApplicationId = 0x47447471;

constexpr char kSchema[] =
    "CREATE TABLE task (place INTEGER PRIMARY KEY, id INTEGER NOT NULL, state INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, payload BLOB NOT NULL, result BLOB NOT NULL);";

void BindBytes(sqlite3_stmt* statement, int index, const std::string& bytes) {
  sqlite3_bind_blob64(statement, index, bytes.data(), bytes.size(), SQLITE_STATIC);
}

std::string Column(sqlite3_stmt* statement, int index) {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, index));
  return bytes == nullptr
             ? std::string()
             : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement, index)));
}

}  // namespace

void SqliteTaskStore::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void SqliteTaskStore::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

SqliteTaskStore::SqliteTaskStore(const std::string& path) : path_(path) {
  sqlite3* database = nullptr;
  constexpr int kFlags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int opened = sqlite3_open_v2(path.c_str(), &database, kFlags, nullptr);
  database_.reset(database);
  if (opened != SQLITE_OK) Fail();
  Configure();
  begin_ = Prepare("BEGIN IMMEDIATE");
  commit_ = Prepare("COMMIT");
  add_ = Prepare("INSERT INTO task VALUES (?1, ?2, ?3, ?4, ?5, x'')");
  update_ = Prepare(
      "UPDATE task SET state = ?2, attempts = ?3, payload = ?4, result = ?5 WHERE place = ?1");
  remove_ = Prepare("DELETE FROM task WHERE place = ?1");
}

SqliteTaskStore::~SqliteTaskStore() = default;

void SqliteTaskStore::Configure() {
  // Before WAL: then no shared memory file is needed, and nobody else gets in.
  Run("PRAGMA locking_mode = EXCLUSIVE");
  const std::string check = Ask("PRAGMA quick_check(1)");
  if (check != "ok") throw std::runtime_error(path_ + ": the database is damaged: " + check);
  const std::string owner = Ask("PRAGMA application_id");
  if (owner == "0" && Ask("SELECT count(*) FROM sqlite_schema") == "0") {
    Run(fmt::format("BEGIN; {} PRAGMA application_id = {}; COMMIT", kSchema, kApplicationId)
            .c_str());
  } else if (owner != std::to_string(kApplicationId)) {
    throw std::runtime_error(path_ + ": the database is not a task queue's; choose another file");
  }
  if (const std::string mode = Ask("PRAGMA journal_mode = WAL"); mode != "wal") {
    throw std::runtime_error(path_ + ": no write-ahead log is possible here, but " + mode);
  }
  Run("PRAGMA synchronous = FULL");
}

std::vector<StoredTask> SqliteTaskStore::Load() {
  const Statement rows =
      Prepare("SELECT place, id, state, attempts, payload, result FROM task ORDER BY place");
  std::vector<StoredTask> tasks;
  int outcome;
  while ((outcome = sqlite3_step(rows.get())) == SQLITE_ROW) {
    StoredTask task;
    task.place = static_cast<uint64_t>(sqlite3_column_int64(rows.get(), 0));
    task.id = static_cast<TaskId>(sqlite3_column_int64(rows.get(), 1));
    task.state = static_cast<TaskState>(sqlite3_column_int(rows.get(), 2));
    task.attempts = sqlite3_column_int(rows.get(), 3);
    task.payload = Column(rows.get(), 4);
    task.result = Column(rows.get(), 5);
    place_ = std::max(place_, task.place);
    tasks.push_back(std::move(task));
  }
  if (outcome != SQLITE_DONE) Fail();
  return tasks;
}

void SqliteTaskStore::Write(std::span<const TaskChange> changes) {
  try {
    Step(begin_);
    for (const TaskChange& change : changes) Apply(change);
    Step(commit_);
  } catch (...) {
    // Some errors have rolled it back already; this fails then, and that is well.
    sqlite3_exec(database_.get(), "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

void SqliteTaskStore::Apply(const TaskChange& change) {
  StoredTask& task = *change.task;
  const auto bind = [](const Statement& to, int index, uint64_t number) {
    sqlite3_bind_int64(to.get(), index, static_cast<sqlite3_int64>(number));
  };
  switch (change.kind) {
    case TaskChange::Kind::kAdd:
      task.place = ++place_;
      bind(add_, 1, task.place);
      bind(add_, 2, task.id);
      bind(add_, 3, static_cast<uint64_t>(task.state));
      bind(add_, 4, static_cast<uint64_t>(task.attempts));
      BindBytes(add_.get(), 5, task.payload);
      return Step(add_);
    case TaskChange::Kind::kUpdate:
      bind(update_, 1, task.place);
      bind(update_, 2, static_cast<uint64_t>(task.state));
      bind(update_, 3, static_cast<uint64_t>(task.attempts));
      BindBytes(update_.get(), 4, task.payload);
      BindBytes(update_.get(), 5, task.result);
      return Step(update_);
    case TaskChange::Kind::kRemove:
      bind(remove_, 1, task.place);
      return Step(remove_);
  }
}

void SqliteTaskStore::Run(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) Fail();
}

// The first column of the first row.
std::string SqliteTaskStore::Ask(const char* sql) {
  const Statement statement = Prepare(sql);
  if (sqlite3_step(statement.get()) != SQLITE_ROW) Fail();
  return Column(statement.get(), 0);
}

SqliteTaskStore::Statement SqliteTaskStore::Prepare(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK) {
    Fail();
  }
  return Statement(statement);
}

void SqliteTaskStore::Step(const Statement& statement) {
  sqlite3_step(statement.get());
  if (sqlite3_reset(statement.get()) != SQLITE_OK) Fail();  // it repeats the step's error
}

void SqliteTaskStore::Fail() const {
  std::string text = path_ + ": " + sqlite3_errmsg(database_.get());
  const int error = sqlite3_system_errno(database_.get());
  const int code = sqlite3_errcode(database_.get());
  if (code == SQLITE_BUSY) {
    text = path_ + ": another process uses this database";
  } else if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB) {
    text += "; repair it with `sqlite3 FILE .recover`, or move it away";
  } else if (error != 0) {
    text += fmt::format(" ({})", std::strerror(error));
  }
  throw std::runtime_error(text);
}

}  // namespace graceful
