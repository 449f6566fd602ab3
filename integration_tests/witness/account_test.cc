#include "integration_tests/witness/account.h"

#include <gtest/gtest.h>

#include "integration_tests/witness/latency.h"

namespace graceful {
namespace {

// A request that has begun and was written to its end.
Request Sent(Account& account, int64_t now_us) {
  account.Begin();
  account.Await(now_us);
  return {0, now_us, now_us};
}

TEST(AccountTest, EveryRequestIsInOneColumn) {
  Account account;
  account.End(Sent(account, 10), Outcome::kOk, 200, 20);
  account.End(Sent(account, 10), Outcome::kAllowed, 503, 20);
  account.End(Sent(account, 10), Outcome::kReset, 0, 20);
  account.End(Sent(account, 10), Outcome::kTruncated, 0, 20);
  account.End(Sent(account, 10), Outcome::kWrong, 200, 20);
  account.End(Sent(account, 10), Outcome::kTimedOut, 0, 20);
  account.Refuse();
  EXPECT_EQ(account.Requests(), 7u);
  EXPECT_EQ(account.Sent(), 6u);
  EXPECT_EQ(account.Ok(), 1u);
  EXPECT_EQ(account.AllowedByStatus().at(503), 1u);
  EXPECT_EQ(account.Allowed(), 1u);
  EXPECT_EQ(account.Reset(), 1u);
  EXPECT_EQ(account.Truncated(), 1u);
  EXPECT_EQ(account.Wrong(), 1u);
  EXPECT_EQ(account.TimedOut(), 1u);
  EXPECT_EQ(account.Refused(), 1u);
  EXPECT_EQ(account.Lost(), 4u);
}

TEST(AccountTest, IsCleanUnlessARequestWasLostOrWrong) {
  for (const Outcome outcome : {Outcome::kOk, Outcome::kAllowed}) {
    Account account;
    account.End(Sent(account, 1), outcome, 200, 2);
    EXPECT_TRUE(account.Clean()) << OutcomeName(outcome);
  }
  for (const Outcome outcome :
       {Outcome::kReset, Outcome::kTruncated, Outcome::kWrong, Outcome::kTimedOut}) {
    Account account;
    account.End(Sent(account, 1), outcome, 200, 2);
    EXPECT_FALSE(account.Clean()) << OutcomeName(outcome);
  }
  Account refused;
  refused.Refuse();
  EXPECT_FALSE(refused.Clean());
  Account unasked;
  unasked.Unasked();
  EXPECT_FALSE(unasked.Clean());
}

TEST(AccountTest, AClosedConnectionIsNoLossByItself) {
  Account account;
  account.CloseAnnounced();
  account.CloseIdle();
  account.CloseBusy();
  account.CloseByWitness();
  EXPECT_EQ(account.Closed(), 3u);
  EXPECT_TRUE(account.Clean());
}

TEST(AccountTest, ThePauseIsTheLongestTimeWithoutAnyResponse) {
  Account account;
  const Request slow = Sent(account, 100);
  account.End(Sent(account, 150), Outcome::kOk, 200, 200);  // 100 after the first was sent
  account.End(slow, Outcome::kOk, 200, 500);                // 300 after the response before
  account.End(Sent(account, 1000), Outcome::kOk, 200, 1050);
  EXPECT_EQ(account.LongestPauseUs(), 300);
  EXPECT_EQ(account.LongestPauseBeginUs(), 200);
}

TEST(AccountTest, NoRequestOutstandingIsNoPause) {
  Account account;
  account.End(Sent(account, 100), Outcome::kOk, 200, 110);
  account.End(Sent(account, 900'000), Outcome::kOk, 200, 900'010);
  EXPECT_EQ(account.LongestPauseUs(), 10);
}

TEST(AccountTest, ALossDoesNotEndAPauseWhileOthersWait) {
  Account account;
  const Request lost = Sent(account, 100);
  const Request other = Sent(account, 100);
  account.End(lost, Outcome::kReset, 0, 200);
  account.End(other, Outcome::kOk, 200, 400);
  EXPECT_EQ(account.LongestPauseUs(), 300);
}

TEST(AccountTest, LatencyBeginsWithTheLastByteWritten) {
  Account account;
  account.Begin();
  account.Await(5'000);
  account.End({0, 1'000, 5'000}, Outcome::kOk, 200, 5'040);
  EXPECT_EQ(account.Latencies().Max(), 40);
}

TEST(AccountTest, AResponseMayComeBeforeTheRequestWasWritten) {
  Account account;
  account.Begin();
  account.End({0, 1'000, 0}, Outcome::kOk, 200, 1'030);
  EXPECT_EQ(account.Latencies().Max(), 30);
  account.End(Sent(account, 2'000), Outcome::kOk, 200, 2'005);
  EXPECT_EQ(account.LongestPauseUs(), 5);
}

TEST(AccountTest, KeepsTheFirstDescriptions) {
  Account account;
  for (int i = 0; i < 100; ++i) account.Describe(std::to_string(i));
  ASSERT_EQ(account.Descriptions().size(), 10u);
  EXPECT_EQ(account.Descriptions().front(), "0");
}

TEST(LatencyTest, ShortTimesAreExactAndLongOnesNearlySo) {
  Latency latency;
  EXPECT_EQ(latency.Percentile(0.5), 0);
  for (int64_t us = 1; us <= 100; ++us) latency.Add(us);
  EXPECT_EQ(latency.Min(), 1);
  EXPECT_EQ(latency.Max(), 100);
  EXPECT_EQ(latency.Percentile(0.50), 50);
  EXPECT_EQ(latency.Percentile(0.99), 99);
  EXPECT_EQ(latency.Percentile(1), 100);
}

TEST(LatencyTest, EveryTimeIsWithinOneSixtyFourth) {
  for (int64_t us = 1; us < 20'000'000; us += 1 + us / 97) {
    Latency latency;
    latency.Add(us);
    latency.Add(40'000'000);
    const int64_t half = latency.Percentile(0.5);
    EXPECT_GE(half, us);
    EXPECT_LE(half, us + us / 64);
  }
}

}  // namespace
}  // namespace graceful
