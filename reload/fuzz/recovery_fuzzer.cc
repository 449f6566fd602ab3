// A slot whose worker died, or went wild before it died: its table, its notes and its pool hold
// what the input has made of them. Connections::Recover() must make a sound slot of it.
//
// An input is a list of changes, each a byte that says which and the bytes that it needs; see
// Change(). The scene before them is real: a listener, connections in every state, requests that
// were read and answered by the same code.

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reload/connections.h"
#include "reload/fuzz/check.h"
#include "signals/check.h"

namespace {

using graceful::BufferPool;
using graceful::Check;
using graceful::Connections;
using graceful::ConnectionTable;
using graceful::EventKind;
using graceful::Extent;
using graceful::IoNote;
using graceful::Parcel;
using graceful::Progress;
using graceful::Record;
using graceful::State;
using graceful::UniqueFd;

constexpr int kCapacity = 128;
constexpr int kMostChanges = 24;  // each may open two descriptors
constexpr size_t kPoolBytes = 512 * 1024;
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

class NoWorker : public graceful::Worker {
 public:
  int Slot() const override { return 0; }
  int Generation() const override { return 0; }
  std::string_view Setting(std::string_view) const override { return {}; }
};

void Answer(const graceful::Request& request, graceful::Response& response) {
  if (request.Path() == "/large") response.body.assign(60'000, 'x');
}

// What stays from input to input: a listener on a Unix socket, one on loopback, the settings.
struct Surroundings {
  Surroundings() {
    const char* base = std::getenv("TEST_TMPDIR");
    folder =
        std::string(base != nullptr && std::strlen(base) < 60 ? base : "/tmp") + "/fuzz-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) graceful::ThrowErrno(errno, "mkdtemp", folder);
    auto& path = reinterpret_cast<sockaddr_un&>(address[0]);
    path.sun_family = AF_UNIX;
    std::strcpy(path.sun_path, (folder + "/socket").c_str());
    auto& loopback = reinterpret_cast<sockaddr_in&>(address[1]);
    loopback.sin_family = AF_INET;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (const int i : {0, 1}) {
      constexpr int kType = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
      listener[i].Reset(Check(socket(address[i].ss_family, kType, 0), "socket"));
      auto* generic = reinterpret_cast<sockaddr*>(&address[i]);
      size[i] = i == 0 ? sizeof(sockaddr_un) : sizeof(sockaddr_in);
      Check(bind(listener[i].Get(), generic, size[i]), "bind", path.sun_path);
      Check(listen(listener[i].Get(), 64), "listen");
      Check(getsockname(listener[i].Get(), generic, &size[i]), "getsockname");
    }
    unlink_at_end = folder;
    std::atexit([] {
      unlink((unlink_at_end + "/socket").c_str());
      rmdir(unlink_at_end.c_str());
    });
  }

  // A client and what the server accepted; neither when the kernel has no port to give.
  UniqueFd Connect(int which) {
    UniqueFd client(
        Check(socket(address[which].ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    const linger reset = {1, 0};  // no port is kept in TIME_WAIT
    setsockopt(client.Get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    const auto* generic = reinterpret_cast<sockaddr*>(&address[which]);
    if (connect(client.Get(), generic, size[which]) == -1) return UniqueFd();
    Check(fcntl(client.Get(), F_SETFL, O_NONBLOCK), "fcntl");
    return client;
  }

  static inline std::string unlink_at_end;
  std::string folder;
  sockaddr_storage address[2] = {};
  socklen_t size[2];
  UniqueFd listener[2];
  graceful::Settings settings;
  NoWorker worker;
  UniqueFd nowhere{Check(open("/dev/null", O_WRONLY | O_CLOEXEC), "open")};
  graceful::Log log{nowhere.Get(), "worker 0"};
};

// The fuzzer's bytes, one number after another; zeros when they are over.
class Input {
 public:
  Input(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  bool Over() const { return size_ == 0; }
  template <typename Number>
  Number Take() {
    Number number = {};
    TakeTo(&number, sizeof number);
    return number;
  }
  void TakeTo(void* to, size_t size) {
    size = std::min(size, size_);
    if (size > 0) std::memcpy(to, data_, size);
    data_ += size;
    size_ -= size;
  }

 private:
  const uint8_t* data_;
  size_t size_;
};

class Scene {
 public:
  explicit Scene(Surroundings& surroundings)
      : surroundings_(surroundings),
        slot_{0,      UniqueFd(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
              {},     {surroundings.address[0], surroundings.address[1]},
              {},     ConnectionTable(kCapacity, kPoolBytes),
              status_} {
    for (const UniqueFd& listener : surroundings.listener) {
      slot_.listeners.emplace_back(
          Check(fcntl(listener.Get(), F_DUPFD_CLOEXEC, 0), "fcntl F_DUPFD_CLOEXEC"));
    }
    int ends[2];
    Check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
          "socketpair");
    slot_.inbox.Reset(ends[0]);
    inbox_in_.Reset(ends[1]);
    sealed_.Reset(Check(memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create"));
    Serve();
  }

  ~Scene() {
    // What a parcel brought that was not believed.
    for (int fd = 0; fd < kCapacity; ++fd) {
      if (fcntl(fd, F_GET_SEALS) == F_SEAL_SEAL) close(fd);
    }
  }

  void Change(Input& input);
  void Recover();
  void CheckIsSound();
  void CheckGoesOn();
  void CheckLeavesNothing();

 private:
  // Connections in every state, brought there by the code itself.
  void Serve();
  // Events until there are none. Were there always one, the worker would spin.
  void ServeUntilSilent();
  std::string ReadAll(const UniqueFd& client);
  int FdOf(Input& input) { return fds_.empty() ? 0 : fds_[input.Take<uint8_t>() % fds_.size()]; }
  static void ChangeProgress(Progress& progress, Input& input);
  template <typename Object>
  static void WriteOver(Object* object, size_t size, Input& input);
  void WriteParcel(Input& input);
  bool IsOurs(int fd) const;

  Surroundings& surroundings_;
  graceful::SlotStatus status_ = {};
  graceful::Slot slot_;
  UniqueFd inbox_in_;
  UniqueFd sealed_;  // such as the handler's image: not to be closed by anyone
  std::vector<UniqueFd> clients_;
  std::vector<int> fds_;     // the other ends, as the server has them
  std::set<int> untouched_;  // idle ones that no change was about: they must not be lost
  std::unique_ptr<Connections> connections_;
};

void Scene::Serve() {
  connections_ = std::make_unique<Connections>(slot_, surroundings_.settings, surroundings_.worker,
                                               Answer, surroundings_.log);
  connections_->StartAccepting();
  constexpr std::string_view kSent[] = {
      "",
      "",
      "GET / HT",
      "GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6000\r\n\r\nabc",
      "rubbish\r\n\r\n",
      "GET /large HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n",
  };
  for (size_t i = 0; i < std::size(kSent); ++i) {
    UniqueFd client = surroundings_.Connect(i == 1 ? 1 : 0);
    if (!client) continue;
    if (!kSent[i].empty()) {
      Check(send(client.Get(), kSent[i].data(), kSent[i].size(), MSG_NOSIGNAL), "send");
    }
    clients_.push_back(std::move(client));
    std::set<int> before;
    for (int fd = 0; fd < kCapacity; ++fd) {
      if (slot_.table.At(fd).Get().state != State::kFree) before.insert(fd);
    }
    while (connections_->AcceptWaiting()) {
    }
    for (int fd = 0; fd < kCapacity; ++fd) {
      if (slot_.table.At(fd).Get().state == State::kFree || before.contains(fd)) continue;
      fds_.push_back(fd);
      // So that a large answer does not go out at once.
      const int little = 4096;
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
      if (kSent[i].empty()) {
        untouched_.insert(fd);
      } else {
        connections_->OnReady(fd);
      }
    }
  }
}

void Scene::ChangeProgress(Progress& progress, Input& input) {
  const auto field = input.Take<uint8_t>();
  const auto number = input.Take<uint32_t>();
  uint32_t* const numbers[] = {&progress.in.page,   &progress.in.pages, &progress.in_begin,
                               &progress.in_end,    &progress.out.page, &progress.out.pages,
                               &progress.out_begin, &progress.out_end,  &progress.deadline};
  switch (field % 16) {
    case 9:
      progress.state = static_cast<State>(number);
      break;
    case 10:
      std::memcpy(&progress.close_after, &number, 1);
      break;
    case 11:
      std::memcpy(&progress.continue_sent, &number, 1);
      break;
    case 12:
      std::memcpy(&progress.waits_to_write, &number, 1);
      break;
    case 13:
      progress.deaths = static_cast<uint8_t>(number);
      break;
    case 14:
      progress = {.state = State::kHeld, .in = progress.in, .in_end = progress.in_end};
      break;
    case 15:
      progress = {};
      break;
    default:
      *numbers[field % 16] = number;
  }
}

template <typename Object>
void Scene::WriteOver(Object* object, size_t size, Input& input) {
  const size_t offset = input.Take<uint16_t>() % size;
  const size_t length = std::min<size_t>(input.Take<uint8_t>() % 32 + 1, size - offset);
  input.TakeTo(reinterpret_cast<char*>(object) + offset, length);
}

// A parcel as it lies there when a worker died between its coming and its unpacking.
void Scene::WriteParcel(Input& input) {
  graceful::InboxNote& note = slot_.table.Inbox();
  const auto kind = input.Take<uint8_t>();
  UniqueFd client = surroundings_.Connect(0);
  UniqueFd arrived(
      accept4(slot_.listeners[0].Get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  note.parcel = {};
  note.parcel.progress.state = State::kResting;
  note.parcel.unanswered = static_cast<uint32_t>(kGet.size());
  if ((kind & 1) != 0) ChangeProgress(note.parcel.progress, input);
  if ((kind & 2) != 0) note.parcel.unwritten = input.Take<uint32_t>();
  UniqueFd bytes(Check(memfd_create("parcel", MFD_CLOEXEC), "memfd_create"));
  Check(write(bytes.Get(), kGet.data(), kGet.size()), "write");
  int fds[2] = {arrived.Release(), bytes.Release()};
  if ((kind & 16) != 0) {
    close(fds[1]);
    fds[1] = input.Take<uint8_t>() % 2 == 0 ? sealed_.Get() : input.Take<uint8_t>() % 32;
  }
  if ((kind & 4) != 0) fds[0] = FdOf(input);
  if ((kind & 8) != 0) std::swap(fds[0], fds[1]);
  clients_.push_back(std::move(client));
  note.message.msg_len = (kind & 32) != 0 ? input.Take<uint32_t>() : sizeof(Parcel);
  note.message.msg_hdr.msg_controllen = sizeof note.control;
  cmsghdr rights = {CMSG_LEN(sizeof fds), SOL_SOCKET, SCM_RIGHTS};
  if ((kind & 64) != 0) rights.cmsg_len = input.Take<size_t>();
  std::memcpy(note.control, &rights, sizeof rights);
  std::memcpy(note.control + CMSG_LEN(0), fds, sizeof fds);
}

void Scene::Change(Input& input) {
  ConnectionTable& table = slot_.table;
  switch (input.Take<uint8_t>() % 13) {
    case 0: {  // a record, as the code would write it, with one field wrong
      const int fd = FdOf(input);
      untouched_.erase(fd);
      Progress progress = table.At(fd).Get();
      ChangeProgress(progress, input);
      return table.At(fd).Commit(progress);
    }
    case 1: {  // a record, anywhere in it
      const int fd = FdOf(input);
      untouched_.erase(fd);
      return WriteOver(&table.At(fd), sizeof(Record), input);
    }
    case 2: {  // a record of what is no connection
      const int fd = input.Take<uint8_t>() % kCapacity;
      untouched_.erase(fd);
      return WriteOver(&table.At(fd), sizeof(Record), input);
    }
    case 3: {  // the note of a read or write that ends now
      IoNote& note = table.Note();
      note.kind = static_cast<IoNote::Kind>(input.Take<uint8_t>() % 4);
      note.fd = FdOf(input);
      untouched_.erase(note.fd);
      note.version = table.At(note.fd).Version();
      note.message.msg_len = input.Take<uint32_t>();
      return;
    }
    case 4: {
      IoNote& note = table.Note();
      WriteOver(&note, sizeof note, input);
      untouched_.erase(note.fd);
      return;
    }
    case 5:
      return WriteParcel(input);
    case 6:
      return WriteOver(&table.Inbox(), sizeof(graceful::InboxNote), input);
    case 7:  // the header of the pool and its bitmap, in the page before the first
      return WriteOver(table.Pool().Data({0, 1}) - BufferPool::kPageSize, 128, input);
    case 8:  // the table's own: high water and the next deadline lie side by side
      return WriteOver(reinterpret_cast<char*>(&table.NextDeadline()) - sizeof(int),
                       sizeof(int) + sizeof(uint32_t), input);
    case 9:  // accepted, and not written down
      clients_.push_back(surroundings_.Connect(0));
      accept4(slot_.listeners[0].Get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      return;
    case 10: {  // closed, and not written down
      const int fd = FdOf(input);
      untouched_.erase(fd);
      if (IsOurs(fd)) close(fd);
      return;
    }
    case 12: {  // watched for something else than its record says, or not at all
      const int fd = FdOf(input);
      const auto how = input.Take<uint8_t>() % 3;
      epoll_event event = {how == 0 ? EPOLLIN : EPOLLOUT,
                           {.u64 = graceful::EventData(EventKind::kConnection, fd)}};
      epoll_ctl(slot_.epoll.Get(), how == 2 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD, fd, &event);
      return;
    }
    case 11: {  // what was read, or is to be written
      const Progress progress = table.At(FdOf(input)).Get();
      const Extent extent = input.Take<uint8_t>() % 2 == 0 ? progress.in : progress.out;
      if (!extent || extent.page >= kPoolBytes / BufferPool::kPageSize) return;
      return WriteOver(table.Pool().Data(extent), 64, input);
    }
  }
}

// A connection that the server has: neither a listener nor a client.
bool Scene::IsOurs(int fd) const {
  sockaddr_storage address = {};
  socklen_t size = sizeof address;
  int listens = 0;
  socklen_t listens_size = sizeof listens;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == -1) return false;
  getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size);
  if (listens != 0 ||
      address.ss_family != surroundings_.address[address.ss_family == AF_INET].ss_family) {
    return false;
  }
  if (address.ss_family == AF_INET) {
    return reinterpret_cast<sockaddr_in&>(address).sin_port ==
           reinterpret_cast<sockaddr_in&>(surroundings_.address[1]).sin_port;
  }
  return reinterpret_cast<sockaddr_un&>(address).sun_path[0] != '\0';
}

void Scene::Recover() {
  std::vector<int> keep = {0,
                           1,
                           2,
                           sealed_.Get(),
                           inbox_in_.Get(),
                           slot_.epoll.Get(),
                           slot_.inbox.Get(),
                           slot_.listeners[0].Get(),
                           slot_.listeners[1].Get(),
                           surroundings_.nowhere.Get()};
  for (const UniqueFd& client : clients_) {
    if (client) keep.push_back(client.Get());
  }
  const auto inodes = [&keep] {
    std::vector<ino_t> found;
    for (const int fd : keep) {
      struct stat status = {};
      fstat(fd, &status);
      found.push_back(status.st_ino);
    }
    return found;
  };
  const std::vector<ino_t> before = inodes();
  connections_ = std::make_unique<Connections>(slot_, surroundings_.settings, surroundings_.worker,
                                               Answer, surroundings_.log);
  connections_->Recover(/*was_stuck=*/false);
  connections_->StartAccepting();
  FUZZ_CHECK(inodes() == before);  // what is not a connection of the slot's is let alone
}

void Scene::CheckIsSound() {
  std::array<bool, kPoolBytes / BufferPool::kPageSize> taken = {};
  size_t pages = 0;
  uint32_t connections = 0;
  for (int fd = 0; fd < kCapacity; ++fd) {
    const Progress progress = slot_.table.At(fd).Get();
    const bool known = progress.state != State::kFree && fd < slot_.table.HighWater();
    FUZZ_CHECK(known == IsOurs(fd));
    if (!known) continue;
    ++connections;
    FUZZ_CHECK(progress.state == State::kResting || progress.state == State::kAnswering ||
               progress.state == State::kLingering);
    for (const Extent extent : {progress.in, progress.out}) {
      if (!extent) continue;
      FUZZ_CHECK(extent.page < taken.size() && extent.pages <= taken.size() - extent.page);
      for (uint32_t i = 0; i < extent.pages; ++i) {
        FUZZ_CHECK(!taken[extent.page + i]);
        taken[extent.page + i] = true;
      }
      pages += extent.pages;
    }
    FUZZ_CHECK(progress.in_begin <= progress.in_end &&
               progress.in_end <= BufferPool::Capacity(progress.in));
    FUZZ_CHECK(progress.out_begin <= progress.out_end &&
               progress.out_end <= BufferPool::Capacity(progress.out));
  }
  FUZZ_CHECK(slot_.table.Pool().PagesTaken() == pages);
  FUZZ_CHECK(status_.connections == connections);
  for (const int fd : untouched_) {
    FUZZ_CHECK(slot_.table.At(fd).Get().state == State::kResting);
  }
}

std::string Scene::ReadAll(const UniqueFd& client) {
  std::string text;
  char piece[1 << 16];
  while (client) {
    const ssize_t size = recv(client.Get(), piece, sizeof piece, MSG_DONTWAIT);
    if (size <= 0) break;
    text.append(piece, static_cast<size_t>(size));
  }
  return text;
}

void Scene::ServeUntilSilent() {
  for (int round = 0; round < 200; ++round) {
    epoll_event events[64];
    const int count = epoll_wait(slot_.epoll.Get(), events, 64, 0);
    for (int i = 0; i < count; ++i) {
      const int fd = graceful::FdOf(events[i].data.u64);
      switch (graceful::KindOf(events[i].data.u64)) {
        case EventKind::kConnection:
          connections_->OnReady(fd);
          break;
        case EventKind::kListener:
          connections_->Accept(fd);
          break;
        default:
          FUZZ_CHECK(false);
      }
    }
    bool read = false;
    for (const UniqueFd& client : clients_) read = !ReadAll(client).empty() || read;
    if (count == 0 && !read) return;
  }
  FUZZ_CHECK(false);
}

void Scene::CheckGoesOn() {
  ServeUntilSilent();
  CheckIsSound();
  for (int fd = 0; fd < slot_.table.HighWater(); ++fd) {  // the clients have read all there was
    FUZZ_CHECK(slot_.table.At(fd).Get().state != State::kAnswering);
  }
  for (size_t i = 0; i < fds_.size(); ++i) {
    if (!untouched_.contains(fds_[i])) continue;
    Check(send(clients_[i].Get(), kGet.data(), kGet.size(), MSG_NOSIGNAL), "send");
    connections_->OnReady(fds_[i]);
    FUZZ_CHECK(ReadAll(clients_[i]).starts_with("HTTP/1.1 "));
  }
}

void Scene::CheckLeavesNothing() {
  untouched_.clear();
  clients_.clear();
  ServeUntilSilent();
  FUZZ_CHECK(status_.connections == 0);
  FUZZ_CHECK(slot_.table.Pool().PagesTaken() == 0);
  CheckIsSound();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Surroundings surroundings;
  Input input(data, std::min<size_t>(size, 400));
  Scene scene(surroundings);
  for (int i = 0; i < kMostChanges && !input.Over(); ++i) scene.Change(input);
  scene.Recover();
  scene.CheckIsSound();
  scene.CheckGoesOn();
  scene.CheckLeavesNothing();
  return 0;
}
