#ifndef GRACEFUL_RELOAD_FUZZ_CHECK_H_
#define GRACEFUL_RELOAD_FUZZ_CHECK_H_

#include <cstdint>
#include <cstdio>
#include <cstdlib>

// What must be true for every input. Ends the process, so that the fuzzer keeps the input.
#define FUZZ_CHECK(condition)                                                        \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)

// One input. libFuzzer calls it (llvm.org/docs/LibFuzzer.html), or run_seeds.cc does.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

#endif  // GRACEFUL_RELOAD_FUZZ_CHECK_H_
