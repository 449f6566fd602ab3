// Runs each seed once, without a fuzzer: what was found once is not lost again, whatever compiler
// builds it. Takes the one flag of libFuzzer's that names them, and lets the others pass.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <string_view>

#include "reload/fuzz/check.h"

int main(int argc, char** argv) {
  constexpr std::string_view kFlag = "-seed_inputs=";
  int seeds = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (!argument.starts_with(kFlag)) continue;
    std::stringstream names{std::string(argument.substr(kFlag.size()))};
    for (std::string name; std::getline(names, name, ','); ++seeds) {
      std::printf("%s\n", name.c_str());
      std::fflush(stdout);
      std::ifstream file(name, std::ios::binary);
      FUZZ_CHECK(file);
      const std::string bytes{std::istreambuf_iterator<char>(file), {}};
      LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    }
  }
  FUZZ_CHECK(seeds > 0);
  return 0;
}
