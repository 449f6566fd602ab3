#ifndef GRACEFUL_RELOAD_WORKER_H_
#define GRACEFUL_RELOAD_WORKER_H_

#include "reload/channel.h"
#include "reload/log.h"
#include "reload/settings.h"
#include "reload/slot.h"

namespace graceful {

// What a new worker begins with. The descriptors are the keeper's too: nothing here closes them.
struct WorkerStart {
  Slot& slot;
  const Settings& settings;
  int generation;
  int image;  // the handler's code, see handler_image.h
  pid_t keeper;
  Channel& channel;  // to the keeper
  const Log& log;    // the keeper's
};

// A worker's whole life, from its clone(2) to its exit. The conversation with its keeper:
//
//   worker: "ready"    the handler is loaded and started      or "failed", with the reason
//   keeper: "take"     the slot is yours; "recover" when the last one died with it, number 1
//                      when it was stuck
//   worker: "tired"    max_request is reached: please replace me
//   keeper: "pass"     finish the request in your hands       worker: "passed", and goes
//   keeper: "drain"    finish all requests and close          worker: "drained", and goes
//   keeper: "give"     send the connections to these inboxes  worker: "given", and goes
[[noreturn]] void RunWorker(const WorkerStart& start);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_WORKER_H_
