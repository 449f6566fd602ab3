#include "reload/request_parser.h"

#include <gtest/gtest.h>

#include <string>

namespace graceful {
namespace {

using Outcome = RequestParser::Outcome;

class NoWorker : public Worker {
 public:
  int Slot() const override { return 0; }
  int Generation() const override { return 0; }
  std::string_view Setting(std::string_view) const override { return {}; }
};

constexpr RequestLimits kLimits = {1024, 4096};

Outcome ParseWhole(RequestParser& parser, std::string_view bytes) { return parser.Parse(bytes); }

int StatusOf(std::string_view bytes) {
  RequestParser parser(kLimits);
  return ParseWhole(parser, bytes) == Outcome::kBad ? parser.Status() : 0;
}

TEST(RequestParserTest, ReadsARequestAndLeavesWhatFollows) {
  const std::string first =
      "POST /echo?a=1&b=&c HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
  const std::string bytes = first + "GET / HTTP/1.1\r\n";
  RequestParser parser(kLimits);
  ASSERT_EQ(parser.Parse(bytes), Outcome::kComplete);
  EXPECT_EQ(parser.Size(), first.size());
  EXPECT_TRUE(parser.KeepAlive());
  EXPECT_FALSE(parser.IsIdempotent());
  NoWorker worker;
  const Request request = parser.MakeRequest(bytes, worker);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.Path(), "/echo");
  EXPECT_EQ(request.Query("a"), "1");
  EXPECT_EQ(request.Query("b"), "");
  EXPECT_EQ(request.Query("d"), "");
  EXPECT_EQ(request.HeaderValue("HOST"), "x");
  EXPECT_EQ(request.HeaderValue("none"), "");
  EXPECT_EQ(request.body, "abc");
}

// Whatever the pieces, and wherever the buffer moves meanwhile.
TEST(RequestParserTest, ComesToTheSameByteByByte) {
  const std::string bytes =
      "PUT /x HTTP/1.1\r\nHost: example\r\nEmpty:\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4;ext=1\r\nWiki\r\n5\r\npedia\r\n0\r\nTrailer: t\r\n\r\n";
  RequestParser parser(kLimits);
  std::string copy;
  for (size_t size = 1; size < bytes.size(); ++size) {
    copy = bytes.substr(0, size);
    copy.shrink_to_fit();
    ASSERT_EQ(parser.Parse(copy), Outcome::kNeedMore) << size;
  }
  ASSERT_EQ(parser.Parse(bytes), Outcome::kComplete);
  NoWorker worker;
  const Request request = parser.MakeRequest(bytes, worker);
  EXPECT_EQ(request.body, "Wikipedia");
  EXPECT_EQ(request.HeaderValue("host"), "example");
  EXPECT_EQ(request.headers.size(), 3u) << "a trailer is no header";
  EXPECT_EQ(parser.Size(), bytes.size());
  EXPECT_TRUE(parser.IsIdempotent());
}

TEST(RequestParserTest, KnowsTheSizeOnceTheHeaderIsThere) {
  RequestParser parser(kLimits);
  const std::string header = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
  EXPECT_EQ(parser.Parse(header.substr(0, 10)), Outcome::kNeedMore);
  EXPECT_FALSE(parser.HeaderDone());
  EXPECT_EQ(parser.ExpectedSize(), 0u);
  EXPECT_EQ(parser.Parse(header), Outcome::kNeedMore);
  EXPECT_TRUE(parser.HeaderDone());
  EXPECT_EQ(parser.ExpectedSize(), header.size() + 100);
}

TEST(RequestParserTest, ExpectContinueIsForAMissingBodyAndHttp11) {
  const std::string rest = "Host: x\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
  RequestParser parser(kLimits);
  EXPECT_EQ(parser.Parse("POST / HTTP/1.1\r\n" + rest), Outcome::kNeedMore);
  EXPECT_TRUE(parser.ExpectsContinue());
  EXPECT_EQ(parser.Parse("POST / HTTP/1.1\r\n" + rest + "x"), Outcome::kComplete);
  EXPECT_FALSE(parser.ExpectsContinue());
  parser.Reset();
  EXPECT_EQ(parser.Parse("POST / HTTP/1.0\r\n" + rest), Outcome::kNeedMore);
  EXPECT_FALSE(parser.ExpectsContinue());
}

TEST(RequestParserTest, KeepAlive) {
  const auto keep = [](const std::string& bytes) {
    RequestParser parser(kLimits);
    EXPECT_EQ(parser.Parse(bytes), Outcome::kComplete) << bytes;
    return parser.KeepAlive();
  };
  EXPECT_TRUE(keep("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_FALSE(keep("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  EXPECT_FALSE(keep("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

TEST(RequestParserTest, RefusesWhatIsMalformed) {
  const std::string line = "GET / HTTP/1.1\r\n";
  const std::string host = "Host: x\r\n";
  EXPECT_EQ(StatusOf("\x16\x03\x01 not http\r\n\r\n"), 400) << "a TLS client";
  EXPECT_EQ(StatusOf("GET  / HTTP/1.1\r\n\r\n"), 400) << "two spaces";
  EXPECT_EQ(StatusOf("GET / HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(StatusOf(line + "\r\n"), 400) << "no Host";
  EXPECT_EQ(StatusOf(line + host + host + "\r\n"), 400) << "two Hosts";
  EXPECT_EQ(StatusOf(line + host + "A : b\r\n\r\n"), 400) << "a space before the colon";
  EXPECT_EQ(StatusOf(line + host + "A: b\r\n c\r\n\r\n"), 400) << "folded";
  EXPECT_EQ(StatusOf(line + host + "A: \x01\r\n\r\n"), 400) << "a control character";
  EXPECT_EQ(StatusOf(line + host + "Expect: 200-ok\r\n\r\n"), 417);
  EXPECT_EQ(StatusOf("CONNECT x:1 HTTP/1.1\r\n" + host + "\r\n"), 501);
}

// Two readings of where a body ends are how requests are smuggled past a proxy (RFC 9112, 11.2).
TEST(RequestParserTest, RefusesWhatCouldBeReadInTwoWays) {
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(StatusOf(head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(head + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"), 400);
  EXPECT_EQ(StatusOf(head + "Content-Length: -1\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(head + "Content-Length: +3\r\n\r\nabc"), 400);
  EXPECT_EQ(StatusOf(head + "Content-Length: 3x\r\n\r\nabc"), 400);
  EXPECT_EQ(StatusOf(head + "Content-Length: 99999999999999999999\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(head + "Transfer-Encoding: gzip\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf(head + "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501);
  EXPECT_EQ(StatusOf(head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400);
  EXPECT_EQ(StatusOf("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  const std::string chunked = head + "Transfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(StatusOf(chunked + "x\r\n"), 400);
  EXPECT_EQ(StatusOf(chunked + "3\r\nabcd\r\n0\r\n\r\n"), 400) << "a chunk longer than it says";
}

TEST(RequestParserTest, Limits) {
  const std::string head = "POST / HTTP/1.1\r\nHost: x\r\n";
  EXPECT_EQ(StatusOf(head + "A: " + std::string(1024, 'a') + "\r\n\r\n"), 431);
  EXPECT_EQ(StatusOf(head + "A: " + std::string(1024, 'a')), 431) << "unfinished";
  EXPECT_EQ(StatusOf("GET /" + std::string(1024, 'a')), 431) << "no end of line";
  EXPECT_EQ(StatusOf(head + "Content-Length: 4097\r\n\r\n"), 413);
  EXPECT_EQ(StatusOf(head + "Transfer-Encoding: chunked\r\n\r\n1001\r\n"), 413);
  std::string tiny = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 1000; ++i) tiny += "1;" + std::string(100, 'x') + "\r\na\r\n";
  EXPECT_EQ(StatusOf(tiny), 413) << "extensions larger than any body";
}

}  // namespace
}  // namespace graceful
