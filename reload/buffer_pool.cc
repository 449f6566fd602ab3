#include "reload/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

namespace graceful {

namespace {

// From this size on a freed extent's memory goes back to the kernel at once: a server that once
// took a large body does not keep its size.
constexpr uint32_t kReturnPages = 16;

size_t RoundUp(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

size_t BitmapOffset() { return 64; }

size_t PagesOffset(uint32_t pages) {
  return RoundUp(BitmapOffset() + RoundUp(pages, 64) / 8, BufferPool::kPageSize);
}

}  // namespace

size_t BufferPool::MappingSize(uint32_t pages) { return PagesOffset(pages) + pages * kPageSize; }

BufferPool::BufferPool(void* mapping, uint32_t pages)
    : count_(pages),
      header_(static_cast<Header*>(mapping)),
      bitmap_(reinterpret_cast<uint64_t*>(static_cast<char*>(mapping) + BitmapOffset())),
      pages_(static_cast<char*>(mapping) + PagesOffset(pages)) {}

std::optional<Extent> BufferPool::Allocate(size_t size) {
  const size_t wanted = std::max<size_t>(1, RoundUp(size, kPageSize) / kPageSize);
  if (wanted > count_ - header_->taken) return std::nullopt;
  const uint32_t pages = static_cast<uint32_t>(wanted);
  const uint32_t first = std::min(header_->first_free, count_);
  const std::optional<uint32_t> page = FindRun(first, count_, pages);
  if (!page) return std::nullopt;
  const Extent extent = {*page, pages};
  Mark(extent, true);
  if (*page == first) header_->first_free = *page + pages;
  return extent;
}

void BufferPool::Free(Extent extent) {
  if (!extent) return;
  if (extent.pages >= kReturnPages) madvise(Data(extent), Capacity(extent), MADV_REMOVE);
  Mark(extent, false);
  header_->first_free = std::min(header_->first_free, extent.page);
}

void BufferPool::Clear() {
  std::memset(bitmap_, 0, RoundUp(count_, 64) / 8);
  *header_ = {};
}

bool BufferPool::Contains(Extent extent) const {
  return extent && extent.page < count_ && extent.pages <= count_ - extent.page;
}

bool BufferPool::Take(Extent extent) {
  if (!Contains(extent)) return false;
  for (uint32_t page = extent.page; page < extent.page + extent.pages; ++page) {
    if (IsTaken(page)) return false;
  }
  Mark(extent, true);
  return true;
}

void BufferPool::Mark(Extent extent, bool taken) {
  for (uint32_t page = extent.page; page < extent.page + extent.pages; ++page) {
    const uint64_t bit = uint64_t{1} << (page % 64);
    if (taken) {
      bitmap_[page / 64] |= bit;
    } else {
      bitmap_[page / 64] &= ~bit;
    }
  }
  header_->taken += taken ? extent.pages : -extent.pages;
}

std::optional<uint32_t> BufferPool::FindRun(uint32_t from, uint32_t to, uint32_t pages) const {
  uint32_t run = 0;
  for (uint32_t page = from; page < to; ++page) {
    if (page % 64 == 0 && bitmap_[page / 64] == ~uint64_t{0}) {
      run = 0;
      page += 63;  // a full word at a time
    } else if (IsTaken(page)) {
      run = 0;
    } else if (++run == pages) {
      return page + 1 - pages;
    }
  }
  return std::nullopt;
}

}  // namespace graceful
