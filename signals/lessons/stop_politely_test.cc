#include "signals/lessons/stop_politely.h"

#include <gtest/gtest.h>

namespace graceful {
namespace {

TEST(StopPolitelyTest, HalfADocumentUnlessTheProgramFinishesWhatItBegan) {
  const InPlace found = FindInPlace();
  EXPECT_EQ(found.killed, OnDisk::kTorn);
  EXPECT_EQ(found.terminated, OnDisk::kTorn);
  EXPECT_EQ(found.stopped_politely, OnDisk::kNew);
  EXPECT_EQ(found.polite_end, "exited with status 0");
}

TEST(StopPolitelyTest, ARenamedDocumentIsWholeWheneverItsWriterIsKilled) {
  bool renamed = false;
  for (const auto& [step, on_disk] : FindReplaced()) {
    renamed = renamed || step == "rename";
    EXPECT_EQ(on_disk, renamed ? OnDisk::kNew : OnDisk::kOld) << "killed after: " << step;
  }
  EXPECT_TRUE(renamed);
}

}  // namespace
}  // namespace graceful
