// Takes object rows away behind a stopped node's back, as a disk that loses what it acknowledged:
// `lose_rows COUNT SEED DIRECTORY...` erases COUNT rows, drawn from those of all stripes' directories, and prints how
// many keys and bytes (of keys and values) they were. Clocks and dot logs stay, so only trees can find it; the trees of
// a clean stop go, so that the next start builds them from what is there. For scripts/exchange.mjs.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "node/core/rows.h"
#include "storage/rocks/rocks_engine.h"

using namespace cartwheel;

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: lose_rows COUNT SEED DIRECTORY...\n");
    return 2;
  }
  const uint64_t count = std::strtoull(argv[1], nullptr, 10);
  Rng rng(std::strtoull(argv[2], nullptr, 10));
  std::vector<std::unique_ptr<storage::RocksEngine>> stripes;
  for (int i = 3; i < argc; ++i) {
    auto stripe = storage::RocksEngine::open(argv[i]);
    if (!stripe.ok()) {
      std::fprintf(stderr, "lose_rows: %s: %s\n", argv[i], stripe.status().to_string().c_str());
      return 1;
    }
    stripes.push_back(std::move(*stripe));
  }
  std::vector<std::pair<size_t, std::string>> drawn;  // a reservoir: each set of COUNT rows is equally likely
  uint64_t rows_seen = 0;
  for (size_t s = 0; s < stripes.size(); ++s) {
    auto rows = stripes[s]->scan("o", "p");
    for (; rows->valid(); rows->next(), ++rows_seen) {
      if (drawn.size() < count) {
        drawn.emplace_back(s, rows->key());
      } else if (const uint64_t at = rng.below(rows_seen + 1); at < count) {
        drawn[at] = {s, std::string(rows->key())};
      }
    }
    if (!rows->status().ok()) {
      std::fprintf(stderr, "lose_rows: %s\n", rows->status().to_string().c_str());
      return 1;
    }
  }
  std::vector<storage::WriteBatch> batches(stripes.size());
  uint64_t bytes = 0;
  for (const auto& [s, row] : drawn) {
    std::string value;
    if (!stripes[s]->get(row, &value).ok()) return 1;
    auto parts = node::parse_object_row(row);
    if (!parts.ok()) return 1;
    bytes += parts->key.size() + value.size();
    batches[s].erase(row);
  }
  for (size_t s = 0; s < stripes.size(); ++s) {
    batches[s].erase_range("h", "i");
    if (!stripes[s]->write(std::move(batches[s])).ok() || !stripes[s]->sync().ok()) return 1;
  }
  std::printf("{\"rows\": %zu, \"bytes\": %llu, \"of\": %llu}\n", drawn.size(), static_cast<unsigned long long>(bytes),
              static_cast<unsigned long long>(rows_seen));
  return 0;
}
