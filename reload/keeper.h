#ifndef GRACEFUL_RELOAD_KEEPER_H_
#define GRACEFUL_RELOAD_KEEPER_H_

#include <memory>
#include <vector>

#include "reload/channel.h"
#include "reload/log.h"
#include "reload/settings.h"
#include "reload/slot.h"

namespace graceful {

// What a keeper begins with, all of it its own.
struct KeeperStart {
  int number;
  std::vector<UniqueFd> listeners;
  UniqueFd inbox;
  UniqueFd tasks;   // to the task keeper, if there is one
  Channel channel;  // to the master
  SlotStatus& status;
  const Settings& settings;
  Log log;
};

// A keeper's whole life. It owns a slot and does nothing with it: it clones the workers that do,
// one after another, and sees to it that one of them holds the slot. It never runs a handler's
// code, so it does not crash with it. The conversation with the master:
//
//   master: "reload"  with the handler's image, settings as text, the generation as number
//   keeper: "replaced" the new worker serves and the old one has gone
//        or "failed"   with the reason; the old worker, if there was one, serves on
//   master: "stop"    finish all requests; the keeper goes when it is done
//   master: "kill"    kill the workers, then go
//   master: "reopen"  the log goes on in the attached file       keeper: "reopened"
//   master: "give"    send the connections to the attached inboxes; then the keeper goes
[[noreturn]] void RunKeeper(KeeperStart start);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_KEEPER_H_
