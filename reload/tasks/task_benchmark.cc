// What handing work over costs: `bazel run //reload:task_benchmark`, and `--help`.
//
// Memory tasks a second beside a bare echo between two processes over a socket pair, and durable
// tasks a second beside a bare SQLite loop that writes as many at a time. Both sides keep as many
// messages outstanding; they run in turn, several rounds, and what counts is the ratio.

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "reload/handler_image.h"
#include "reload/tasks/task_client.h"
#include "reload/tasks/task_seat.h"
#include "signals/check.h"
#include "signals/children.h"

namespace graceful {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  int rounds = 5;
  double seconds = 1;
  int outstanding = 64;
  int size = 100;
  std::string folder = std::filesystem::temp_directory_path();
  std::string handler;
  bool json = false;
};

double SecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

std::pair<UniqueFd, UniqueFd> MakePair() {
  int ends[2];
  Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// Messages a second that come back from another process.
double EchoRate(const Options& options) {
  auto [here, there] = MakePair();
  const pid_t child = Check(fork(), "fork");
  if (child == 0) {
    here.Reset();
    char bytes[kMessageBytes];
    for (;;) {
      const ssize_t size = recv(there.Get(), bytes, sizeof bytes, 0);
      if (size <= 0 || send(there.Get(), bytes, static_cast<size_t>(size), 0) != size) _exit(0);
    }
  }
  there.Reset();
  const std::string message(sizeof(TaskCall) + sizeof(TaskHead) + options.size, 'x');
  char bytes[kMessageBytes];
  uint64_t count = 0;
  const auto begin = Clock::now();
  for (int i = 0; i < options.outstanding; ++i) {
    Check(send(here.Get(), message.data(), message.size(), 0), "send");
  }
  while (SecondsSince(begin) < options.seconds) {
    for (int i = 0; i < 64; ++i, ++count) {
      Check(recv(here.Get(), bytes, sizeof bytes, 0), "recv");
      Check(send(here.Get(), message.data(), message.size(), 0), "send");
    }
  }
  const double rate = static_cast<double>(count) / SecondsSince(begin);
  here.Reset();
  WaitFor(child);
  return rate;
}

struct TaskRate {
  double rate = 0;
  double group = 0;  // tasks in one commit
};

// A task keeper with one task worker, called as by a slot.
class Tasks {
 public:
  Tasks(const Options& options, const std::string& queue) : options_(options) {
    settings_.task_worker_num = 1;
    settings_.task_queue = queue;
    settings_.handler = options.handler;
    seat_.emplace(settings_);
    auto [in, out] = MakePair();
    inbox_ = std::move(out);
    seat_->Start(settings_, {{0, in.Get()}},
                 Log(STDERR_FILENO, "benchmark", {Level::kWarning, {}}));
    Message reload = {.what = "reload", .text = Encode(settings_), .number = 1};
    reload.fds.push_back(ReadHandlerImage(options.handler));
    seat_->ToKeeper().Send(reload);
    const std::optional<Message> answer = seat_->ToKeeper().Receive();
    if (!answer || answer->what != "replaced") {
      throw std::runtime_error(answer ? answer->text : "the task keeper has died");
    }
  }
  ~Tasks() { seat_->Kill(); }

  TaskRate Measure() {
    TaskClient client(seat_->Calls(), 0, settings_.task_max_size);
    const std::string payload = "0 " + std::string(options_.size, 'x');
    const auto start = [&] {
      const TaskId id = client.Start(payload);
      if (!client.Send(0, id, TaskWait::kFinished)) throw std::runtime_error("not handed over");
    };
    const uint64_t commits = seat_->Status().commits;
    uint64_t count = 0;
    const auto begin = Clock::now();
    for (int i = 0; i < options_.outstanding; ++i) start();
    while (SecondsSince(begin) < options_.seconds) {
      const uint64_t finished = ReceiveResults();
      for (uint64_t i = 0; i < finished; ++i) start();
      count += finished;
    }
    const double seconds = SecondsSince(begin);
    const uint64_t written = seat_->Status().commits - commits;
    for (int left = options_.outstanding; left > 0;) left -= static_cast<int>(ReceiveResults());
    return {static_cast<double>(count) / seconds,
            static_cast<double>(count) / static_cast<double>(std::max<uint64_t>(written, 1))};
  }

 private:
  uint64_t ReceiveResults() {
    char bytes[kMessageBytes];
    const ssize_t size = Check(recv(inbox_.Get(), bytes, sizeof bytes, 0), "recv");
    uint64_t count = 0;
    for (size_t at = sizeof(InboxKind); at < static_cast<size_t>(size); ++count) {
      TaskNotice notice;
      std::memcpy(&notice, bytes + at, sizeof notice);
      if (notice.state != TaskState::kDone) throw std::runtime_error("a task was not done");
      at += sizeof notice + notice.size;
    }
    return count;
  }

  const Options& options_;
  Settings settings_;
  std::optional<TaskSeat> seat_;
  UniqueFd inbox_;
};

void Run(sqlite3* database, const char* sql) {
  if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    throw std::runtime_error(sqlite3_errmsg(database));
  }
}

// Tasks a second that a loop writes which does nothing else: each comes, is done, and a former
// result is forgotten, so many of them in one transaction.
double SqliteRate(const Options& options, int group) {
  const std::string path = options.folder + "/task_benchmark_bare.db";
  sqlite3* database = nullptr;
  sqlite3_open(path.c_str(), &database);
  Run(database, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL");
  Run(database, "PRAGMA synchronous = FULL");
  Run(database,
      "CREATE TABLE task (place INTEGER PRIMARY KEY, id INTEGER NOT NULL, state INTEGER NOT NULL,"
      " attempts INTEGER NOT NULL, payload BLOB NOT NULL, result BLOB NOT NULL)");
  const auto prepare = [database](const char* sql) {
    sqlite3_stmt* statement = nullptr;
    sqlite3_prepare_v2(database, sql, -1, &statement, nullptr);
    return statement;
  };
  sqlite3_stmt* add = prepare("INSERT INTO task VALUES (?1, ?1, 1, 0, ?2, x'')");
  sqlite3_stmt* finish = prepare(
      "UPDATE task SET state = 3, payload = x'', result = ?2 "
      "WHERE place = ?1");
  sqlite3_stmt* forget = prepare("DELETE FROM task WHERE place = ?1");
  const std::string bytes(options.size + 2, 'x');
  const auto step = [&](sqlite3_stmt* statement, int64_t place) {
    sqlite3_bind_int64(statement, 1, place);
    sqlite3_bind_blob(statement, 2, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
    sqlite3_step(statement);
    if (sqlite3_reset(statement) != SQLITE_OK) throw std::runtime_error(sqlite3_errmsg(database));
  };
  int64_t count = 0;
  const auto begin = Clock::now();
  while (SecondsSince(begin) < options.seconds) {
    Run(database, "BEGIN IMMEDIATE");
    for (int i = 1; i <= group; ++i) step(add, count + i);
    for (int i = 1; i <= group; ++i) step(finish, count + i - group);
    for (int i = 1; i <= group; ++i) step(forget, count + i - 10'000);
    Run(database, "COMMIT");
    count += group;
  }
  const double rate = static_cast<double>(count) / SecondsSince(begin);
  for (sqlite3_stmt* statement : {add, finish, forget}) sqlite3_finalize(statement);
  sqlite3_close(database);
  std::filesystem::remove(path);
  return rate;
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Series {
  std::vector<double> bare, tasks, ratios;

  void Add(double bare_rate, double task_rate) {
    bare.push_back(bare_rate);
    tasks.push_back(task_rate);
    ratios.push_back(task_rate / bare_rate);
  }

  nlohmann::json Json() const {
    return {{"bare", bare}, {"tasks", tasks}, {"ratio", Median(ratios)}};
  }

  void Print(const char* bare_name, const char* name, double goal) const {
    fmt::print("{:<34} {:>10.0f} a second\n{:<34} {:>10.0f} a second\n", bare_name, Median(bare),
               name, Median(tasks));
    fmt::print("ratio {:.2f}, from {:.2f} to {:.2f} (at least {} is the goal)\n\n", Median(ratios),
               *std::min_element(ratios.begin(), ratios.end()),
               *std::max_element(ratios.begin(), ratios.end()), goal);
  }
};

void RemoveDatabase(const std::string& path) {
  for (const char* end : {"", "-wal", "-journal"}) std::filesystem::remove(path + end);
}

int Run(const Options& options) {
  Series memory;
  Series durable;
  double group = 0;
  const std::string path = options.folder + "/task_benchmark.db";
  for (int round = 0; round < options.rounds; ++round) {
    const double echo = EchoRate(options);
    memory.Add(echo, Tasks(options, "memory").Measure().rate);
    RemoveDatabase(path);
    const TaskRate rate = Tasks(options, "sqlite:" + path).Measure();
    group = std::max(1.0, rate.group);
    durable.Add(SqliteRate(options, static_cast<int>(std::lround(group))), rate.rate);
  }
  RemoveDatabase(path);
  if (options.json) {
    std::cout << nlohmann::json({{"memory", memory.Json()},
                                 {"durable", durable.Json()},
                                 {"group", group},
                                 {"outstanding", options.outstanding},
                                 {"size", options.size},
                                 {"rounds", options.rounds}})
                     .dump(2)
              << "\n";
    return 0;
  }
  fmt::print("{} outstanding, {} bytes each; medians of {} rounds in turn\n\n", options.outstanding,
             options.size, options.rounds);
  memory.Print("echo over a socket pair", "tasks, task_queue memory", 0.7);
  durable.Print(fmt::format("SQLite, {:.0f} in a transaction", group).c_str(),
                "tasks, task_queue sqlite", 0.8);
  return 0;
}

}  // namespace
}  // namespace graceful

int main(int argc, char** argv) {
  graceful::Options options;
  options.handler = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
                    "handlers/echo.so";
  CLI::App app("What handing work over to task workers costs, beside bare loops.",
               "task_benchmark");
  app.add_option("--rounds", options.rounds, "how often each is measured, in turn")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "of each measurement")->capture_default_str();
  app.add_option("--outstanding", options.outstanding, "tasks that are not answered yet")
      ->check(CLI::Range(1, 200))
      ->capture_default_str();
  app.add_option("--size", options.size, "bytes of a task, and of its result")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  app.add_option("--folder", options.folder, "of the databases: whose disk is measured")
      ->capture_default_str();
  app.add_flag("--json", options.json, "for programs");
  CLI11_PARSE(app, argc, argv);
  try {
    signal(SIGPIPE, SIG_IGN);
    return graceful::Run(options);
  } catch (const std::exception& error) {
    fmt::print(stderr, "task_benchmark: {}\n", error.what());
    return 1;
  }
}
