#ifndef GRACEFUL_RELOAD_SLOT_H_
#define GRACEFUL_RELOAD_SLOT_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "reload/connection_table.h"
#include "signals/unique_fd.h"

namespace graceful {

// What a slot counts, in memory that the master shares with all: `ctl status` reads it while the
// worker writes. The master makes one for each slot.
struct SlotStatus {
  std::atomic<pid_t> worker;  // the process that holds the slot, 0 while there is none
  std::atomic<int> generation;
  std::atomic<uint32_t> connections;   // open now
  std::atomic<uint32_t> buffer_pages;  // of the pool, taken at the end of the last batch of events
  std::atomic<uint64_t> accepted;
  std::atomic<uint64_t> requests;          // whole requests that were given to the handler
  std::atomic<uint64_t> answered;          // by the handler, the response in the buffer
  std::atomic<uint64_t> refused;           // answered by the server itself with 4xx or 5xx
  std::atomic<uint64_t> failed;            // the handler threw, or answered what can't be sent
  std::atomic<uint64_t> closed_by_peer;    // the client closed, or announced that it would
  std::atomic<uint64_t> closed_by_server;  // closed for a time limit, an error, or a stop
  std::atomic<uint32_t> deaths;            // workers that ended without being asked to
  std::atomic<uint64_t> rerun;             // requests run again after a death
  std::atomic<uint64_t> given_up;          // requests answered 503 after a death
};

// One writer at a time, so a plain load and store is enough.
template <typename Number>
void Count(std::atomic<Number>& counter, Number by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// A slot: the part of the server that stays while workers come and go. Its keeper makes it; its
// workers, which share the keeper's descriptor table, use it by the same numbers.
struct Slot {
  int number;
  UniqueFd epoll;                   // the connections, the listeners, the inbox, and one worker
  std::vector<UniqueFd> listeners;  // this slot's own; a Unix socket's is every slot's
  std::vector<sockaddr_storage> service;  // their addresses: tells our connections from others
  UniqueFd inbox;  // connections that others pass on, and what the task keeper has to tell
  ConnectionTable table;
  SlotStatus& status;
  UniqueFd tasks = UniqueFd();  // to the task keeper, see TaskClient
};

// What an epoll event is about: the kind, and the descriptor.
enum class EventKind : uint32_t { kConnection, kListener, kInbox, kControl };
constexpr uint64_t EventData(EventKind kind, int fd) {
  return uint64_t{static_cast<uint32_t>(kind)} << 32 | static_cast<uint32_t>(fd);
}
constexpr EventKind KindOf(uint64_t data) { return static_cast<EventKind>(data >> 32); }
constexpr int FdOf(uint64_t data) { return static_cast<int>(data & 0xffffffff); }

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_SLOT_H_
