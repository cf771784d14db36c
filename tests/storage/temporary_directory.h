// TemporaryDirectory: a fresh directory below the test's, removed with all that is in it.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "base/check.h"

namespace cartwheel::storage {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(testing::TempDir() + "cartwheel-storage-XXXXXX") { CHECK(mkdtemp(path_.data())); }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace cartwheel::storage
