// Reading an engine whole, for tests.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/engine.h"

namespace cartwheel::storage {

using Rows = std::vector<std::pair<std::string, std::string>>;

inline Rows drain(Iterator& iterator) {
  Rows rows;
  for (; iterator.valid(); iterator.next()) rows.emplace_back(iterator.key(), iterator.value());
  EXPECT_TRUE(iterator.status().ok()) << iterator.status().to_string();
  return rows;
}

inline Rows read(const Engine& engine, std::string_view begin = {}, std::string_view end = {}) {
  return drain(*engine.scan(begin, end));
}

inline std::optional<std::string> get(const Engine& engine, std::string_view key) {
  std::string value;
  const Result<bool> found = engine.get(key, &value);
  EXPECT_TRUE(found.ok()) << found.status().to_string();
  if (!found.ok() || !*found) return std::nullopt;
  return value;
}

inline WriteBatch put(std::string key, std::string value) {
  WriteBatch batch;
  batch.put(std::move(key), std::move(value));
  return batch;
}

// The contract of WriteBatch, in the plainest way.
inline void apply_to_model(const WriteBatch& batch, std::map<std::string, std::string>* model) {
  for (const WriteBatch::Change& change : batch.changes()) {
    switch (change.kind) {
      case WriteBatch::Kind::kPut:
        (*model)[change.key] = change.value;
        break;
      case WriteBatch::Kind::kErase:
        model->erase(change.key);
        break;
      case WriteBatch::Kind::kEraseRange:
        std::erase_if(*model, [&](const auto& row) { return row.first >= change.key && row.first < change.value; });
        break;
    }
  }
}

inline Rows rows(const std::map<std::string, std::string>& model) {
  return {model.begin(), model.end()};
}

#define ASSERT_OK(expression)                             \
  do {                                                    \
    const ::cartwheel::Status ok_status = (expression);   \
    ASSERT_TRUE(ok_status.ok()) << ok_status.to_string(); \
  } while (false)

}  // namespace cartwheel::storage
