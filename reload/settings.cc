#include "reload/settings.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "reload/nearest_word.h"
#include "signals/version.h"

namespace graceful {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Settings, listen, port, backlog, handler, ledger_file,
                                   worker_num, max_request, user, group, start_timeout,
                                   max_wait_time, worker_timeout, header_timeout, body_timeout,
                                   send_timeout, max_header, max_body, buffer_size, max_connection,
                                   task_worker_num, task_queue, task_timeout, task_attempts,
                                   task_max_size, task_queue_max, task_queue_size, task_result_max,
                                   daemonize, pid_file, log_file, log_level, log_format,
                                   control_socket, config)

namespace {

constexpr double kDay = 24 * 60 * 60;
constexpr std::string_view kSqlite = "sqlite:";

void AddOptions(CLI::App& app, Settings& s) {
  const auto seconds = CLI::Range(0.001, kDay);
  app.set_config("--config", "", "TOML file with any of these settings; a flag wins over it")
      ->group("The server as a process");

  const char* group = "Where to listen";
  app.add_option("--listen", s.listen,
                 "address, address:port, [v6]:port or unix:PATH; may be repeated")
      ->take_all()
      ->capture_default_str()
      ->group(group);
  app.add_option("--port", s.port, "port for addresses that name none; 0: the kernel chooses")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str()
      ->group(group);
  app.add_option("--backlog", s.backlog, "connections that may wait to be accepted, see listen(2)")
      ->check(CLI::Range(1, 65535))
      ->capture_default_str()
      ->group(group);

  group = "What to run";
  app.add_option("--handler", s.handler,
                 "shared object that answers requests; default: the echo handler")
      ->group(group);
  app.add_option("--worker_num", s.worker_num, "number of slots, each with a keeper and a worker")
      ->check(CLI::Range(1, 256))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max_request", s.max_request,
                 "requests after which a worker is replaced, give or take a tenth; 0: never")
      ->capture_default_str()
      ->group(group);
  app.add_option("--task_worker_num", s.task_worker_num,
                 "number of task workers, which run what handlers start with StartTask()")
      ->check(CLI::Range(0, 256))
      ->capture_default_str()
      ->group(group);
  app.add_option("--task_queue", s.task_queue,
                 "where tasks wait: memory (while the server lives) or sqlite:PATH (for good)")
      ->check([](const std::string& text) {
        const bool is_file = text.starts_with(kSqlite) && text.size() > kSqlite.size();
        return text == "memory" || is_file ? "" : "'" + text + "' is not memory or sqlite:PATH";
      })
      ->capture_default_str()
      ->group(group);
  app.add_option("--ledger_file", s.ledger_file, "echo handler: where POST /ledger writes")
      ->group(group);
  app.add_option("--user", s.user, "user to run keepers and workers as (needs root)")->group(group);
  app.add_option("--group", s.group, "group to run them as; default: the user's own")->group(group);

  group = "Limits (times in seconds, sizes in bytes)";
  app.add_option("--start_timeout", s.start_timeout, "for a new worker to become ready")
      ->check(seconds)
      ->capture_default_str()
      ->group(group);
  app.add_option("--max_wait_time", s.max_wait_time,
                 "for a worker to finish what it has in hand at a reload or a stop")
      ->check(seconds)
      ->capture_default_str()
      ->group(group);
  app.add_option("--worker_timeout", s.worker_timeout,
                 "for a handler to answer one request; then its worker is killed, and the request "
                 "answered 503; 0: no limit")
      ->check(CLI::Range(0.0, kDay))
      ->capture_default_str()
      ->group(group);
  app.add_option("--header_timeout", s.header_timeout,
                 "from a request's first byte to the end of its header; then 408")
      ->check(seconds)
      ->capture_default_str()
      ->group(group);
  app.add_option("--body_timeout", s.body_timeout, "between two pieces of a body; then 408")
      ->check(seconds)
      ->capture_default_str()
      ->group(group);
  app.add_option("--send_timeout", s.send_timeout,
                 "for a client to take the next piece of its response; then it is cut off")
      ->check(seconds)
      ->capture_default_str()
      ->group(group);
  app.add_option("--max_header", s.max_header, "request line and header; more: 431")
      ->check(CLI::Range(256u, 1024u * 1024))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max_body", s.max_body, "request body; more: 413")
      ->check(CLI::Range(0u, 1024u * 1024 * 1024))
      ->capture_default_str()
      ->group(group);
  app.add_option("--buffer_size", s.buffer_size,
                 "a slot's memory for requests and responses under way; full: 503")
      ->check(CLI::Range(uint64_t{64} * 1024, uint64_t{64} << 30))
      ->capture_default_str()
      ->group(group);
  app.add_option("--max_connection", s.max_connection,
                 "connections of a slot; also bounded by the limit of open files")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str()
      ->group(group);

  group = "Limits of tasks";
  app.add_option("--task_timeout", s.task_timeout,
                 "for a task to run; then its worker is killed; 0: no limit")
      ->check(CLI::Range(0.0, kDay))
      ->capture_default_str()
      ->group(group);
  app.add_option("--task_attempts", s.task_attempts,
                 "task workers that may die with a task; then it is a dead letter (ctl tasks)")
      ->check(CLI::Range(1, 100))
      ->capture_default_str()
      ->group(group);
  app.add_option("--task_max_size", s.task_max_size, "of a task, and of its result")
      ->check(CLI::Range(1u, 256u * 1024 * 1024))
      ->capture_default_str()
      ->group(group);
  app.add_option("--task_queue_max", s.task_queue_max,
                 "tasks that wait, run or are dead letters; more: 503")
      ->check(CLI::Range(1u, 10'000'000u))
      ->capture_default_str()
      ->group(group);
  app.add_option("--task_queue_size", s.task_queue_size,
                 "task_queue memory: room for tasks and results; full: 503")
      ->check(CLI::Range(uint64_t{64} * 1024, uint64_t{64} << 30))
      ->capture_default_str()
      ->group(group);
  app.add_option("--task_result_max", s.task_result_max,
                 "results that are kept of finished tasks, for who may ask")
      ->check(CLI::Range(0u, 10'000'000u))
      ->capture_default_str()
      ->group(group);

  group = "The server as a process";
  app.add_flag("--daemonize", s.daemonize,
               "go to the background once it serves; output goes to log_file")
      ->group(group);
  app.add_option("--pid_file", s.pid_file, "holds the master's pid, locked while it runs")
      ->group(group);
  app.add_option("--log_file", s.log_file, "where the log goes; default, and '-': standard error")
      ->group(group);
  app.add_option("--log_level", s.log_level, "the least that is written to it")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--log_format", s.log_format,
                 "text, json (one object a line), or auto: text, with priorities and without time "
                 "for systemd's journal")
      ->check(CLI::IsMember({"auto", "text", "json"}))
      ->capture_default_str()
      ->group(group);
  app.add_option("--control_socket", s.control_socket,
                 "where ctl talks to the server; default: named after the port, in a folder of "
                 "the user's own")
      ->group(group);
}

// ", did you mean worker_num?" for "worker_nun"; nothing when no setting is near.
std::string Suggestion(const CLI::App& app, std::string_view word) {
  word = word.substr(0, word.find('='));
  word.remove_prefix(std::min(word.find_first_not_of('-'), word.size()));
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) names.push_back(option->get_single_name());
  const std::string nearest = NearestWord(word, names);
  return nearest.empty() ? "" : ", did you mean " + nearest + "?";
}

std::string FirstLine(std::string text) { return text.substr(0, text.find('\n')); }

// For CLI11, which opens the configuration file from where the process is.
class InDirectory {
 public:
  explicit InDirectory(const std::filesystem::path& directory)
      : before_(std::filesystem::current_path()) {
    std::filesystem::current_path(directory);
  }
  ~InDirectory() {
    std::error_code ignored;
    std::filesystem::current_path(before_, ignored);
  }

 private:
  const std::filesystem::path before_;
};

// The echo handler, which is built beside the server.
std::string DefaultHandler() {
  const auto server = std::filesystem::read_symlink("/proc/self/exe");
  return server.parent_path() / "handlers" / "echo.so";
}

void MakePathsAbsolute(Settings& settings) {
  for (std::string* path : {&settings.handler, &settings.ledger_file, &settings.pid_file,
                            &settings.log_file, &settings.control_socket, &settings.config}) {
    if (!path->empty() && *path != "-") *path = std::filesystem::absolute(*path).lexically_normal();
  }
  if (const std::string file = settings.TaskDatabase(); !file.empty()) {
    settings.task_queue = kSqlite;
    settings.task_queue += std::filesystem::absolute(file).lexically_normal();
  }
  if (settings.handler.empty()) settings.handler = DefaultHandler();
}

}  // namespace

Settings ReadSettings(const std::vector<std::string>& arguments,
                      const std::filesystem::path& directory) {
  const InDirectory in_directory(directory);
  Settings settings;
  CLI::App app(
      "A master/keeper/worker HTTP server whose code is replaced while it serves.\n"
      "Signals to the master: TERM, INT stop · QUIT stops now · USR1 replaces the workers ·\n"
      "USR2 replaces the task workers · TTIN, TTOU one worker more, one fewer ·\n"
      "RTMIN opens the log file again · HUP reads the configuration again (daemon).",
      "server");
  app.set_version_flag("--version", "server " GRACEFUL_VERSION);
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.get_formatter()->column_width(26);
  AddOptions(app, settings);
  // Not prefix-matched, not positional: what is no setting is an error that names it.
  app.allow_extras();
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    throw OnlyWords{app.help()};
  } catch (const CLI::CallForVersion& version) {
    throw OnlyWords{std::string(version.what()) + "\n"};
  } catch (const CLI::ConfigError& error) {
    // "INI was not able to parse NAME": CLI11's words for a key that is no setting.
    const std::string what = FirstLine(error.what());
    const std::string prefix = "INI was not able to parse ";
    if (!what.starts_with(prefix)) throw SettingsError(what);
    const std::string key = what.substr(prefix.size());
    throw SettingsError("unknown setting '" + key + "' in the configuration file" +
                        Suggestion(app, key));
  } catch (const CLI::ParseError& error) {
    throw SettingsError(FirstLine(error.what()));
  }
  if (const auto extras = app.remaining(); !extras.empty()) {
    throw SettingsError("unknown argument '" + extras.front() + "'" +
                        Suggestion(app, extras.front()));
  }
  if (const auto file = app.get_config_ptr()->results(); !file.empty()) {
    settings.config = file.front();
  }
  if (settings.daemonize && settings.log_file == "-") {
    throw SettingsError("log_file '-' is standard error, which a daemon has not: name a file");
  }
  MakePathsAbsolute(settings);
  return settings;
}

std::string Settings::TaskDatabase() const {
  return task_queue.starts_with(kSqlite) ? task_queue.substr(kSqlite.size()) : "";
}

std::string Settings::Text(const std::string& name) const {
  const nlohmann::json all = *this;
  const auto found = all.find(name);
  if (found == all.end()) return {};
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string Encode(const Settings& settings) { return nlohmann::json(settings).dump(); }

Settings DecodeSettings(const std::string& text) {
  return nlohmann::json::parse(text).get<Settings>();
}

}  // namespace graceful
