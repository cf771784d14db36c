#include "storage/readable_rows.h"

#include <algorithm>
#include <utility>

namespace cartwheel::storage {

namespace {

// Holes are passed by adding to a key as if its first bytes were a number. More bytes would find the end of a hole more
// exactly, between keys that differ only behind them.
constexpr size_t kDigits = 16;
__extension__ typedef unsigned __int128 Number;

Number number_of(std::string_view key) {
  Number number = 0;
  for (size_t i = 0; i < kDigits; ++i) {
    number = number << 8 | (i < key.size() ? static_cast<unsigned char>(key[i]) : 0);
  }
  return number;
}

std::string key_of(Number number) {
  std::string key(kDigits, '\0');
  for (size_t i = kDigits; i-- > 0; number >>= 8) key[i] = static_cast<char>(number & 0xff);
  return key.substr(0, key.find_last_not_of('\0') + 1);  // the least key with this number
}

}  // namespace

ReadableRows::ReadableRows(const Engine& engine, std::string begin, std::string end)
    : engine_(engine), end_(std::move(end)), last_(std::move(begin)), rows_(engine_.scan(last_, end_)) {
  pass_holes();
}

void ReadableRows::next() {
  last_ = std::string(rows_->key()) + '\0';
  rows_->next();
  pass_holes();
}

void ReadableRows::seek(std::string_view to) {
  last_ = to;
  rows_->seek(to);
  pass_holes();
}

// Whether the walk can go on from `at`.
bool ReadableRows::lands(const std::string& at) {
  rows_ = engine_.scan(at, end_);
  return rows_->status().ok();
}

// Where the walk has stopped at an error: doubles the distance to its last key until it can go on, and then halves what
// it has leapt over.
void ReadableRows::pass_holes() {
  while (!rows_->valid() && !rows_->status().ok()) {
    const Number from = number_of(last_), most = ~Number{0} - from;
    Number blocked = 0, step = 1;
    bool landed = false;
    while (true) {
      const bool ends = step >= most;
      if (ends) step = most;
      landed = (!end_.empty() && key_of(from + step) >= end_) || lands(key_of(from + step));
      if (landed || ends) break;
      blocked = step;
      step = step > most / 2 ? most : step * 2;
    }
    if (!landed) {
      holes_.push_back({last_, ""});
      rows_ = engine_.scan("b", "a");  // nothing
      return;
    }
    while (step - blocked > 1) {
      const Number middle = blocked + (step - blocked) / 2;
      const std::string at = key_of(from + middle);
      if ((!end_.empty() && at >= end_) || lands(at)) {
        step = middle;
      } else {
        blocked = middle;
      }
    }
    const std::string at = key_of(from + step);
    const bool ended = !end_.empty() && at >= end_;
    rows_ = ended ? engine_.scan("b", "a") : engine_.scan(at, end_);
    const std::string next = ended ? "" : at;
    if (!holes_.empty() && holes_.back().end == last_) {
      holes_.back().end = next;
    } else {
      holes_.push_back({last_, next});
    }
    if (ended) return;
    last_ = at;
  }
}

}  // namespace cartwheel::storage
