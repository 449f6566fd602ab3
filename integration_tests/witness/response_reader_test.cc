#include "integration_tests/witness/response_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace graceful {
namespace {

using Progress = ResponseReader::Progress;

class Collected : public BodySink {
 public:
  void OnBody(std::string_view piece) override { body += piece; }
  std::string body;
};

struct Got {
  int status;
  std::string body;
  bool close;
  bool operator==(const Got&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Got& got) {
  return out << got.status << " '" << got.body << "'" << (got.close ? " close" : "");
}

// Reads a whole stream that comes in pieces of `step` bytes.
class Stream {
 public:
  explicit Stream(bool head = false) : reader(body, head) {}

  Progress Read(std::string_view bytes, size_t step) {
    Progress progress = Progress::kNeedMore;
    for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size()))) {
      reader.Feed(bytes.substr(0, step));
      while ((progress = reader.Read()) == Progress::kResponse) Take();
      if (progress == Progress::kMalformed) break;
    }
    return progress;
  }

  void Take() {
    got.push_back({reader.Status(), body.body, reader.AnnouncesClose()});
    body.body.clear();
    reader.Next();
  }

  Collected body;
  ResponseReader reader;
  std::vector<Got> got;
};

constexpr std::string_view kMany =
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    "3\r\nabc\r\n2;name=value\r\nde\r\n0\r\nTrailer: x\r\n\r\n"
    "HTTP/1.1 204 No Content\r\n\r\n"
    "HTTP/1.1 100 Continue\r\n\r\n"
    "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n\r\n"
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx";

TEST(ResponseReaderTest, ReadsEveryFramingHoweverTheBytesAreCut) {
  const std::vector<Got> expected = {
      {200, "hello", false}, {200, "abcde", false}, {204, "", false},
      {503, "", false},      {304, "", false},      {200, "x", true},
  };
  for (size_t step = 1; step <= kMany.size(); ++step) {
    Stream stream;
    EXPECT_EQ(stream.Read(kMany, step), Progress::kNeedMore);
    EXPECT_EQ(stream.got, expected) << "in pieces of " << step;
    EXPECT_FALSE(stream.reader.Begun());
  }
}

TEST(ResponseReaderTest, AResponseToHeadHasNoBody) {
  Stream stream(/*head=*/true);
  stream.Read(
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
      1000);
  EXPECT_EQ(stream.got, (std::vector<Got>{{200, "", false}, {200, "", false}}));
}

TEST(ResponseReaderTest, ALargeBodyHasNoLimit) {
  const std::string large(20 << 20, 'x');
  Stream stream;
  stream.Read(
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(large.size()) + "\r\n\r\n" + large,
      64 << 10);
  ASSERT_EQ(stream.got.size(), 1u);
  EXPECT_EQ(stream.got[0].body.size(), large.size());
}

TEST(ResponseReaderTest, WithoutALengthTheBodyEndsWithTheConnection) {
  Stream stream;
  EXPECT_EQ(stream.Read("HTTP/1.1 200 OK\r\n\r\nall of it", 1000), Progress::kNeedMore);
  EXPECT_EQ(stream.reader.End(), Progress::kResponse);
  EXPECT_TRUE(stream.reader.AnnouncesClose());
  EXPECT_EQ(stream.body.body, "all of it");
}

TEST(ResponseReaderTest, Http10ClosesUnlessItSaysOtherwise) {
  Stream stream;
  stream.Read(
      "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"
      "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
      1000);
  EXPECT_EQ(stream.got, (std::vector<Got>{{200, "", false}, {200, "", true}}));
}

TEST(ResponseReaderTest, TheEndOfTheConnectionCutsOff) {
  const std::string_view whole = kMany.substr(0, kMany.find("HTTP/1.1 204"));
  const size_t first = whole.find("hello") + 5;
  for (size_t size = 0; size < whole.size(); ++size) {
    Stream stream;
    stream.Read(whole.substr(0, size), 1000);
    EXPECT_EQ(stream.reader.End(), Progress::kNeedMore) << size;
    EXPECT_EQ(stream.reader.Begun(), size != 0 && size != first) << size;
  }
}

TEST(ResponseReaderTest, RefusesWhatIsNotHttp) {
  for (const std::string_view bytes : {
           "hello, this is not HTTP at all\r\n\r\n",
           "HTTP/2.0 200 OK\r\n\r\n",
           "HTTP/1.1 2x0 OK\r\n\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
           "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
           "HTTP/1.1 200 OK\r\nBad Name: 1\r\n\r\n",
       }) {
    Stream stream;
    EXPECT_EQ(stream.Read(bytes, 1000), Progress::kMalformed) << bytes;
    EXPECT_FALSE(stream.reader.Error().empty());
  }
}

TEST(ResponseReaderTest, WhatNobodyAskedForStaysUnread) {
  Collected body;
  ResponseReader reader(body, false);
  reader.Feed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 408");
  ASSERT_EQ(reader.Read(), Progress::kResponse);
  EXPECT_EQ(reader.Unread(), "HTTP/1.1 408");
  reader.Reset();
  EXPECT_EQ(reader.Unread(), "");
}

}  // namespace
}  // namespace graceful
