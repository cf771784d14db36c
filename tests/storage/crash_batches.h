// The batches that crash_writer writes and the kill -9 tests look for.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "storage/engine.h"

namespace cartwheel::storage {

constexpr int kRowsPerBatch = 5;

inline std::string crash_row(uint64_t batch, int row) {
  char name[40];
  snprintf(name, sizeof(name), "batch/%012llu/%d", static_cast<unsigned long long>(batch), row);
  return name;
}

inline WriteBatch crash_batch(uint64_t number) {
  WriteBatch batch;
  for (int row = 0; row < kRowsPerBatch; ++row) {
    batch.put(crash_row(number, row), std::string(50 + number % 400, static_cast<char>('a' + number % 26)));
  }
  batch.put("last", std::to_string(number));
  return batch;
}

}  // namespace cartwheel::storage
