#include "reload/tasks/task_post.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "signals/check.h"

namespace graceful {

namespace {

// Messages that are read with one system call, and in one go.
constexpr size_t kBatch = 32;
constexpr size_t kRounds = 16;

// Between their buffers: not a power of two, so that they don't share the same few cache lines.
constexpr size_t kStride = kMessageBytes + 320;

std::string ReadFile(int fd, size_t size) {
  std::string text(size, '\0');
  const ssize_t got = pread(fd, text.data(), size, 0);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

UniqueFd TakeDescriptor(msghdr& header) {
  const cmsghdr* rights = CMSG_FIRSTHDR(&header);
  if (rights == nullptr || rights->cmsg_type != SCM_RIGHTS) return UniqueFd();
  int fd;
  std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
  return UniqueFd(fd);
}

}  // namespace

TaskPost::TaskPost(UniqueFd calls, int epoll)
    : calls_(std::move(calls)), epoll_(epoll), buffers_(kBatch * kStride) {}

void TaskPost::SetInbox(int slot, UniqueFd inbox) {
  boxes_.erase(slot);
  if (inbox) boxes_[slot].inbox = std::move(inbox);
}

bool TaskPost::Receive(const std::function<void()>& before, const OnCall& on_call) {
  struct alignas(cmsghdr) Control {
    char bytes[CMSG_SPACE(sizeof(int))];
  };
  mmsghdr messages[kBatch];
  iovec vectors[kBatch];
  Control controls[kBatch];
  for (size_t round = 0; round < kRounds; ++round) {
    for (size_t i = 0; i < kBatch; ++i) {
      vectors[i] = {buffers_.data() + i * kStride, kMessageBytes};
      messages[i] = {};
      messages[i].msg_hdr.msg_iov = &vectors[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = controls[i].bytes;
      messages[i].msg_hdr.msg_controllen = sizeof controls[i].bytes;
    }
    const int count = RetryInterrupted([&] {
      return recvmmsg(calls_.Get(), messages, kBatch, MSG_DONTWAIT | MSG_CMSG_CLOEXEC, nullptr);
    });
    if (count == -1 && errno == EAGAIN) return true;
    Check(count, "recvmmsg");
    before();
    for (int i = 0; i < count; ++i) {
      const size_t size = messages[i].msg_len;
      if (size == 0) return false;
      const UniqueFd attached = TakeDescriptor(messages[i].msg_hdr);
      if (size < sizeof(TaskCall)) continue;  // none of ours
      TaskCall call;
      const char* bytes = static_cast<const char*>(vectors[i].iov_base);
      std::memcpy(&call, bytes, sizeof call);
      if (attached) {
        on_call(call, ReadFile(attached.Get(), call.size));
      } else {
        on_call(call, {bytes + sizeof call, size - sizeof call});
      }
    }
    if (static_cast<size_t>(count) < kBatch) return true;
  }
  return true;
}

void TaskPost::Tell(int slot, TaskNotice notice, std::string_view text) {
  const auto box = boxes_.find(slot);
  if (box == boxes_.end()) return;
  std::deque<Letter>& letters = box->second.letters;
  notice.size = static_cast<uint32_t>(text.size());
  const std::string_view head(reinterpret_cast<const char*>(&notice), sizeof notice);
  const bool is_large = !FitsInline(sizeof(InboxKind) + sizeof notice + text.size());
  const auto takes_more = [&](const Letter& letter) {
    return !letter.attached && letter.bytes.size() >= sizeof(InboxKind) + sizeof notice &&
           FitsInline(letter.bytes.size() + sizeof notice + text.size());
  };
  if (is_large || letters.empty() || !takes_more(letters.back())) {
    constexpr InboxKind kKind = InboxKind::kNotices;
    letters.push_back({std::string(reinterpret_cast<const char*>(&kKind), sizeof kKind), {}});
  }
  Letter& letter = letters.back();
  letter.bytes += head;
  if (is_large) {
    letter.attached = MakeByteFile({text});
  } else {
    letter.bytes += text;
  }
}

void TaskPost::AskAll() {
  constexpr InboxKind kKind = InboxKind::kAskAgain;
  for (auto& [slot, box] : boxes_) {
    box.letters.push_back({std::string(reinterpret_cast<const char*>(&kKind), sizeof kKind), {}});
  }
}

void TaskPost::Flush() {
  for (auto& [slot, box] : boxes_) {
    if (!box.letters.empty()) FlushBox(box);
  }
}

void TaskPost::FlushBox(Box& box) {
  bool full = false;
  while (!box.letters.empty() && !full) {
    const Letter& letter = box.letters.front();
    if (SendMessage(box.inbox.Get(), letter.bytes, letter.attached.Get())) {
      box.letters.pop_front();
    } else if (errno == EAGAIN || errno == ETOOMANYREFS) {
      full = true;
    } else {
      box.letters.clear();  // the slot was given up: its connections ask from another
    }
  }
  if (full == box.waits) return;
  box.waits = full;
  epoll_event event = {EPOLLOUT, {.fd = box.inbox.Get()}};
  epoll_ctl(epoll_, full ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, box.inbox.Get(), &event);
}

}  // namespace graceful
