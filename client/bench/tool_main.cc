// The load tool alone, without the server: `cartwheel_bench_tool` is what `cartwheel bench` runs.
#include "client/bench/bench_main.h"

int main(int argc, char** argv) {
  return cartwheel::bench_main(argc, argv);
}
