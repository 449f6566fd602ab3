#include "integration_tests/witness/response_reader.h"

#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <optional>

namespace graceful {

namespace beast = boost::beast;
namespace http = boost::beast::http;

namespace {

// Beast's parser knows the syntax and the framing; it calls back with what it finds.
class OneResponse : public http::basic_parser<false> {
 public:
  OneResponse(BodySink& sink, bool head) : sink_(sink) {
    eager(true);
    skip(head);
    // Not boost::none, which Boost 1.74 compares with as if it were 0.
    body_limit(std::numeric_limits<std::uint64_t>::max());
    header_limit(64 * 1024);
  }

  int Status() const { return status_; }

 private:
  void on_request_impl(http::verb, beast::string_view, beast::string_view, int,
                       beast::error_code&) override {}
  void on_response_impl(int code, beast::string_view, int, beast::error_code&) override {
    status_ = code;
  }
  void on_field_impl(http::field, beast::string_view, beast::string_view,
                     beast::error_code&) override {}
  void on_header_impl(beast::error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, beast::error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, beast::error_code&) override {
    return Pass(body);
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, beast::error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body,
                                 beast::error_code&) override {
    return Pass(body);
  }
  void on_finish_impl(beast::error_code&) override {}

  std::size_t Pass(beast::string_view body) {
    if (status_ >= 200) sink_.OnBody({body.data(), body.size()});
    return body.size();
  }

  BodySink& sink_;
  int status_ = 0;
};

}  // namespace

// A parser reads one message and cannot be used again; this holds the present one.
class ResponseReader::Parser : public std::optional<OneResponse> {};

ResponseReader::ResponseReader(BodySink& sink, bool head)
    : sink_(sink), head_(head), parser_(std::make_unique<Parser>()) {
  Next();
}

ResponseReader::~ResponseReader() = default;

void ResponseReader::Next() { parser_->emplace(sink_, head_); }

void ResponseReader::Reset() {
  pending_.clear();
  used_ = 0;
  error_.clear();
  Next();
}

void ResponseReader::Feed(std::string_view bytes) {
  pending_.erase(0, used_);
  used_ = 0;
  pending_ += bytes;
}

ResponseReader::Progress ResponseReader::ReadOne() {
  OneResponse& parser = **parser_;
  while (!parser.is_done()) {
    const std::string_view unread = Unread();
    if (unread.empty()) return Progress::kNeedMore;
    beast::error_code error;
    used_ += parser.put(boost::asio::const_buffer(unread.data(), unread.size()), error);
    if (error == http::error::need_more) return Progress::kNeedMore;
    if (error) {
      error_ = error.message();
      return Progress::kMalformed;
    }
  }
  return Progress::kResponse;
}

ResponseReader::Progress ResponseReader::Read() {
  while (true) {
    const Progress progress = ReadOne();
    // RFC 9110, 15.2: a client must be able to pass over interim responses; 101 is a final one.
    const bool interim = progress == Progress::kResponse && Status() / 100 == 1 && Status() != 101;
    if (!interim) return progress;
    Next();
  }
}

ResponseReader::Progress ResponseReader::End() {
  OneResponse& parser = **parser_;
  if (!parser.is_header_done()) return Progress::kNeedMore;
  beast::error_code error;
  parser.put_eof(error);
  return error ? Progress::kNeedMore : Progress::kResponse;
}

int ResponseReader::Status() const { return (*parser_)->Status(); }

bool ResponseReader::AnnouncesClose() const { return !(*parser_)->keep_alive(); }

bool ResponseReader::Begun() const { return (*parser_)->got_some() || !Unread().empty(); }

}  // namespace graceful
