#ifndef GRACEFUL_RELOAD_WORKER_IDENTITY_H_
#define GRACEFUL_RELOAD_WORKER_IDENTITY_H_

#include <map>
#include <string>
#include <string_view>

#include "reload/handler.h"
#include "reload/settings.h"

namespace graceful {

// What every worker tells its handler of itself, a task worker too.
class WorkerIdentity : public Worker {
 public:
  WorkerIdentity(int number, int generation, const Settings& settings)
      : number_(number), generation_(generation), settings_(settings) {}

  int Slot() const override { return number_; }
  int Generation() const override { return generation_; }

  // Made once each: the view must outlive this call.
  std::string_view Setting(std::string_view name) const override {
    const auto [entry, added] = texts_.try_emplace(std::string(name));
    if (added) entry->second = settings_.Text(entry->first);
    return entry->second;
  }

 private:
  const int number_;
  const int generation_;
  const Settings& settings_;
  mutable std::map<std::string, std::string, std::less<>> texts_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_WORKER_IDENTITY_H_
