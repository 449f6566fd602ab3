#ifndef GRACEFUL_RELOAD_CONNECTIONS_H_
#define GRACEFUL_RELOAD_CONNECTIONS_H_

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "reload/log.h"
#include "reload/request_parser.h"
#include "reload/response_writer.h"
#include "reload/settings.h"
#include "reload/slot.h"
#include "reload/tasks/task_client.h"

namespace graceful {

// Moves a slot's connections through their states (State in connection_table.h): reads requests,
// has them answered, writes the responses. Used by the worker that holds the slot.
//
// Every step ends in one Record::Commit(), so a successor can go on after a death at any point.
// What is kept here beside the table is only a parser's memory of bytes that are in the table.
class Connections {
 public:
  // Answers a request. May throw: that is a 500.
  using Answer = std::function<void(const Request&, Response&)>;

  // Answers a request that has waited for a task.
  using Finish = std::function<void(const TaskResult&, const Request&, Response&)>;

  Connections(Slot& slot, const Settings& settings, const Worker& worker, Answer answer,
              const Log& log, Finish finish = {});

  // For the handler while it answers: a task that is handed over when it has. Throws as
  // Worker::StartTask() says.
  std::string StartTask(std::string_view payload);

  // Adds the slot's listeners and its inbox to its epoll.
  void StartAccepting();

  // Takes up to a batch of connections from a listener; false when no more wait. When descriptors
  // or room run out, it leaves them waiting until a connection closes.
  bool Accept(int listener);

  // Takes what waits in the inbox, for as long as no message from the keeper comes.
  void ReceiveParcels();

  // The same with every listener and the inbox; false when nobody came.
  bool AcceptWaiting();

  // Takes one message from the inbox; false when there is none, or no descriptor for it.
  bool ReceiveParcel();

  // The epoll says that the connection can be read or written, or is broken.
  void OnReady(int fd);

  // Cuts off what has waited beyond its deadline. Milliseconds to the next one, -1 for none.
  int EnforceDeadlines();

  // For a stop: no new connections; every response is the last on its connection.
  void Drain();
  // For a slot that is given up: sends the connections to the inboxes in turn, which are
  // descriptors of this process. Stops at the deadline (ClockMs()) and says how many are left.
  uint32_t GiveAway(const std::vector<int>& inboxes, uint32_t deadline);

  // After a death: makes the table consistent again and goes on with what the dead worker had in
  // hand. The listeners and the inbox included. `was_stuck`: it was killed for a request that did
  // not end, which is not tried again.
  void Recover(bool was_stuck);

  // Requests that were given to the handler by this process.
  uint64_t Requests() const { return requests_; }

 private:
  enum class Input { kNeedsMore, kHasMore, kLast };

  Record& At(int fd) { return slot_.table.At(fd); }
  BufferPool& Pool() { return slot_.table.Pool(); }

  void Add(int fd, const Progress& progress);
  bool Watch(int operation, int fd);
  void Close(int fd, bool by_peer);
  void Linger(int fd);
  bool IsFull() const;
  int FirstSpare() const;
  bool HasDescriptorBelow(int limit) const;
  void PauseAccepting(const char* why);
  void StopAccepting();
  void ResumeAccepting();
  void LookAgainForRoom();
  void WatchInbox(bool watched);
  void FinishIdle(int fd);
  void SetDeadline(Progress& progress, double seconds);

  IoNote& Note(IoNote::Kind kind, int fd, const void* data, size_t size);
  bool Receive(int fd);
  bool MakeRoom(int fd);
  void Advance(int fd);
  Input AnswerBuffered(int fd);
  Input WaitForMore(int fd, std::unique_ptr<RequestParser> parser);
  Input AnswerRequest(int fd, RequestParser& parser, const TaskResult* result = nullptr);
  void RunHandler(const Request& request, const TaskResult* result);
  const std::string& HandlerFailed(std::string_view request, const char* why,
                                   ResponseWriter::Framing framing);
  void ResetResponse();
  Input Refuse(int fd, int status, const std::string& reason);
  bool AppendAnswer(Progress& progress, std::string_view head, std::string_view body,
                    Extent& outgrown);
  bool Flush(int fd);
  void FinishAnswer(int fd, Progress progress);
  void WaitToWrite(int fd, Progress progress);
  void Discard(int fd);

  // parcels.cc
  bool SendParcel(int fd, int inbox, uint32_t deadline);
  void UnpackParcel();
  std::pair<int, int> InboxDescriptors();
  void Forget(int fd);

  // waiting.cc
  Input WaitForTask(int fd, Progress progress);
  Input HoldBack(int fd, Progress progress, size_t size);
  Input HandOver(int fd, const Progress& progress);
  void AskAgain(int fd);
  void AskAgainForAll();
  void OnWaitingReady(int fd);
  void UnpackInbox();
  void UnpackNotices();
  void OnNotice(const TaskNotice& notice, std::string_view text);
  void Release(int fd, const RequestParser& parser);
  void RefuseTask(int fd, std::string_view why);

  // recovery.cc
  void ApplyNote();
  static bool IsPossible(const Progress& progress);
  bool IsSound(const Progress& progress);
  void RetryHeld(int fd, bool was_stuck);
  void AnswerInstead(int fd, Progress progress, const RequestParser& parser, Response response);
  std::vector<int> OpenConnections();
  void AdoptStrays(const std::vector<int>& sockets);

  Slot& slot_;
  const Settings& settings_;
  const Worker& worker_;
  const Answer answer_;
  const Finish finish_;
  const Log& log_;
  const RequestLimits limits_;
  ResponseWriter writer_;
  Response response_;
  std::unique_ptr<RequestParser> parser_;  // for the next request that is not begun yet
  std::unordered_map<int, std::unique_ptr<RequestParser>> begun_;
  bool accepting_ = true;
  bool paused_ = false;  // not accepting, until there is room again
  bool said_full_ = false;
  bool inbox_paused_ = false;
  bool in_handler_ = false;
  TaskClient tasks_;
  uint64_t requests_ = 0;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_CONNECTIONS_H_
