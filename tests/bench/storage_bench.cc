// What one row costs in each engine: 16 byte keys, 100 byte values. "rows/s" counts rows, also of batches.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "base/check.h"
#include "base/rng.h"
#include "storage/memory_engine.h"
#include "storage/rocks/rocks_engine.h"

namespace {

using cartwheel::Rng;
using cartwheel::storage::Engine;
using cartwheel::storage::MemoryEngine;
using cartwheel::storage::RocksEngine;
using cartwheel::storage::WriteBatch;

constexpr uint64_t kKeys = 200'000;

std::string key_of(uint64_t number) {
  char key[17];
  snprintf(key, sizeof(key), "%016llx", static_cast<unsigned long long>(number * 0x9e3779b97f4a7c15ull));
  return key;
}

struct Memory {
  MemoryEngine engine_;
  Engine& engine() { return engine_; }
};

struct Rocks {
  Rocks() : directory_((std::filesystem::temp_directory_path() / "cartwheel-bench-XXXXXX").string()) {
    CHECK(mkdtemp(directory_.data()));
    auto opened = RocksEngine::open(directory_);
    CHECK(opened.ok());
    engine_ = std::move(opened).value();
  }
  ~Rocks() {
    engine_.reset();
    std::filesystem::remove_all(directory_);
  }
  Engine& engine() { return *engine_; }
  std::string directory_;
  std::unique_ptr<RocksEngine> engine_;
};

void fill(Engine& engine) {
  WriteBatch batch;
  for (uint64_t i = 0; i < kKeys; ++i) {
    batch.put(key_of(i), std::string(100, static_cast<char>('a' + i % 26)));
    if (batch.changes().size() < 64 && i + 1 < kKeys) continue;
    CHECK(engine.write(batch).ok());
    batch.clear();
  }
  CHECK(engine.sync().ok());
}

template <typename Subject>
void put_batch(benchmark::State& state) {
  Subject subject;
  Rng rng(1);
  const auto rows = static_cast<size_t>(state.range(0));
  const std::string value(100, 'v');
  size_t unsynced_rows = 0;
  for (auto _ : state) {
    WriteBatch batch;
    for (size_t i = 0; i < rows; ++i) batch.put(key_of(rng.below(kKeys)), value);
    CHECK(subject.engine().write(batch).ok());
    if (std::is_same_v<Subject, Memory> && (unsynced_rows += rows) > 10'000) {  // as a simulated disk would be
      unsynced_rows = 0;
      CHECK(subject.engine().sync().ok());
    }
  }
  state.counters["rows/s"] = benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(rows),
                                                benchmark::Counter::kIsRate);
}

template <typename Subject>
void get(benchmark::State& state, uint64_t first_key) {
  Subject subject;
  fill(subject.engine());
  Rng rng(1);
  std::string value;
  for (auto _ : state) {
    const auto found = subject.engine().get(key_of(first_key + rng.below(kKeys)), &value);
    CHECK(found.ok() && *found == (first_key == 0));
    benchmark::DoNotOptimize(value);
  }
}

template <typename Subject>
void get_hit(benchmark::State& state) {
  get<Subject>(state, 0);
}
template <typename Subject>
void get_miss(benchmark::State& state) {
  get<Subject>(state, kKeys);
}

BENCHMARK(put_batch<Memory>)->Arg(1)->Arg(16)->Arg(64);
BENCHMARK(put_batch<Rocks>)->Arg(1)->Arg(16)->Arg(64);
BENCHMARK(get_hit<Memory>);
BENCHMARK(get_hit<Rocks>);
BENCHMARK(get_miss<Memory>);
BENCHMARK(get_miss<Rocks>);

}  // namespace
