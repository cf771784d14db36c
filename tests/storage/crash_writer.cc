// crash_writer DIRECTORY FIRST [FILE_BYTES_MAX]: writes batch after batch, beginning with number FIRST, until it is
// killed or a write fails, and reports the number of every acknowledged batch on standard output. With FILE_BYTES_MAX
// no file may grow beyond that: then a write must fail, all later ones and the sync with it, and nothing of it may be
// read; exits 0 if so and 1 if not.
//
// A batch puts kRowsPerBatch rows of its own and "last", its number.
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "storage/rocks/rocks_engine.h"
#include "tests/storage/crash_batches.h"

namespace {

using cartwheel::Status;
using cartwheel::storage::RocksEngine;

int complain(const std::string& what) {
  fprintf(stderr, "crash_writer: %s\n", what.c_str());
  return 1;
}

int check_failed_engine(RocksEngine& engine, uint64_t failed_batch) {
  // There is room again: the failure is final all the same.
  const rlimit limit{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return complain("setrlimit failed");
  if (engine.write(cartwheel::storage::crash_batch(failed_batch + 1)).ok()) return complain("a later write succeeded");
  if (engine.sync().ok()) return complain("a later sync succeeded");
  std::string value;
  const auto row = engine.get(cartwheel::storage::crash_row(failed_batch, 0), &value);
  if (row.ok() && *row) return complain("the failed batch is visible");
  const auto walk = engine.scan(cartwheel::storage::crash_row(failed_batch, 0), "batch0");  // behind all "batch/"
  if (walk->valid()) return complain("the failed batch is visible to a scan");
  if (!walk->status().ok()) return complain("a failed write broke reads: " + walk->status().to_string());
  const auto last = engine.get("last", &value);
  if (!last.ok() || !*last || value != std::to_string(failed_batch - 1)) return complain("the last batch is not seen");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return complain("usage: crash_writer DIRECTORY FIRST [FILE_BYTES_MAX]");
  const bool limited = argc > 3;
  // Memtables so small that the kill also falls into flushes and switches of the log; with a limit so large that the
  // log is what meets it.
  cartwheel::storage::RocksOptions options;
  if (!limited) options.write_buffer_bytes = 128 << 10;
  auto opened = RocksEngine::open(argv[1], options);
  if (!opened.ok()) return complain(opened.status().to_string());
  RocksEngine& engine = **opened;
  if (limited) {
    signal(SIGXFSZ, SIG_IGN);
    const rlim_t bytes = strtoull(argv[3], nullptr, 10);
    const rlimit limit{bytes, RLIM_INFINITY};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return complain("setrlimit failed");
  }
  for (uint64_t number = strtoull(argv[2], nullptr, 10);; ++number) {
    const Status written = engine.write(cartwheel::storage::crash_batch(number));
    if (!written.ok()) return limited ? check_failed_engine(engine, number) : complain(written.to_string());
    if (::write(STDOUT_FILENO, &number, sizeof(number)) != sizeof(number)) return complain("nobody listens");
  }
}
