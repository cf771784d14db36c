// What the kernel says about this process and machine. Values that it does not tell are 0 or empty. Any thread.
#pragma once

#include <cstdint>
#include <string>

namespace cartwheel::node {

struct ProcessInfo {
  uint64_t resident_bytes = 0;
  double user_seconds = 0, system_seconds = 0;
};
ProcessInfo process_info();
uint64_t open_file_descriptors();
// Names this run of the kernel.
std::string kernel_boot_id();

}  // namespace cartwheel::node
