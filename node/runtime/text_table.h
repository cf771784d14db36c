// A table for people: columns as wide as they must be, two spaces between.
#pragma once

#include <string>
#include <vector>

namespace cartwheel::node {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> heads) : rows_{std::move(heads)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cartwheel::node
