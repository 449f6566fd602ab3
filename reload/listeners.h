#ifndef GRACEFUL_RELOAD_LISTENERS_H_
#define GRACEFUL_RELOAD_LISTENERS_H_

#include <string>
#include <vector>

#include "reload/settings.h"
#include "signals/unique_fd.h"

namespace graceful {

// The sockets on which a server listens. The master makes them and keeps them for its whole life,
// whatever happens to keepers: what waits in a socket's queue is not lost with them.
//
// Each slot has a socket of its own for each TCP address, in one SO_REUSEPORT group: the kernel
// spreads connections over the slots. A Unix socket has one queue, which all slots share.
class Listeners {
 public:
  // Binds each of settings.listen for each slot. Throws std::runtime_error that names the address.
  explicit Listeners(const Settings& settings);
  ~Listeners();
  Listeners(const Listeners&) = delete;
  Listeners& operator=(const Listeners&) = delete;

  // Makes sure that the slot has listeners, for a slot beyond those of the start.
  void AddSlot(int slot);

  // The slot's listeners, those it shares too, as descriptors of their own.
  std::vector<UniqueFd> ForSlot(int slot) const;

  // The slot's own sockets, not those that it shares.
  std::vector<int> OwnOfSlot(int slot) const;

  // "http://127.0.0.1:8080", "unix:/run/x.sock".
  std::vector<std::string> Urls() const;

  // The TCP port of the first address that has one, else 0.
  int Port() const;

  // For a stop: lets no new connection into the queues, while what is in them can still be
  // accepted. Closing a socket resets what waits there; so this comes first.
  void Refuse();

 private:
  struct Address;

  UniqueFd Listen(Address& address, bool first) const;

  std::vector<Address> addresses_;
  std::vector<std::vector<UniqueFd>> slots_;  // for each slot one of each TCP address
  int backlog_;
};

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_LISTENERS_H_
