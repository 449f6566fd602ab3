#include "integration_tests/witness/journal.h"

#include <fmt/format.h>

#include <stdexcept>

namespace graceful {

namespace {

std::ofstream OpenFile(const std::string& path) {
  std::ofstream file;
  if (path.empty()) return file;
  file.open(path);
  if (!file) throw std::runtime_error("cannot write '" + path + "'");
  return file;
}

void CloseFile(std::ofstream& file, const std::string& path) {
  if (!file.is_open()) return;
  file.close();
  if (!file) throw std::runtime_error("cannot write all of '" + path + "'");
}

}  // namespace

Journal::Journal(const Options& options, const Workload& workload)
    : options_(options),
      workload_(workload),
      timeline_(OpenFile(options.timeline_file)),
      ids_(OpenFile(options.ids_file)) {}

void Journal::Write(const Request& request, int connection, Outcome outcome, int status,
                    int64_t end_us) {
  if (timeline_.is_open()) {
    timeline_ << fmt::format("{} {} {} {}\n", request.begun_us, end_us, connection,
                             OutcomeName(outcome));
  }
  if (options_.ids.empty()) return;
  std::string id = workload_.Id(request.number);
  if (outcome == Outcome::kOk) {
    if (ids_.is_open()) ids_ << "answered " << id << '\n';
    answered_.push_back(std::move(id));
    return;
  }
  std::string reason = status == 0 ? OutcomeName(outcome)
                                   : fmt::format("{} status {}", OutcomeName(outcome), status);
  if (ids_.is_open()) ids_ << "unanswered " << id << ' ' << reason << '\n';
  unanswered_.push_back({std::move(id), std::move(reason)});
}

void Journal::Finish() {
  CloseFile(timeline_, options_.timeline_file);
  CloseFile(ids_, options_.ids_file);
}

}  // namespace graceful
