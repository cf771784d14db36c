#include "client/bench/stats.h"

#include <algorithm>

namespace cartwheel::bench {

void ErrorTable::add(std::string_view kind, std::string_view text, uint64_t count) {
  auto row = rows_.find(std::string(kind));
  if (row == rows_.end()) {
    const bool full = rows_.size() >= kMaxKinds;
    row = rows_.try_emplace(full ? "(other)" : std::string(kind)).first;
    if (row->second.count == 0) row->second.example = text;
  }
  row->second.count += count;
}

void ErrorTable::merge(const ErrorTable& other) {
  for (const auto& [kind, row] : other.rows_) add(kind, row.example, row.count);
}

uint64_t ErrorTable::total() const {
  uint64_t total = 0;
  for (const auto& [kind, row] : rows_) total += row.count;
  return total;
}

void Stats::merge(const Stats& other) {
  latency.merge(other.latency);
  reads.merge(other.reads);
  writes.merge(other.writes);
  send_lag.merge(other.send_lag);
  operations += other.operations;
  for (size_t i = 0; i < kOpKinds; ++i) by_kind[i] += other.by_kind[i];
  due += other.due;
  misses += other.misses;
  wrong_values += other.wrong_values;
  connects_again += other.connects_again;
  errors.merge(other.errors);
  errors_before.merge(other.errors_before);
  client_cpu_us += other.client_cpu_us;
  finished_ns = std::max(finished_ns, other.finished_ns);
}

}  // namespace cartwheel::bench
