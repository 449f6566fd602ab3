#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_OPTIONS_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>

namespace graceful {

// What the witness was asked to do.
struct Options {
  std::string url = "http://127.0.0.1:8080/";
  std::string unix_path;  // connect here; `url` then gives Host and path only

  int connections = 64;  // kept busy
  int idle = 0;          // additional ones that rest
  std::optional<double> seconds;
  std::optional<uint64_t> requests;
  double max_rate = 0;  // requests per second on all connections; 0: as fast as they are answered
  int pipeline = 1;     // requests in one write
  int split_ms = 0;     // the pause between a write's two halves; 0: in one piece
  int timeout_ms = 10'000;
  bool reconnect = true;
  bool close = false;  // one request a connection

  std::string method;               // empty: POST with a body, GET without
  std::optional<std::string> body;  // the bytes themselves, read from @FILE already
  uint64_t body_size = 0;           // random bytes instead
  uint64_t seed = 1;
  std::string ids;  // each body is a unique id with this prefix

  // What a right response is: its status (0: any 2xx), and its body unless any will do.
  int expect_status = 0;
  bool expect_echo = false;
  std::optional<std::string> expect_body;
  std::set<int> allow;  // statuses that count for themselves instead of as wrong

  bool json = false;
  bool tally = false;  // answers are counted by body
  std::string ids_file;
  std::string timeline_file;
};

// Reads the command line. Prints help, or one line about what is wrong, and exits: with 0 for
// --help and --version, with 2 for a wrong command line.
Options ParseOptions(int argc, char** argv);

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_OPTIONS_H_
