#include "reload/buffer_pool.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <random>
#include <vector>

namespace graceful {
namespace {

constexpr uint32_t kPages = 200;
constexpr size_t kPage = BufferPool::kPageSize;

class BufferPoolTest : public testing::Test {
 protected:
  void* mapping_ = mmap(nullptr, BufferPool::MappingSize(kPages), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  BufferPool pool_{mapping_, kPages};

  ~BufferPoolTest() override { munmap(mapping_, BufferPool::MappingSize(kPages)); }
};

TEST_F(BufferPoolTest, RoundsUpToPagesAndGivesAllOfThem) {
  EXPECT_EQ(pool_.Allocate(0)->pages, 1u);
  EXPECT_EQ(pool_.Allocate(1)->pages, 1u);
  EXPECT_EQ(pool_.Allocate(kPage)->pages, 1u);
  EXPECT_EQ(pool_.Allocate(kPage + 1)->pages, 2u);
  EXPECT_EQ(pool_.PagesTaken(), 5u);
  EXPECT_EQ(pool_.Allocate((kPages - 5) * kPage)->pages, kPages - 5);
  EXPECT_EQ(pool_.Allocate(1), std::nullopt);
}

TEST_F(BufferPoolTest, RefusesWhatCanNeverFit) {
  EXPECT_EQ(pool_.Allocate(kPages * kPage + 1), std::nullopt);
  EXPECT_EQ(pool_.Allocate(SIZE_MAX - kPage), std::nullopt);
  EXPECT_EQ(pool_.PagesTaken(), 0u);
}

TEST_F(BufferPoolTest, ThePageFreedIsTheNext) {
  const Extent first = *pool_.Allocate(1);
  const Extent second = *pool_.Allocate(1);
  pool_.Allocate(1);
  pool_.Free(second);
  EXPECT_EQ(pool_.Allocate(1)->page, second.page);
  pool_.Free(first);
  EXPECT_EQ(pool_.Allocate(1)->page, first.page);
}

// As a connection does it: the request's buffer goes back before the response's.
TEST_F(BufferPoolTest, UseInTurnStaysInTheSamePages) {
  for (int request = 0; request < 1000; ++request) {
    const Extent in = *pool_.Allocate(1);
    const Extent out = *pool_.Allocate(1);
    ASSERT_LT(in.page, 2u);
    ASSERT_LT(out.page, 2u);
    pool_.Free(in);
    pool_.Free(out);
  }
}

TEST_F(BufferPoolTest, FindsARunBeyondAGapThatIsTooShort) {
  const Extent gap = *pool_.Allocate(1);
  const Extent rest = *pool_.Allocate((kPages - 1) * kPage);
  pool_.Free(gap);
  EXPECT_EQ(pool_.Allocate(2 * kPage), std::nullopt);
  pool_.Free(rest);
  pool_.Allocate(1);
  EXPECT_EQ(pool_.Allocate((kPages - 1) * kPage)->page, 1u);
}

TEST_F(BufferPoolTest, LargeExtentsGoBackToTheKernel) {
  const Extent large = *pool_.Allocate(32 * kPage);
  std::memset(pool_.Data(large), 'x', BufferPool::Capacity(large));
  pool_.Free(large);
  EXPECT_EQ(pool_.Data(large)[0], '\0') << "MADV_REMOVE leaves zeros";
}

TEST_F(BufferPoolTest, TakesAgainWhatASurvivorRefersTo) {
  const Extent kept = *pool_.Allocate(3 * kPage);
  pool_.Allocate(kPage);  // leaked by a death
  pool_.Clear();
  EXPECT_TRUE(pool_.Take(kept));
  EXPECT_FALSE(pool_.Take(kept)) << "twice";
  EXPECT_FALSE(pool_.Take({kept.page + 2, 2})) << "overlapping";
  EXPECT_FALSE(pool_.Take({0, 0})) << "empty";
  EXPECT_FALSE(pool_.Take({kPages, 1})) << "beyond the end";
  EXPECT_FALSE(pool_.Take({kPages - 1, 2})) << "over the end";
  EXPECT_FALSE(pool_.Take({2, UINT32_MAX})) << "wrapping";
  EXPECT_EQ(pool_.PagesTaken(), 3u);
}

TEST_F(BufferPoolTest, RandomUseNeverHandsOutAPageTwice) {
  std::mt19937 random(1);
  std::vector<Extent> held;
  std::vector<int> owner(kPages, -1);
  for (int step = 0; step < 20'000; ++step) {
    if (!held.empty() && random() % 2 == 0) {
      const size_t i = random() % held.size();
      for (uint32_t p = 0; p < held[i].pages; ++p) owner[held[i].page + p] = -1;
      pool_.Free(held[i]);
      held.erase(held.begin() + static_cast<long>(i));
    } else if (const auto extent = pool_.Allocate(random() % (9 * kPage))) {
      for (uint32_t p = 0; p < extent->pages; ++p) {
        ASSERT_EQ(owner[extent->page + p], -1) << "page " << extent->page + p;
        owner[extent->page + p] = step;
      }
      held.push_back(*extent);
    }
  }
}

}  // namespace
}  // namespace graceful
