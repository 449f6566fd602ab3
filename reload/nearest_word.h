#ifndef GRACEFUL_RELOAD_NEAREST_WORD_H_
#define GRACEFUL_RELOAD_NEAREST_WORD_H_

#include <string>
#include <string_view>
#include <vector>

namespace graceful {

// What somebody who typed `word` may have meant; empty when none is near. A name itself is not.
std::string NearestWord(std::string_view word, const std::vector<std::string>& names);

}  // namespace graceful

#endif  // GRACEFUL_RELOAD_NEAREST_WORD_H_
