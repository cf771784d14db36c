// ReadableRows: a walk over the rows of an engine that goes on behind rows that cannot be read, and tells where those
// may be. Of two holes in one walk, what lies between them may be taken for a part of the hole.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/engine.h"

namespace cartwheel::storage {

class ReadableRows final : public Iterator {
 public:
  // Of the keys in [begin, end), an empty `end` meaning no bound. `engine` outlives this.
  ReadableRows(const Engine& engine, std::string begin, std::string end);

  bool valid() const override { return rows_->valid(); }
  void next() override;
  void seek(std::string_view to) override;
  std::string_view key() const override { return rows_->key(); }
  std::string_view value() const override { return rows_->value(); }
  Status status() const override { return {}; }

  // Of the keys in [begin, end) nobody knows which exist; an empty `end` is the end of the walk.
  struct Hole {
    std::string begin, end;
  };
  // Those that the walk has met so far, in order.
  const std::vector<Hole>& holes() const { return holes_; }

 private:
  bool lands(const std::string& at);
  void pass_holes();

  const Engine& engine_;
  const std::string end_;
  std::string last_;  // everything below it has been passed
  std::unique_ptr<Iterator> rows_;
  std::vector<Hole> holes_;
};

}  // namespace cartwheel::storage
