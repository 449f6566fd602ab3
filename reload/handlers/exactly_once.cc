// A task whose effect happens exactly once, though the task itself may run twice.
//
//   POST /deposit   the body is a name, one deposit of 1 for it: "done NAME"
//
// A worker that is killed after its effect and before anybody has heard of it leaves a task that is
// run again. So the effect and the task's id are written in one transaction: whoever comes second
// finds the id, and leaves the effect alone. It works with whatever can do both in one step; here
// it is SQLite, in the file that the setting ledger_file names.

#include <sqlite3.h>

#include <stdexcept>
#include <string>
#include <string_view>

#include "reload/handler.h"

namespace {

constexpr char kSchema[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE IF NOT EXISTS done (task TEXT PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS deposit (name TEXT);"
    "CREATE TABLE IF NOT EXISTS account (balance INTEGER);"
    "INSERT INTO account SELECT 0 WHERE NOT EXISTS (SELECT * FROM account);";

sqlite3* database = nullptr;

void Check(int outcome) {
  if (outcome != SQLITE_OK && outcome != SQLITE_DONE) {
    throw std::runtime_error(sqlite3_errmsg(database));
  }
}

// Runs one statement with at most one value in it. How many rows it changed.
int Run(const char* sql, std::string_view value = {}) {
  sqlite3_stmt* statement = nullptr;
  Check(sqlite3_prepare_v2(database, sql, -1, &statement, nullptr));
  sqlite3_bind_text(statement, 1, value.data(), static_cast<int>(value.size()), SQLITE_STATIC);
  sqlite3_step(statement);
  Check(sqlite3_finalize(statement));  // it repeats the step's error
  return sqlite3_changes(database);
}

}  // namespace

void OnWorkerStart(int, const graceful::Worker& worker) {
  if (!worker.IsTaskWorker()) return;
  const std::string path(worker.Setting("ledger_file"));
  Check(sqlite3_open(path.c_str(), &database));
  Check(sqlite3_busy_timeout(database, 10'000));  // task workers write one after another
  Check(sqlite3_exec(database, kSchema, nullptr, nullptr, nullptr));
}

void OnTask(const graceful::Task& task, std::string& result) {
  Run("BEGIN IMMEDIATE");
  try {
    if (Run("INSERT OR IGNORE INTO done VALUES (?1)", task.id) == 1) {
      Run("INSERT INTO deposit VALUES (?1)", task.payload);
      Run("UPDATE account SET balance = balance + 1");
    }
    Run("COMMIT");
  } catch (...) {
    sqlite3_exec(database, "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
  result = "done " + std::string(task.payload);
}

// Answered when the task has finished, with its result: no OnFinish() is needed for that.
void OnRequest(const graceful::Request& request, graceful::Response& response) {
  if (request.method != "POST" || request.Path() != "/deposit" || request.body.empty()) {
    response.status = 404;
    return;
  }
  response.Defer(request.worker.StartTask(request.body));
}
