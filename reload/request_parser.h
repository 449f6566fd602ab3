#ifndef GRACEFUL_RELOAD_REQUEST_PARSER_H_
#define GRACEFUL_RELOAD_REQUEST_PARSER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "reload/handler.h"

namespace graceful {

struct RequestLimits {
  uint32_t header_bytes;  // request line and header fields; more is answered with 431
  uint32_t body_bytes;    // more is answered with 413
};

// Finds one HTTP/1.1 request in bytes that come piece by piece (RFC 9110, RFC 9112).
//
// The bytes stay where they are, in the connection's shared buffer; this remembers offsets into
// them only, so a worker that takes a connection over parses them again from the start and is
// where its predecessor was. Strict: what proxies could read differently is refused.
class RequestParser {
 public:
  enum class Outcome {
    kNeedMore,  // the bytes are a beginning of a request
    kComplete,  // a whole request; Size() says where it ends
    kBad,       // answer with Status() and close
  };

  explicit RequestParser(RequestLimits limits);
  ~RequestParser();

  // Begins a new request.
  void Reset();

  // Looks at the bytes of a request, from its first one on. Call again with more of them for
  // kNeedMore; the earlier bytes must be the same, though they may have moved.
  Outcome Parse(std::string_view bytes);

  bool HeaderDone() const;
  size_t Size() const;          // kComplete: bytes that the request takes
  size_t ExpectedSize() const;  // bytes that it will take, 0 when not known (yet)
  int Status() const;           // kBad: the status to answer with
  const char* Reason() const;   // kBad: what is wrong, for the answer's body

  // Once the header is done. `bytes` as for Parse().
  bool ExpectsContinue() const;  // sent "Expect: 100-continue" and not yet the body
  bool KeepAlive() const;
  bool IsHttp10() const;
  bool IsHead() const;
  // The safe and the idempotent methods (RFC 9110, 9.2.2): to run them twice is to run them once.
  bool IsIdempotent() const;

  // kComplete: the request, its views into `bytes` and into this parser.
  Request MakeRequest(std::string_view bytes, const Worker& worker);

 private:
  class Grammar;  // Boost.Beast, which stays out of this header

  std::unique_ptr<Grammar> grammar_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_REQUEST_PARSER_H_
