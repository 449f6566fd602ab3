#include "reload/response_writer.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace graceful {
namespace {

TEST(ResponseWriterTest, WritesAHeader) {
  ResponseWriter writer;
  Response response;
  response.body = "hello\n";
  response.headers = {{"X-One", "1"}};
  const std::string& head = writer.Head(response, {});
  EXPECT_TRUE(head.starts_with("HTTP/1.1 200 OK\r\nDate: ")) << head;
  EXPECT_TRUE(
      head.ends_with(" GMT\r\nContent-Type: text/plain; charset=utf-8\r\nX-One: 1\r\n"
                     "Content-Length: 6\r\n\r\n"))
      << head;
}

TEST(ResponseWriterTest, SaysHowTheConnectionGoesOn) {
  ResponseWriter writer;
  const Response response;
  EXPECT_EQ(writer.Head(response, {}).find("Connection"), std::string::npos);
  EXPECT_NE(writer.Head(response, {.close = true}).find("Connection: close\r\n"),
            std::string::npos);
  EXPECT_NE(writer.Head(response, {.http10 = true}).find("Connection: keep-alive\r\n"),
            std::string::npos);
}

TEST(ResponseWriterTest, BodiesThatMustNotBe) {
  ResponseWriter writer;
  Response response;
  EXPECT_TRUE(ResponseWriter::HasBody(response, {}));
  EXPECT_FALSE(ResponseWriter::HasBody(response, {.head = true}));
  response.status = 204;
  EXPECT_FALSE(ResponseWriter::HasBody(response, {}));
  EXPECT_EQ(writer.Head(response, {}).find("Content-Length"), std::string::npos);
}

TEST(ResponseWriterTest, RefusesWhatWouldBreakTheFraming) {
  ResponseWriter writer;
  const auto with_header = [](const char* name, const char* value) {
    Response response;
    response.headers = {{name, value}};
    return response;
  };
  EXPECT_THROW(writer.Head(with_header("X", "a\r\nSet-Cookie: b"), {}), std::invalid_argument);
  EXPECT_THROW(writer.Head(with_header("X Y", "a"), {}), std::invalid_argument);
  EXPECT_THROW(writer.Head(with_header("", "a"), {}), std::invalid_argument);
  EXPECT_THROW(writer.Head(with_header("content-length", "7"), {}), std::invalid_argument);
  Response response;
  response.status = 100;
  EXPECT_THROW(writer.Head(response, {}), std::invalid_argument);
  response.status = 200;
  response.content_type = "a\nb";
  EXPECT_THROW(writer.Head(response, {}), std::invalid_argument);
}

}  // namespace
}  // namespace graceful
