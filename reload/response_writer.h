#ifndef GRACEFUL_RELOAD_RESPONSE_WRITER_H_
#define GRACEFUL_RELOAD_RESPONSE_WRITER_H_

#include <ctime>
#include <string>

#include "reload/handler.h"

namespace graceful {

// Turns a Response into the bytes of an HTTP/1.1 response (RFC 9112, 4).
class ResponseWriter {
 public:
  // How the request asks to be answered.
  struct Framing {
    bool close = false;   // the last response on its connection
    bool head = false;    // a HEAD request: the header alone
    bool http10 = false;  // needs "keep-alive" said when it is kept
  };

  // The status line and the header, up to and with the blank line, valid until the next call.
  // Throws std::invalid_argument when the response can't be sent: a status that is none, a header
  // name or value that would break the framing, a header that belongs to the server.
  const std::string& Head(const Response& response, Framing framing);

  // Whether the body follows the head: not for HEAD, 204 and 304.
  static bool HasBody(const Response& response, Framing framing);

 private:
  const std::string& Date();

  std::string head_;
  std::time_t date_time_ = 0;
  std::string date_;
};

// A small response with its reason as the body, for what the server answers by itself.
Response PlainResponse(int status, const std::string& reason);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_RESPONSE_WRITER_H_
