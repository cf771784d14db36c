// `cartwheel bench`: parses the options, runs the load, prints the report to stdout.
//
// Result: 0 when the run ended as planned (failed operations are in the report); 1 when it could not start or was
// stopped early, when a value was wrong (--verify) or the JSON file could not be written; 2 or CLI11's codes for bad
// options. argv[0] is the command's own name. Blocks; starts its threads and ends them before it returns.
#pragma once

namespace cartwheel {
int bench_main(int argc, char** argv);
}  // namespace cartwheel
