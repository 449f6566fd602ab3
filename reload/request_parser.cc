#include "reload/request_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>
#include <string>
#include <vector>

namespace graceful {

namespace {

namespace http = boost::beast::http;
using BeastString = boost::beast::string_view;
using ErrorCode = boost::beast::error_code;

// A piece of the request, as an offset from its first byte: the buffer may move.
struct Piece {
  uint32_t begin;
  uint32_t size;

  std::string_view In(std::string_view bytes) const { return bytes.substr(begin, size); }
};

struct Field {
  Piece name;
  Piece value;
};

// A large chunked body does not stay in the memory of a worker that once saw it.
constexpr size_t kKeptChunkBytes = 64 * 1024;

struct Refusal {
  int status;
  const char* reason;
};

constexpr Refusal kHeaderTooLarge = {431, "the header is too large"};

bool IsIdempotentVerb(http::verb verb) {
  switch (verb) {
    case http::verb::get:
    case http::verb::head:
    case http::verb::put:
    case http::verb::delete_:
    case http::verb::options:
    case http::verb::trace:
      return true;
    default:
      return false;
  }
}

Refusal MakeRefusal(const ErrorCode& error) {
  if (error == http::error::header_limit) return kHeaderTooLarge;
  if (error == http::error::body_limit) return {413, "the body is too large"};
  if (error == http::error::bad_version) return {505, "the version is not HTTP/1.0 or HTTP/1.1"};
  if (error == http::error::bad_method) return {400, "the method is malformed"};
  if (error == http::error::bad_target) return {400, "the request target is malformed"};
  if (error == http::error::bad_field) return {400, "a field name is malformed"};
  if (error == http::error::bad_value) return {400, "a field value is malformed"};
  if (error == http::error::bad_content_length) {
    return {400, "Content-Length is malformed, repeated, or beside Transfer-Encoding"};
  }
  if (error == http::error::bad_transfer_encoding) {
    return {400, "Transfer-Encoding is malformed, repeated, or beside Content-Length"};
  }
  return {400, "the request is malformed"};
}

}  // namespace

class RequestParser::Grammar {
 public:
  explicit Grammar(RequestLimits limits) : limits_(limits) {}

  void Reset() {
    beast_.emplace(*this);
    // Counts the request line and the fields apart; the limit on both is looked at here.
    beast_->header_limit(limits_.header_bytes + 4);
    beast_->body_limit(limits_.body_bytes);
    beast_->eager(true);
    consumed_ = header_size_ = 0;
    fields_.clear();
    headers_.clear();
    if (chunks_.capacity() > kKeptChunkBytes) std::string().swap(chunks_);
    chunks_.clear();
    hosts_ = encodings_ = 0;
    expects_continue_ = false;
    refusal_ = {};
  }

  Outcome Parse(std::string_view bytes) {
    if (beast_->is_done()) return Outcome::kComplete;
    bytes_ = bytes;
    ErrorCode error;
    consumed_ += beast_->put(
        boost::asio::const_buffer(bytes.data() + consumed_, bytes.size() - consumed_), error);
    if (error && error != http::error::need_more) {
      if (refusal_.status == 0) refusal_ = MakeRefusal(error);
      return Outcome::kBad;
    }
    // As long as a request is not whole, all that came is of it.
    const size_t size = beast_->is_done() ? consumed_ : bytes.size();
    if (!HeaderDone() && size > limits_.header_bytes) {
      refusal_ = kHeaderTooLarge;
      return Outcome::kBad;
    }
    // Chunk headers, extensions and trailers count against no limit of Beast's.
    if (HeaderDone() && size > header_size_ + 2 * size_t{limits_.body_bytes} + 4096) {
      refusal_ = {413, "the chunks are too large"};
      return Outcome::kBad;
    }
    return beast_->is_done() ? Outcome::kComplete : Outcome::kNeedMore;
  }

  bool HeaderDone() const { return header_size_ != 0; }
  size_t Size() const { return consumed_; }

  size_t ExpectedSize() const {
    if (!HeaderDone()) return 0;
    const auto length = beast_->content_length();
    return length ? header_size_ + *length : 0;
  }

  bool ExpectsContinue() const { return expects_continue_ && HeaderDone() && !beast_->is_done(); }
  bool KeepAlive() const { return beast_->keep_alive(); }
  bool IsHttp10() const { return version_ == 10; }
  http::verb Verb() const { return verb_; }
  const Refusal& WhyBad() const { return refusal_; }

  Request MakeRequest(std::string_view bytes, const Worker& worker) {
    for (const Field& field : fields_) {
      headers_.push_back({field.name.In(bytes), field.value.In(bytes)});
    }
    const std::string_view body = beast_->chunked()
                                      ? std::string_view(chunks_)
                                      : bytes.substr(header_size_, consumed_ - header_size_);
    return {worker, method_.In(bytes), target_.In(bytes), headers_, body};
  }

 private:
  class Beast : public http::basic_parser<true> {
   public:
    explicit Beast(Grammar& grammar) : grammar_(grammar) {}

   private:
    void on_request_impl(http::verb verb, BeastString method, BeastString target, int version,
                         ErrorCode&) override {
      grammar_.OnRequestLine(verb, method, target, version);
    }
    void on_field_impl(http::field field, BeastString name, BeastString value,
                       ErrorCode& error) override {
      grammar_.OnField(field, name, value, error);
    }
    void on_header_impl(ErrorCode& error) override { grammar_.OnHeaderEnd(error); }
    void on_body_init_impl(const boost::optional<std::uint64_t>&, ErrorCode&) override {}
    std::size_t on_body_impl(BeastString piece, ErrorCode&) override { return piece.size(); }
    void on_chunk_header_impl(std::uint64_t, BeastString, ErrorCode&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, BeastString piece, ErrorCode&) override {
      grammar_.chunks_.append(piece.data(), piece.size());
      return piece.size();
    }
    void on_finish_impl(ErrorCode&) override {}
    // Pure in the base class of both directions; a request has no status line.
    void on_response_impl(int, BeastString, int, ErrorCode&) override {}

    Grammar& grammar_;
  };

  Piece MakePiece(BeastString text) const {
    return {static_cast<uint32_t>(text.data() - bytes_.data()), static_cast<uint32_t>(text.size())};
  }

  bool IsInBytes(BeastString text) const {
    return text.empty() ||
           (text.data() >= bytes_.data() && text.data() + text.size() <= bytes_.end());
  }

  void Refuse(int status, const char* reason, ErrorCode& error) {
    refusal_ = {status, reason};
    error = http::error::bad_value;
  }

  void OnRequestLine(http::verb verb, BeastString method, BeastString target, int version) {
    verb_ = verb;
    method_ = MakePiece(method);
    target_ = MakePiece(target);
    version_ = version;
  }

  void OnField(http::field field, BeastString name, BeastString value, ErrorCode& error) {
    if (HeaderDone()) return;  // a trailer: nothing here needs one (RFC 9110, 6.5.1)
    // Beast joins a folded value in a buffer of its own; a server may refuse it (RFC 9112, 5.2).
    if (!IsInBytes(value)) return Refuse(400, "a header field is folded over lines", error);
    if (field == http::field::host) ++hosts_;
    if (field == http::field::transfer_encoding) {
      // One coding, and no proxy between us and the client can see another (RFC 9112, 6.1).
      if (++encodings_ > 1) return Refuse(400, "Transfer-Encoding is repeated", error);
      if (!boost::beast::iequals(value, "chunked")) {
        return Refuse(501, "the only transfer coding understood is chunked", error);
      }
    }
    if (field == http::field::expect) {
      if (!boost::beast::iequals(value, "100-continue")) {
        return Refuse(417, "the only expectation understood is 100-continue", error);
      }
      expects_continue_ = version_ >= 11;
    }
    const Piece name_piece = MakePiece(name);
    fields_.push_back({name_piece, value.empty() ? Piece{name_piece.begin + name_piece.size, 0}
                                                 : MakePiece(value)});
  }

  void OnHeaderEnd(ErrorCode& error) {
    header_size_ = HeaderSize();
    if (header_size_ > limits_.header_bytes) {
      return Refuse(kHeaderTooLarge.status, kHeaderTooLarge.reason, error);
    }
    // RFC 9112, 3.2: exactly one Host.
    if (hosts_ > 1) return Refuse(400, "Host is repeated", error);
    if (hosts_ == 0 && version_ >= 11) return Refuse(400, "Host is missing", error);
    if (encodings_ > 0 && version_ < 11) {
      return Refuse(400, "Transfer-Encoding needs HTTP/1.1", error);
    }
    if (verb_ == http::verb::connect) return Refuse(501, "CONNECT is not supported", error);
  }

  // Where the header ends. Beast reports its end but not where it was, so look: the blank line is
  // the first one after the last field.
  size_t HeaderSize() const {
    const Piece last = fields_.empty() ? target_ : fields_.back().value;
    return bytes_.find("\r\n\r\n", last.begin + last.size) + 4;
  }

  const RequestLimits limits_;
  std::optional<Beast> beast_;
  std::string_view bytes_;  // during Parse() only
  size_t consumed_ = 0;
  size_t header_size_ = 0;
  http::verb verb_ = http::verb::unknown;
  int version_ = 0;
  Piece method_ = {};
  Piece target_ = {};
  std::vector<Field> fields_;
  std::vector<Header> headers_;
  std::string chunks_;
  int hosts_ = 0;
  int encodings_ = 0;
  bool expects_continue_ = false;
  Refusal refusal_ = {};
};

RequestParser::RequestParser(RequestLimits limits) : grammar_(std::make_unique<Grammar>(limits)) {
  Reset();
}

RequestParser::~RequestParser() = default;

void RequestParser::Reset() { grammar_->Reset(); }

RequestParser::Outcome RequestParser::Parse(std::string_view bytes) {
  return grammar_->Parse(bytes);
}

bool RequestParser::HeaderDone() const { return grammar_->HeaderDone(); }
size_t RequestParser::Size() const { return grammar_->Size(); }
size_t RequestParser::ExpectedSize() const { return grammar_->ExpectedSize(); }
int RequestParser::Status() const { return grammar_->WhyBad().status; }
const char* RequestParser::Reason() const { return grammar_->WhyBad().reason; }
bool RequestParser::ExpectsContinue() const { return grammar_->ExpectsContinue(); }
bool RequestParser::KeepAlive() const { return grammar_->KeepAlive(); }
bool RequestParser::IsHttp10() const { return grammar_->IsHttp10(); }
bool RequestParser::IsHead() const { return grammar_->Verb() == http::verb::head; }
bool RequestParser::IsIdempotent() const { return IsIdempotentVerb(grammar_->Verb()); }

Request RequestParser::MakeRequest(std::string_view bytes, const Worker& worker) {
  return grammar_->MakeRequest(bytes, worker);
}

}  // namespace graceful
