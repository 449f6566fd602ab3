#ifndef GRACEFUL_INTEGRATION_TESTS_WITNESS_RESPONSE_READER_H_
#define GRACEFUL_INTEGRATION_TESTS_WITNESS_RESPONSE_READER_H_

#include <memory>
#include <string>
#include <string_view>

namespace graceful {

// Gets a response's body as it comes, piece by piece.
class BodySink {
 public:
  virtual ~BodySink() = default;
  virtual void OnBody(std::string_view piece) = 0;
};

// Reads the responses of one connection, strictly by RFC 9112: Content-Length, chunked, to the
// end of the connection, and no body after HEAD, 1xx, 204 and 304.
//
//   reader.Feed(bytes);
//   while (reader.Read() == ResponseReader::Progress::kResponse) { ...; reader.Next(); }
class ResponseReader {
 public:
  enum class Progress {
    kNeedMore,
    kResponse,   // a whole one: Status(), AnnouncesClose()
    kMalformed,  // Error() says how; the connection is of no more use
  };

  // `sink` must outlive the reader. `head`: the requests are HEAD.
  ResponseReader(BodySink& sink, bool head);
  ~ResponseReader();

  // Adds bytes that the connection has read.
  void Feed(std::string_view bytes);

  // Reads on in the response that comes next. Interim responses (1xx) are passed over.
  Progress Read();

  // The connection has ended: kResponse for one that ends with it (RFC 9112, 6.3), kNeedMore for
  // one that is cut off.
  Progress End();

  // Goes on to the next response.
  void Next();

  // Back to the beginning, for a new connection.
  void Reset();

  int Status() const;
  bool AnnouncesClose() const;
  const std::string& Error() const { return error_; }

  // Has the response that comes next begun, with one byte at least?
  bool Begun() const;

  // What was fed and not read yet.
  std::string_view Unread() const { return std::string_view(pending_).substr(used_); }

 private:
  class Parser;

  Progress ReadOne();

  BodySink& sink_;
  const bool head_;
  std::unique_ptr<Parser> parser_;
  std::string pending_;
  size_t used_ = 0;  // of pending_
  std::string error_;
};

}  // namespace graceful

#endif  // GRACEFUL_INTEGRATION_TESTS_WITNESS_RESPONSE_READER_H_
