// What a handler answers, with any bytes in it: it is refused, or it is one response, in which an
// independent reader finds just what the handler put there.
//
// An input is a byte of flags, two of the status, then pieces with 0xFF between them: the content
// type, then name and value of each header, and the body if a piece is left.

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "reload/fuzz/check.h"
#include "reload/response_writer.h"

namespace {

namespace http = boost::beast::http;
using graceful::Response;
using graceful::ResponseWriter;

std::vector<std::string> Pieces(std::string_view text) {
  std::vector<std::string> pieces;
  for (size_t end; (end = text.find('\xff')) != std::string_view::npos;
       text.remove_prefix(end + 1)) {
    pieces.emplace_back(text.substr(0, end));
  }
  pieces.emplace_back(text);
  return pieces;
}

// Spaces around a value are no part of it (RFC 9112, 5).
std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

Response MakeResponse(std::string_view text) {
  Response response;
  response.status = static_cast<unsigned char>(text[1]) * 256 + static_cast<unsigned char>(text[2]);
  std::vector<std::string> pieces = Pieces(text.substr(3));
  response.content_type = pieces[0];
  size_t i = 1;
  for (; i + 1 < pieces.size(); i += 2) response.headers.emplace_back(pieces[i], pieces[i + 1]);
  if (i < pieces.size()) response.body = pieces[i];
  return response;
}

void CheckHeaders(const Response& response, const http::fields& found, bool close, bool http10) {
  std::vector<std::pair<std::string_view, std::string_view>> wanted;
  if (!response.content_type.empty()) wanted.emplace_back("Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers) wanted.emplace_back(name, value);
  size_t ours = 0;
  size_t next = 0;
  for (const auto& field : found) {
    const std::string_view name(field.name_string().data(), field.name_string().size());
    const std::string_view value(field.value().data(), field.value().size());
    if (name == "Date" || name == "Content-Length" || name == "Connection") {
      ++ours;
      continue;
    }
    // Beast keeps fields of one name together, so the order is of no account.
    bool expected = false;
    for (auto& each : wanted) {
      expected = each.first == name && Trim(each.second) == Trim(value);
      if (!expected) continue;
      each = {};
      break;
    }
    FUZZ_CHECK(expected);
    ++next;
  }
  FUZZ_CHECK(next == wanted.size());
  const bool sized = response.status != 204 && response.status != 304;
  FUZZ_CHECK(ours == 1u + (sized ? 1 : 0) + (close || http10 ? 1 : 0));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 3) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ResponseWriter::Framing framing = {
      .close = (data[0] & 1) != 0, .head = (data[0] & 2) != 0, .http10 = (data[0] & 4) != 0};
  const Response response = MakeResponse(text);
  ResponseWriter writer;
  std::string bytes;
  try {
    bytes = writer.Head(response, framing);
  } catch (const std::invalid_argument&) {
    return 0;
  }
  if (ResponseWriter::HasBody(response, framing)) bytes += response.body;

  http::response_parser<http::string_body> reader;
  reader.eager(true);
  reader.skip(framing.head);  // the answer to HEAD has no body, whatever its header says
  reader.header_limit(UINT32_MAX);
  reader.body_limit(boost::none);
  boost::beast::error_code error;
  const size_t read = reader.put(boost::asio::buffer(bytes), error);
  FUZZ_CHECK(!error);
  FUZZ_CHECK(read == bytes.size());
  FUZZ_CHECK(reader.is_done());
  FUZZ_CHECK(static_cast<int>(reader.get().result_int()) == response.status);
  FUZZ_CHECK(reader.get().body() ==
             (ResponseWriter::HasBody(response, framing) ? response.body : ""));
  FUZZ_CHECK(reader.keep_alive() == !framing.close);
  CheckHeaders(response, reader.get(), framing.close, framing.http10);
  return 0;
}
