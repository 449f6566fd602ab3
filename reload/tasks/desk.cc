#include "reload/tasks/desk.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "reload/clock.h"
#include "signals/check.h"

namespace graceful {

namespace {

constexpr size_t kPage = 4096;

// What a large task has touched is given back to the kernel.
constexpr uint32_t kLargeBytes = 64 * 1024;

// The keeper is told of results this often while more tasks are in hand.
constexpr uint64_t kTellMicros = 500;

// Of the processor's cache. Places that are pages apart would share the same few lines.
constexpr size_t kLine = 64;

size_t RoundUpToLine(size_t size) { return (size + kLine - 1) / kLine * kLine; }
size_t RoundUpToPage(size_t size) { return (size + kPage - 1) / kPage * kPage; }

uint64_t NowMicros() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

bool IsBefore(uint32_t a, uint32_t b) { return static_cast<int32_t>(a - b) < 0; }

void Count(const UniqueFd& events) {
  const uint64_t one = 1;
  RetryInterrupted([&] { return write(events.Get(), &one, sizeof one); });
}

}  // namespace

Desk::Desk(uint32_t max_size)
    : stride_(RoundUpToLine(max_size) + kLine),
      size_(RoundUpToPage(sizeof(Shared)) + RoundUpToPage(2 * kPlaces * stride_)),
      to_worker_(Check(eventfd(0, EFD_CLOEXEC), "eventfd")),
      to_keeper_(Check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
  void* mapping = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) ThrowErrno(errno, "mmap", std::to_string(size_) + " bytes");
  mapping_ = static_cast<char*>(mapping);
  shared_ = reinterpret_cast<Shared*>(mapping_);
  bytes_ = mapping_ + RoundUpToPage(sizeof(Shared));
}

Desk::~Desk() { munmap(mapping_, size_); }

// --- The task keeper's side ---------------------------------------------------------------------

bool Desk::HasRoom() const {
  return in_hand_.empty() || shared_->given - in_hand_.front().number < kPlaces;
}

void Desk::Put(const StoredTask& task) {
  const uint32_t number = shared_->given;
  Place& place = shared_->places[number % kPlaces];
  place.id = task.id;
  place.attempts = task.attempts;
  place.size = static_cast<uint32_t>(task.payload.size());
  std::memcpy(Payload(number), task.payload.data(), task.payload.size());
  in_hand_.push_back({number, task.id});
  shared_->given.store(number + 1, std::memory_order_release);
}

void Desk::Wake() {
  std::atomic_thread_fence(std::memory_order_seq_cst);  // Wait() has the other one
  if (shared_->sleeps.load(std::memory_order_relaxed) && shared_->sleeps.exchange(false)) {
    Count(to_worker_);
  }
}

std::optional<Desk::Result> Desk::TakeResult() {
  if (taken_) {
    const Place& place = shared_->places[*taken_ % kPlaces];
    GiveBackMemory(Payload(*taken_), place.size);
    GiveBackMemory(ResultText(*taken_), place.result_size);
    taken_.reset();
  }
  const uint32_t finished = shared_->finished.load(std::memory_order_acquire);
  if (in_hand_.empty() || !IsBefore(in_hand_.front().number, finished)) return std::nullopt;
  const uint32_t number = in_hand_.front().number;
  in_hand_.pop_front();
  taken_ = number;
  const Place& place = shared_->places[number % kPlaces];
  return Result{place.id, place.ok, {ResultText(number), place.result_size}, place.micros};
}

std::vector<TaskId> Desk::TakeBack() {
  uint64_t claim = shared_->claim;
  while (!shared_->claim.compare_exchange_weak(
      claim, MakeClaim(static_cast<uint32_t>(claim), shared_->given))) {
  }
  std::vector<TaskId> back;
  while (!in_hand_.empty() && !IsBefore(in_hand_.back().number, static_cast<uint32_t>(claim))) {
    back.push_back(in_hand_.back().id);
    in_hand_.pop_back();
  }
  return back;
}

std::optional<Desk::Running> Desk::IsRunning() const {
  const auto begun = static_cast<uint32_t>(shared_->claim.load(std::memory_order_acquire));
  if (begun == shared_->finished.load(std::memory_order_acquire)) return std::nullopt;
  for (const InHandTask& task : in_hand_) {
    if (task.number + 1 == begun) return Running{task.id, shared_->began};
  }
  return std::nullopt;
}

void Desk::GiveBackMemory(char* area, uint32_t size) const {
  if (size <= kLargeBytes) return;
  // The pages that are wholly within it: their neighbours are others' ends.
  const size_t begin = RoundUpToPage(static_cast<size_t>(area - mapping_));
  const size_t end = (static_cast<size_t>(area - mapping_) + size) / kPage * kPage;
  if (begin < end) madvise(mapping_ + begin, end - begin, MADV_REMOVE);
}

// --- The worker's side --------------------------------------------------------------------------

// The number of the next task, if there is one.
uint32_t Desk::Next(uint64_t claim) const {
  const auto taken_back = static_cast<uint32_t>(claim >> 32);
  return IsBefore(next_, taken_back) ? taken_back : next_;
}

std::optional<Desk::Work> Desk::Begin() {
  uint64_t claim = shared_->claim.load(std::memory_order_acquire);
  uint32_t number;
  shared_->began = ClockMs();  // first: from the claim on it runs
  do {
    number = Next(claim);
    if (number == shared_->given.load(std::memory_order_acquire)) return std::nullopt;
  } while (!shared_->claim.compare_exchange_weak(
      claim, MakeClaim(number + 1, static_cast<uint32_t>(claim >> 32))));
  next_ = number + 1;
  began_at_ = NowMicros();
  const Place& place = shared_->places[number % kPlaces];
  return Work{place.id, place.attempts, {Payload(number), place.size}};
}

void Desk::Finish(bool ok, std::string_view text) {
  const uint32_t number = next_ - 1;
  Place& place = shared_->places[number % kPlaces];
  std::string too_large;
  if (text.size() > stride_) {
    too_large =
        fmt::format("the result has {} bytes: task_max_size allows {}", text.size(), stride_);
    text = too_large;
    ok = false;
  }
  std::memcpy(ResultText(number), text.data(), text.size());
  place.result_size = static_cast<uint32_t>(text.size());
  place.ok = ok;
  const uint64_t now = NowMicros();
  place.micros = static_cast<uint32_t>(std::min<uint64_t>(now - began_at_, UINT32_MAX));
  shared_->finished.store(number + 1, std::memory_order_release);
  const bool last = number + 1 == shared_->given.load(std::memory_order_acquire);
  if (last || now - told_at_ >= kTellMicros || number + 1 - told_ >= kPlaces / 2) {
    told_ = number + 1;
    told_at_ = now;
    Count(to_keeper_);
  }
}

void Desk::Wait() {
  if (told_ != next_) {  // what was taken back left nothing that could be the last
    told_ = next_;
    Count(to_keeper_);
  }
  shared_->sleeps = true;
  std::atomic_thread_fence(std::memory_order_seq_cst);
  // What was put here before the keeper could see that we sleep is seen by us.
  if (Next(shared_->claim) != shared_->given || shared_->leave) {
    shared_->sleeps = false;
    return;
  }
  uint64_t events;
  RetryInterrupted([&] { return read(to_worker_.Get(), &events, sizeof events); });
}

}  // namespace graceful
