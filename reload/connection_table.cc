#include "reload/connection_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <string>
#include <utility>

#include "signals/check.h"

namespace graceful {

namespace {

size_t RoundUpToPage(size_t size) {
  return (size + BufferPool::kPageSize - 1) / BufferPool::kPageSize * BufferPool::kPageSize;
}

// MAP_NORESERVE: address space, not memory. Untouched pages cost nothing.
char* MapShared(size_t size) {
  void* mapping = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) ThrowErrno(errno, "mmap", std::to_string(size) + " bytes");
  return static_cast<char*>(mapping);
}

uint32_t PoolPages(size_t buffer_bytes) {
  return static_cast<uint32_t>(RoundUpToPage(buffer_bytes) / BufferPool::kPageSize);
}

}  // namespace

Extent Progress::Consume(size_t size) {
  in_begin += static_cast<uint32_t>(size);
  continue_sent = false;
  deaths = 0;
  if (in_begin < in_end) return {};
  in_begin = in_end = 0;
  return std::exchange(in, {});
}

void Progress::StopWaiting() {
  task = 0;
  wait = TaskWait::kNone;
  own_task = false;
  held_back = 0;
}

// The mapping, each part from a page of its own: header, records, buffer pool. A fresh mapping is
// all zeros, which is a table of free records and an empty pool.
ConnectionTable::ConnectionTable(int capacity, size_t buffer_bytes)
    : capacity_(capacity),
      size_(RoundUpToPage(sizeof(Header)) + RoundUpToPage(capacity * sizeof(Record)) +
            BufferPool::MappingSize(PoolPages(buffer_bytes))),
      mapping_(MapShared(size_)),
      header_(reinterpret_cast<Header*>(mapping_)),
      records_(reinterpret_cast<Record*>(mapping_ + RoundUpToPage(sizeof(Header)))),
      pool_(mapping_ + RoundUpToPage(sizeof(Header)) + RoundUpToPage(capacity * sizeof(Record)),
            PoolPages(buffer_bytes)) {}

ConnectionTable::~ConnectionTable() { munmap(mapping_, size_); }

void ConnectionTable::RaiseHighWater(int fd) {
  header_->high_water = std::max(header_->high_water, fd + 1);
}

void ConnectionTable::ExpectDeadline(uint32_t deadline) {
  uint32_t& next = header_->next_deadline;
  if (next == 0 || Passed(deadline, next)) next = deadline;
}

std::string_view ConnectionTable::Unanswered(const Progress& progress) const {
  if (!progress.in) return {};
  return {pool_.Data(progress.in) + progress.in_begin, progress.in_end - progress.in_begin};
}

std::string_view ConnectionTable::Unwritten(const Progress& progress) const {
  if (!progress.out) return {};
  return {pool_.Data(progress.out) + progress.out_begin, progress.out_end - progress.out_begin};
}

// Read while the worker may be writing: what makes no sense is left out.
std::string_view ConnectionTable::HeldRequestLine() const {
  for (int fd = 0; fd < std::min(HighWater(), capacity_); ++fd) {
    const Progress progress = records_[fd].Get();
    if (progress.state != State::kHeld || !pool_.Contains(progress.in) ||
        progress.in_begin > progress.in_end ||
        progress.in_end > BufferPool::Capacity(progress.in)) {
      continue;
    }
    const std::string_view request = Unanswered(progress);
    return request.substr(0, request.find_first_of("\r\n"));
  }
  return {};
}

}  // namespace graceful
