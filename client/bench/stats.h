// What one loop saw, and the sum over loops.
// Threads: a Stats belongs to one loop; merge() after the loops have ended.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "client/bench/histogram.h"
#include "client/bench/workload.h"

namespace cartwheel::bench {

// Failed operations by kind: the first word of the server's error text, or a word of our own for what befell the
// connection. At most kMaxKinds kinds are kept apart, as the texts come from a peer.
class ErrorTable {
 public:
  static constexpr size_t kMaxKinds = 64;
  struct Row {
    uint64_t count = 0;
    std::string example;  // the first text of this kind
  };

  void add(std::string_view kind, std::string_view text, uint64_t count = 1);
  // By the first word of `text`.
  void add_reply(std::string_view text) { add(text.substr(0, text.find(' ')), text); }
  void merge(const ErrorTable& other);

  const std::map<std::string, Row>& rows() const { return rows_; }
  uint64_t total() const;

 private:
  std::map<std::string, Row> rows_;
};

struct Stats {
  Histogram latency;        // us, operations begun (open loop: due) inside the measured window
  Histogram reads, writes;  // us, the same operations by what they do
  Histogram send_lag;       // us, open loop: how late operations left
  uint64_t operations = 0;  // completed inside the window, errors included
  std::array<uint64_t, kOpKinds> by_kind{};
  uint64_t due = 0;           // open loop: operations that the schedule had inside the window
  uint64_t misses = 0;        // reads that found nothing
  uint64_t wrong_values = 0;  // --verify: replies that are not the key's value
  uint64_t connects_again = 0;
  ErrorTable errors;         // operations begun inside the window, and lost connections
  ErrorTable errors_before;  // of prefill and warm-up
  double client_cpu_us = 0;  // of the loop's thread inside the window
  uint64_t finished_ns = 0;  // when the last operation of the window completed

  void merge(const Stats& other);
};

}  // namespace cartwheel::bench
