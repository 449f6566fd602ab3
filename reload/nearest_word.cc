#include "reload/nearest_word.h"

#include <algorithm>

namespace graceful {

namespace {

// How many single edits lead from one word to the other.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string NearestWord(std::string_view word, const std::vector<std::string>& names) {
  std::string nearest;
  size_t nearest_distance = 4;
  for (const std::string& name : names) {
    const size_t distance = EditDistance(word, name);
    if (distance == 0) return "";
    if (distance < std::min(nearest_distance, name.size())) {
      nearest_distance = distance;
      nearest = name;
    }
  }
  return nearest;
}

}  // namespace graceful
