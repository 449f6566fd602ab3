#ifndef GRACEFUL_RELOAD_SETTINGS_H_
#define GRACEFUL_RELOAD_SETTINGS_H_

#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace graceful {

// All that can be set, by a flag or by the same word in one TOML file. settings.cc holds the one
// list of names and descriptions; `--help` prints it.
struct Settings {
  // Where to listen.
  std::vector<std::string> listen = {"127.0.0.1"};
  int port = 8080;
  int backlog = 4096;

  // What to run.
  std::string handler;  // empty: the echo handler beside the server
  std::string ledger_file;
  int worker_num = 2;
  uint64_t max_request = 0;
  int task_worker_num = 0;
  std::string task_queue = "memory";
  std::string user;
  std::string group;

  // Limits. Times in seconds, sizes in bytes.
  double start_timeout = 10;
  double max_wait_time = 30;
  double worker_timeout = 60;
  double header_timeout = 10;
  double body_timeout = 30;
  double send_timeout = 60;
  uint32_t max_header = 16 * 1024;
  uint32_t max_body = 8 * 1024 * 1024;
  uint64_t buffer_size = 64 * 1024 * 1024;
  int max_connection = 100'000;
  double task_timeout = 60;
  int task_attempts = 3;
  uint32_t task_max_size = 1024 * 1024;
  uint32_t task_queue_max = 10'000;
  uint64_t task_queue_size = 256 * 1024 * 1024;
  uint32_t task_result_max = 10'000;

  // The server as a process.
  bool daemonize = false;
  std::string pid_file;
  std::string log_file;
  std::string log_level = "info";
  std::string log_format = "auto";
  std::string control_socket;
  std::string config;

  // The file of a queue in SQLite; empty for one in memory.
  std::string TaskDatabase() const;

  // The value of a setting by name, as text; empty when there is none. For handlers.
  std::string Text(const std::string& name) const;
};

// The command line asked for nothing but words (--help, --version): print them and exit 0.
struct OnlyWords {
  std::string text;
};

// A setting is unknown or its value is bad. what() is one line that names it. Exit status 2.
class SettingsError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Reads flags, and the file that --config names; a flag wins over the file. Relative paths are from
// `directory`, and absolute in the result. Throws OnlyWords or SettingsError.
Settings ReadSettings(const std::vector<std::string>& arguments,
                      const std::filesystem::path& directory);

// To send settings to another process, and back.
std::string Encode(const Settings& settings);
Settings DecodeSettings(const std::string& text);

// Seconds, as a setting has them, in milliseconds.
inline uint32_t Milliseconds(double seconds) { return static_cast<uint32_t>(seconds * 1000); }

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_SETTINGS_H_
