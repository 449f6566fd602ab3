#include "reload/worker.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <random>
#include <string>

#include "reload/connections.h"
#include "reload/loaded_handler.h"
#include "reload/master_signals.h"
#include "reload/worker_identity.h"
#include "signals/check.h"

namespace graceful {

namespace {

constexpr int kEventBatch = 64;

std::string Role(const Slot& slot) { return "worker " + std::to_string(slot.number); }

class WorkerProcess : public WorkerIdentity {
 public:
  explicit WorkerProcess(const WorkerStart& start)
      : WorkerIdentity(start.slot.number, start.generation, start.settings),
        slot_(start.slot),
        settings_(start.settings),
        channel_(start.channel),
        log_(start.log.As(Role(start.slot))),
        handler_(start.image),
        connections_(
            slot_, settings_, *this,
            [this](const Request& request, Response& response) { handler_.Run(request, response); },
            log_,
            [this](const TaskResult& result, const Request& request, Response& response) {
              handler_.Finish(result, request, response);
            }),
        max_requests_(PickMaxRequests()) {
    handler_.RequireTasks(settings_.task_worker_num);
    handler_.Start(*this);
  }

  std::string StartTask(std::string_view payload) const override {
    return connections_.StartTask(payload);
  }

  // Until the slot was passed on, drained or given away.
  void Run() {
    channel_.Send({.what = "ready", .pid = getpid()});
    Take(Expect("take"));
    for (;;) {
      ServeUntilInterrupted();
      const std::optional<Message> message = channel_.Receive();
      slot_.table.Interrupt() = false;
      if (!message) return;  // the keeper has gone
      if (message->what == "pass") return Leave("passed");
      if (message->what == "drain") {
        Drain();
        return Leave("drained");
      }
      if (message->what == "give") {
        const uint32_t left = connections_.GiveAway(message->numbers, Deadline());
        return Leave("given", static_cast<int>(left));
      }
    }
  }

  void Stop() const { handler_.Stop(); }

 private:
  Message Expect(const char* what) const {
    std::optional<Message> message = channel_.Receive();
    if (!message || message->what != what) std::_Exit(0);  // the keeper changed its mind
    return std::move(*message);
  }

  void Take(const Message& message) {
    epoll_event event = {EPOLLIN, {.u64 = EventData(EventKind::kControl, channel_.Get())}};
    Check(epoll_ctl(slot_.epoll.Get(), EPOLL_CTL_ADD, channel_.Get(), &event), "epoll_ctl",
          "add control");
    if (message.text == "recover") connections_.Recover(/*was_stuck=*/message.number != 0);
    connections_.StartAccepting();
  }

  void Leave(const char* what, int number = 0) {
    epoll_ctl(slot_.epoll.Get(), EPOLL_CTL_DEL, channel_.Get(), nullptr);
    channel_.Send({.what = what, .number = number, .pid = getpid()});
  }

  void ServeUntilInterrupted() {
    while (!slot_.table.Interrupt()) {
      ServeBatch(connections_.EnforceDeadlines());
      if (max_requests_ != 0 && connections_.Requests() >= max_requests_) {
        max_requests_ = 0;
        channel_.Send({.what = "tired", .pid = getpid()});
      }
    }
  }

  // Events that the interrupt leaves untouched are reported again, to the next worker.
  void ServeBatch(int timeout) {
    slot_.status.buffer_pages.store(slot_.table.Pool().PagesTaken(), std::memory_order_relaxed);
    epoll_event events[kEventBatch];
    const int count = epoll_wait(slot_.epoll.Get(), events, kEventBatch, timeout);
    if (count == -1 && errno != EINTR) ThrowErrno(errno, "epoll_wait");
    for (int i = 0; i < count && !slot_.table.Interrupt(); ++i) {
      const int fd = FdOf(events[i].data.u64);
      switch (KindOf(events[i].data.u64)) {
        case EventKind::kConnection:
          connections_.OnReady(fd);
          break;
        case EventKind::kListener:
          connections_.Accept(fd);
          break;
        case EventKind::kInbox:
          connections_.ReceiveParcels();
          break;
        case EventKind::kControl:  // the interrupt comes with it
          break;
      }
    }
  }

  uint32_t Deadline() const { return ClockMs() + Milliseconds(settings_.max_wait_time); }

  void Drain() {
    const uint32_t deadline = Deadline();
    connections_.Drain();
    for (;;) {
      connections_.EnforceDeadlines();  // may close the last one
      if (slot_.status.connections == 0 && !connections_.AcceptWaiting()) return;
      if (Passed(deadline, ClockMs())) return;
      const int next = connections_.EnforceDeadlines();
      const int left = static_cast<int>(deadline - ClockMs());
      ServeBatch(next == -1 ? left : std::min(next, left));
    }
  }

  // A tenth more or less, so that the workers of a server don't all go at the same moment.
  uint64_t PickMaxRequests() const {
    const uint64_t tenth = settings_.max_request / 10;
    std::random_device random;
    return settings_.max_request == 0
               ? 0
               : std::uniform_int_distribution<uint64_t>(settings_.max_request - tenth,
                                                         settings_.max_request + tenth)(random);
  }

  graceful::Slot& slot_;
  const Settings& settings_;
  Channel& channel_;
  const Log log_;
  LoadedHandler handler_;
  mutable Connections connections_;  // StartTask() is const for the handler
  uint64_t max_requests_;
};

// Tells the keeper why, when the handler can't be loaded or does not start.
std::unique_ptr<WorkerProcess> Load(const WorkerStart& start) {
  std::string reason;
  try {
    return std::make_unique<WorkerProcess>(start);
  } catch (const std::exception& error) {
    reason = error.what();
  } catch (...) {
    reason = "OnWorkerStart threw what is no std::exception";
  }
  start.channel.Send({.what = "failed", .text = reason, .pid = getpid()});
  std::_Exit(1);
}

}  // namespace

// The stack is a copy of the keeper's, and the descriptors are the keeper's own: this never
// returns into it, and exit(3) runs no destructor of an object there.
void RunWorker(const WorkerStart& start) {
  try {
    LeaveSignalsToMaster();
    prctl(PR_SET_NAME, ("worker " + std::to_string(start.slot.number)).c_str());
    // Without its keeper a worker would serve what nobody can stop or replace.
    Check(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl");
    if (getppid() != start.keeper) std::_Exit(1);
    // Lets the keeper's children read its stack, where Yama restricts that (stack_trace.h).
    prctl(PR_SET_PTRACER, start.keeper);
    // What a handler prints is on its way when the call returns, also if it crashes next.
    std::setvbuf(stdout, nullptr, _IONBF, 0);
    const std::unique_ptr<WorkerProcess> worker = Load(start);
    worker->Run();
    worker->Stop();
    std::exit(0);
  } catch (const std::exception& error) {
    start.log.As(Role(start.slot)).Error("cannot go on: {}", error.what());
    std::_Exit(1);
  }
}

}  // namespace graceful
