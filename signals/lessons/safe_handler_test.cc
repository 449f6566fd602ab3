#include "signals/lessons/safe_handler.h"

#include <gtest/gtest.h>

namespace graceful {
namespace {

void ExpectNothingLost(const Delivery& delivery) {
  EXPECT_GT(delivery.sent, 0);
  EXPECT_EQ(delivery.received, delivery.sent);
  EXPECT_TRUE(delivery.in_order);
}

TEST(SafeHandlerTest, AHandlerThatAllocatesWaitsForItself) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "The address sanitizer has an allocator of its own, which does not lock here.";
#endif
  EXPECT_TRUE(FindDeadlock().waits_for_a_lock);
}

TEST(SafeHandlerTest, TheSelfPipeLosesNothing) { ExpectNothingLost(FindSelfPipeDelivery()); }

TEST(SafeHandlerTest, TheSignalFdLosesNothing) { ExpectNothingLost(FindSignalFdDelivery()); }

}  // namespace
}  // namespace graceful
