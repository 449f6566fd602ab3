// Keeps connections busy with requests and accounts for every single one: `witness --help`.

#include <signal.h>
#include <sys/resource.h>

#include <exception>
#include <iostream>

#include "integration_tests/witness/account.h"
#include "integration_tests/witness/address.h"
#include "integration_tests/witness/journal.h"
#include "integration_tests/witness/load.h"
#include "integration_tests/witness/options.h"
#include "integration_tests/witness/report.h"
#include "integration_tests/witness/workload.h"
#include "signals/check.h"
#include "signals/signal_fd.h"

namespace graceful {

namespace {

// Thousands of connections need more than the 1,024 descriptors that a shell gives.
void RaiseDescriptorLimit() {
  rlimit limit;
  Check(getrlimit(RLIMIT_NOFILE, &limit), "getrlimit", "RLIMIT_NOFILE");
  limit.rlim_cur = limit.rlim_max;
  Check(setrlimit(RLIMIT_NOFILE, &limit), "setrlimit", "RLIMIT_NOFILE");
}

int Witness(const Options& options) {
  SignalFd signals({SIGINT, SIGTERM});
  RaiseDescriptorLimit();
  const Url url = ParseUrl(options.url);
  const Address address = options.unix_path.empty() ? Address::Tcp(url.host, url.port)
                                                    : Address::Unix(options.unix_path);
  const Workload workload(options, url.authority, url.target);
  Account account;
  Journal journal(options, workload);
  Load load(options, address, workload, account, journal, signals);
  load.Run();
  journal.Finish();
  const Span span = {load.BegunUs(), load.EndedUs()};
  std::cout << (options.json ? JsonReport(options, account, journal, span)
                             : TextReport(account, span));
  std::cout.flush();
  if (!std::cout) throw std::runtime_error("cannot write the report to the standard output");
  return account.Clean() ? 0 : 1;
}

}  // namespace

}  // namespace graceful

int main(int argc, char** argv) {
  const graceful::Options options = graceful::ParseOptions(argc, argv);
  try {
    return graceful::Witness(options);
  } catch (const std::exception& error) {
    std::cerr << "witness: " << error.what() << "\n";
    return 1;
  }
}
