#include "integration_tests/witness/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>

namespace graceful {

namespace {

using nlohmann::ordered_json;

double PerSecond(const Account& account, const Span& span) {
  const double seconds = span.Seconds();
  return seconds > 0 ? static_cast<double>(account.Ok() + account.Allowed()) / seconds : 0;
}

ordered_json Latencies(const Latency& latency) {
  return {{"min", latency.Min()},
          {"p50", latency.Percentile(0.50)},
          {"p99", latency.Percentile(0.99)},
          {"max", latency.Max()}};
}

ordered_json Ids(const Journal& journal) {
  ordered_json unanswered = ordered_json::array();
  for (const auto& [id, reason] : journal.UnansweredIds()) {
    unanswered.push_back({{"id", id}, {"reason", reason}});
  }
  return {{"answered", journal.AnsweredIds()}, {"unanswered", std::move(unanswered)}};
}

std::string Row(std::string_view name, uint64_t count) {
  return fmt::format("  {:<28}{:>12}\n", name, count);
}

// Most rows are 0 in a good run, and only hide those that are not.
std::string RowUnlessZero(std::string_view name, uint64_t count) {
  return count == 0 ? "" : Row(name, count);
}

}  // namespace

std::string JsonReport(const Options& options, const Account& account, const Journal& journal,
                       const Span& span, int indent) {
  ordered_json allowed = ordered_json::object();
  for (const auto& [status, count] : account.AllowedByStatus()) {
    allowed[std::to_string(status)] = count;
  }
  ordered_json report = {
      {"requests", account.Requests()},
      {"sent", account.Sent()},
      {"ok", account.Ok()},
      {"allowed", std::move(allowed)},
      {"reset", account.Reset()},
      {"truncated", account.Truncated()},
      {"wrong", account.Wrong()},
      {"refused", account.Refused()},
      {"timed_out", account.TimedOut()},
      {"unasked", account.UnaskedFor()},
      {"lost", account.Lost()},
      {"connections",
       {{"busy", options.connections},
        {"resting", options.idle},
        {"connects", account.Connects()},
        {"closed", account.Closed()},
        {"closes_announced", account.ClosesAnnounced()},
        {"closes_idle", account.ClosesIdle()},
        {"closes_busy", account.ClosesBusy()},
        {"closes_by_witness", account.ClosesByWitness()}}},
      {"latency_us", Latencies(account.Latencies())},
      {"longest_pause_us", account.LongestPauseUs()},
      {"longest_pause_begin_us", account.LongestPauseBeginUs()},
      {"begun_us", span.begun_us},
      {"ended_us", span.ended_us},
      {"seconds", span.Seconds()},
      {"requests_per_second", PerSecond(account, span)},
      {"descriptions", account.Descriptions()},
  };
  if (!options.ids.empty()) report["ids"] = Ids(journal);
  if (options.tally) report["bodies"] = account.Tallies();
  // A description quotes what a server sent, and that need not be UTF-8.
  return report.dump(indent, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

std::string TextReport(const Account& account, const Span& span) {
  std::string text = "requests\n" + Row("ok", account.Ok());
  for (const auto& [status, count] : account.AllowedByStatus()) {
    text += Row(fmt::format("allowed status {}", status), count);
  }
  text += RowUnlessZero("reset, no byte of a response", account.Reset());
  text += RowUnlessZero("truncated", account.Truncated());
  text += RowUnlessZero("wrong", account.Wrong());
  text += RowUnlessZero("connection refused", account.Refused());
  text += RowUnlessZero("timed out", account.TimedOut());
  text += RowUnlessZero("responses nobody asked for", account.UnaskedFor());
  text += "connections\n" + Row("made", account.Connects());
  text += RowUnlessZero("closed, announced", account.ClosesAnnounced());
  text += RowUnlessZero("closed while idle", account.ClosesIdle());
  text += RowUnlessZero("closed with requests on it", account.ClosesBusy());
  text += RowUnlessZero("closed by the witness", account.ClosesByWitness());
  const Latency& latency = account.Latencies();
  text += "time\n";
  text += fmt::format("  {:.1f} requests per second for {:.2f} s\n", PerSecond(account, span),
                      span.Seconds());
  text +=
      fmt::format("  latency: {} us at least, half {} us, 99 % {} us, {} us at most\n",
                  latency.Min(), latency.Percentile(0.50), latency.Percentile(0.99), latency.Max());
  text += fmt::format("  longest pause without any response: {} us\n", account.LongestPauseUs());
  for (const std::string& description : account.Descriptions()) text += description + "\n";
  text += fmt::format("{} requests, {} lost, ", account.Requests(), account.Lost());
  if (account.Wrong() > 0) text += fmt::format("{} wrong, ", account.Wrong());
  if (account.UnaskedFor() > 0) text += fmt::format("{} unasked, ", account.UnaskedFor());
  text += fmt::format("{} connections closed\n", account.Closed());
  return text;
}

}  // namespace graceful
