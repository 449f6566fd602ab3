#include "reload/response_writer.h"

#include <fmt/format.h>
#include <strings.h>

#include <boost/beast/http/status.hpp>
#include <charconv>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <string_view>

namespace graceful {

namespace {

bool IsToken(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    const bool alphanumeric =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!alphanumeric && std::string_view("!#$%&'*+-.^_`|~").find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

// No control character but the tab (RFC 9110, 5.5): a line end would begin another header, and what
// a client makes of the others is not known.
bool IsFieldValue(std::string_view text) {
  for (const char c : text) {
    if ((c >= '\0' && c < ' ' && c != '\t') || c == '\x7f') return false;
  }
  return true;
}

bool BelongsToServer(const std::string& name) {
  for (const char* own : {"Connection", "Content-Length", "Date", "Transfer-Encoding"}) {
    if (strcasecmp(name.c_str(), own) == 0) return true;
  }
  return false;
}

void CheckHeader(const std::string& name, const std::string& value) {
  if (!IsToken(name)) throw std::invalid_argument("header name '" + name + "' is not a token");
  if (!IsFieldValue(value)) {
    throw std::invalid_argument("the value of header " + name + " has a control character in it");
  }
  if (BelongsToServer(name)) {
    throw std::invalid_argument("header " + name + " is the server's to set");
  }
}

void AppendNumber(std::string& text, size_t number) {
  char digits[std::numeric_limits<size_t>::digits10 + 1];
  const char* const end = std::to_chars(digits, std::end(digits), number).ptr;
  text.append(digits, static_cast<size_t>(end - digits));
}

bool HasNoContent(int status) { return status == 204 || status == 304; }

}  // namespace

const std::string& ResponseWriter::Head(const Response& response, Framing framing) {
  if (response.status < 200 || response.status > 599) {
    throw std::invalid_argument(fmt::format("status {} is not a final one", response.status));
  }
  const auto reason = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(response.status)));
  // Plain appends: a format string is read anew each time, and this is done for each request.
  head_.assign("HTTP/1.1 ");
  AppendNumber(head_, static_cast<size_t>(response.status));
  head_.append(" ").append(reason.data(), reason.size());
  head_.append("\r\nDate: ").append(Date()).append("\r\n");
  if (!response.content_type.empty()) {
    if (!IsFieldValue(response.content_type)) {
      throw std::invalid_argument("the content type has a control character in it");
    }
    head_.append("Content-Type: ").append(response.content_type).append("\r\n");
  }
  for (const auto& [name, value] : response.headers) {
    CheckHeader(name, value);
    head_.append(name).append(": ").append(value).append("\r\n");
  }
  if (!HasNoContent(response.status)) {
    head_.append("Content-Length: ");
    AppendNumber(head_, response.body.size());
    head_.append("\r\n");
  }
  if (framing.close) {
    head_.append("Connection: close\r\n");
  } else if (framing.http10) {
    head_.append("Connection: keep-alive\r\n");
  }
  head_.append("\r\n");
  return head_;
}

bool ResponseWriter::HasBody(const Response& response, Framing framing) {
  return !framing.head && !HasNoContent(response.status);
}

// RFC 9110, 5.6.7, made once a second.
const std::string& ResponseWriter::Date() {
  timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != date_time_ || date_.empty()) {
    date_time_ = now.tv_sec;
    std::tm utc;
    gmtime_r(&date_time_, &utc);
    char text[64];
    date_.assign(text, strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc));
  }
  return date_;
}

Response PlainResponse(int status, const std::string& reason) {
  Response response;
  response.status = status;
  response.body = reason + "\n";
  return response;
}

}  // namespace graceful
