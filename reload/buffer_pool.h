#ifndef GRACEFUL_RELOAD_BUFFER_POOL_H_
#define GRACEFUL_RELOAD_BUFFER_POOL_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace graceful {

// A run of pages in a BufferPool. Plain numbers, so that it means the same in every process.
struct Extent {
  uint32_t page = 0;
  uint32_t pages = 0;  // 0: no extent

  explicit operator bool() const { return pages != 0; }
};

// Hands out runs of pages of a shared mapping, always the first that fits: so the pages in use lie
// at the mapping's beginning, are warm, and the rest of it is never touched.
//
// A bitmap in the mapping says which pages are taken; there is no lock and no list, since one
// process at a time uses a pool (connection_table.h). A process that dies between two steps can
// at worst leave pages taken that nobody uses. Its successor calls Clear() and Take()s again what
// the connections refer to, so the bitmap is never trusted after a death.
class BufferPool {
 public:
  static constexpr size_t kPageSize = 4096;

  // How many bytes of a mapping a pool of `pages` pages needs.
  static size_t MappingSize(uint32_t pages);

  // A pool in a mapping of that size, page aligned, which must stay and begin as zeros.
  BufferPool(void* mapping, uint32_t pages);

  // Pages in a row that hold at least `size` bytes, at least one page. Nothing when there are
  // none: the pool is full, or too fragmented for that size.
  std::optional<Extent> Allocate(size_t size);

  // Gives an extent back; an empty one is ignored. Large ones go back to the kernel as well.
  void Free(Extent extent);

  bool Contains(Extent extent) const;  // whether it is an extent of this pool, and not empty
  void Clear();                        // every page is free
  bool Take(Extent extent);  // false when it is no extent of this pool or overlaps a taken one

  char* Data(Extent extent) const { return pages_ + extent.page * kPageSize; }
  static size_t Capacity(Extent extent) { return extent.pages * kPageSize; }
  uint32_t PagesTaken() const { return header_->taken; }

 private:
  struct Header {
    uint32_t taken;
    uint32_t first_free;  // no page before it is free
  };

  bool IsTaken(uint32_t page) const { return bitmap_[page / 64] >> (page % 64) & 1; }
  void Mark(Extent extent, bool taken);
  std::optional<uint32_t> FindRun(uint32_t from, uint32_t to, uint32_t pages) const;

  uint32_t count_;
  Header* header_;
  uint64_t* bitmap_;
  char* pages_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_BUFFER_POOL_H_
