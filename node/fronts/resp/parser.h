// RespParser: bytes of a Redis client to commands, one at a time, whatever the fragments they come in.
//
// Multibulk ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n") and inline ("GET k\r\n", with quotes) as Redis 7 reads them, including
// what it does not check: the two bytes behind a bulk are skipped, not compared. The outcome depends on the bytes
// alone, never on where they were cut.
//
// Limits (base/limits.h) are checked on the claimed lengths, before anything is kept: memory follows the bytes that
// have arrived, not the lengths that a peer announces. An error is final: the connection is out of step and must be
// closed.
//
// Use: feed(bytes), next() until it is not kCommand, park(). Between feed() and park() `bytes` must stay valid and
// arguments() may point into them. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cartwheel::resp {

class RespParser {
 public:
  enum class Outcome : uint8_t { kCommand, kNeedMore, kError };

  // Adds input. Without a rest of earlier input it is borrowed until park(), else appended to that rest.
  void feed(std::string_view bytes);

  // kCommand: arguments() holds the next command, with at least one argument, until the next call of anything here.
  // kError: error() says what, in Redis' words ("Protocol error: ..."); it is returned from then on.
  Outcome next();

  std::span<const std::string_view> arguments() const { return views_; }
  const std::string& error() const { return error_; }

  // Copies what is left of a borrowed input, so that the caller may reuse its bytes.
  void park();

  // Bytes not yet given out as commands.
  size_t buffered() const { return size_ - start_; }

 private:
  struct Range {
    uint32_t offset;  // from the start of the command, so that it survives a move of the input
    uint32_t length;
  };

  Outcome inline_command();
  Outcome bulks();
  // Reads the number of the line at cursor_ ("*3\r\n"), behind its first byte, and moves cursor_ behind the line.
  // kCommand stands for success. `what` names the line in an error.
  Outcome number_line(int64_t& number, const char* what, const char* invalid);
  Outcome fail(std::string message);
  void finish_command();

  const char* data_ = nullptr;  // borrowed input or buffer_
  size_t size_ = 0;
  size_t start_ = 0;          // of the command being read
  size_t cursor_ = 0;         // of the first byte that is not understood yet
  int64_t remaining_ = 0;     // bulks still to come of the command at start_; 0 between commands
  int64_t bulk_length_ = -1;  // of the bulk at cursor_, when its header is read
  std::vector<Range> ranges_;
  std::vector<std::string_view> views_;
  std::vector<std::string> words_;  // of an inline command
  std::string buffer_;
  std::string error_;
};

// Splits an inline command as Redis does: blanks, "double quotes" with \n \r \t \b \a \xHH and \anything, 'single
// quotes' with \'. False if a quote is not closed or is followed by something other than a blank.
bool split_inline(std::string_view line, std::vector<std::string>& words);

}  // namespace cartwheel::resp
