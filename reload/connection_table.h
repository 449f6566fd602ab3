#ifndef GRACEFUL_RELOAD_CONNECTION_TABLE_H_
#define GRACEFUL_RELOAD_CONNECTION_TABLE_H_

#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "reload/buffer_pool.h"
#include "reload/clock.h"
#include "reload/committed.h"
#include "reload/tasks/task_message.h"

namespace graceful {

// Where a connection is. The state is in shared memory: it belongs to the slot, not to the worker.
enum class State : uint8_t {
  kFree,       // no connection has this descriptor
  kResting,    // waits for (the rest of) a request; part-read bytes are in its buffer
  kHeld,       // a whole request was read and its handler is running
  kAnswering,  // the response is in the buffer and is being written; anyone can go on
  kLingering,  // all was answered and our side is shut; waits for the peer to close (RFC 9112, 9.6)
  kWaiting,    // the request in its buffer waits for a task (waiting.cc); earlier answers go out
};

// All that a successor must know of a connection. It is replaced as a whole, by one store.
struct Progress {
  State state = State::kFree;
  bool close_after = false;     // the response being written is the last
  bool continue_sent = false;   // "100 Continue" went out for the request being read
  uint8_t deaths = 0;           // workers that died while they held the request
  bool waits_to_write = false;  // the epoll is asked for writability, not readability
  bool muted = false;           // the epoll is asked for neither: the client speaks while we wait
  TaskWait wait = TaskWait::kNone;
  bool own_task = false;  // that task was started for this request
  Extent in = {};         // bytes read: [in_begin, in_end) belong to no answered request
  uint32_t in_begin = 0;
  uint32_t in_end = 0;
  Extent out = {};  // bytes to write: [out_begin, out_end) are not yet written
  uint32_t out_begin = 0;
  uint32_t out_end = 0;
  uint32_t deadline = 0;   // what it waits for must come by then, see ClockMs(); 0: no limit
  uint32_t held_back = 0;  // the last bytes to write, which wait for the task to be accepted
  TaskId task = 0;         // it waits for this one, or its OnFinish() is running

  // Gives up `size` bytes that were answered. Returns the buffer, to be freed once this progress
  // is committed, when it holds no others.
  Extent Consume(size_t size);

  // Forgets the task that it has waited for.
  void StopWaiting();
};

// A connection's place in the table. Version() tells whether a note in IoNote is older than it.
using Record = Committed<Progress>;

// The read or write under way, so that a death in the middle of it is repaired exactly.
//
// The kernel stores the number of bytes that sendmmsg(2) and recvmmsg(2) took into `msg_len`
// before the call returns, and a process is killed only between system calls, never inside one.
// With the message in shared memory, the successor finds there how far the dead worker got, even
// if that one did not live to see the call return.
struct IoNote {
  enum class Kind : uint8_t { kNone, kReceive, kSend, kGiveAway };
  std::atomic<Kind> kind;
  int fd;
  uint32_t version;  // the record's version when the call began
  mmsghdr message;
  iovec vector;
};

// A connection on its way from one slot to another, or a fresh one that the master accepted, as a
// message on the slot's inbox. Its socket is attached, and a memory file with its bytes if any.
struct Parcel {
  InboxKind kind = InboxKind::kConnection;
  Progress progress;  // its extents mean nothing to the receiver; the sizes below do
  uint32_t unanswered = 0;
  uint32_t unwritten = 0;
};

// The message being received: in shared memory for the same reason as IoNote. The descriptors
// arrive in the shared descriptor table, and their numbers in `control`.
struct InboxNote {
  mmsghdr message;
  iovec vector;
  union {
    InboxKind kind;
    Parcel parcel;
    char bytes[kMessageBytes];
  };
  alignas(cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
};

// A slot's connections, in memory that its keeper and its workers share (MAP_SHARED).
//
// One process writes it at a time: the worker that holds the slot. Handing the slot on is a
// message, so the table needs no lock. The descriptor itself is the index: within a slot a number
// is one socket, since its processes share one descriptor table.
class ConnectionTable {
 public:
  // `capacity`: descriptors that it can hold. `buffer_bytes`: size of its buffer pool. Memory is
  // reserved, and used only as connections come. Throws std::system_error.
  ConnectionTable(int capacity, size_t buffer_bytes);
  ~ConnectionTable();
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  int Capacity() const { return capacity_; }
  Record& At(int fd) { return records_[fd]; }
  BufferPool& Pool() { return pool_; }
  IoNote& Note() { return header_->note; }
  InboxNote& Inbox() { return header_->inbox; }

  // Set by the keeper when the worker that holds the slot shall read its message before it takes
  // up another request: an epoll event alone would wait for the end of its batch.
  std::atomic<bool>& Interrupt() { return header_->interrupt; }

  // Set by the keeper with the wish to stop: a response that is finished from now on is the last
  // on its connection, and says so.
  std::atomic<bool>& Draining() { return header_->draining; }

  // The worker's pulse: one more when it gives a request to the handler, one more when it has it
  // back, so odd while the handler runs. What stays odd and the same is a handler that is stuck.
  std::atomic<uint32_t>& Pulse() { return header_->pulse; }

  // The first line of the request that the handler has, for the log; empty when it has none.
  std::string_view HeldRequestLine() const;

  // The earliest deadline of all records, 0 for none: when to look through the table for passed
  // ones. Kept here so that a successor need not walk the table to know it.
  uint32_t& NextDeadline() { return header_->next_deadline; }
  void ExpectDeadline(uint32_t deadline);

  // One more than the highest descriptor that a connection ever had.
  int HighWater() const { return std::clamp(header_->high_water, 0, capacity_); }
  void RaiseHighWater(int fd);

  // The bytes of a record that were read and not answered, and those still to be written, with
  // those that are held back.
  std::string_view Unanswered(const Progress& progress) const;
  std::string_view Unwritten(const Progress& progress) const;

 private:
  struct Header {
    int high_water;
    uint32_t next_deadline;
    std::atomic<bool> interrupt;
    std::atomic<bool> draining;
    std::atomic<uint32_t> pulse;
    IoNote note;
    InboxNote inbox;
  };

  int capacity_;
  size_t size_;
  char* mapping_;
  Header* header_;
  Record* records_;
  BufferPool pool_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_CONNECTION_TABLE_H_
