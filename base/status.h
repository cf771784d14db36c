// Status and Result<T>: how everything that can happen in production is reported. No exceptions cross our interfaces.
#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace cartwheel {

enum class Code : unsigned char {
  kOk = 0,
  kInvalidArgument = 1,  // the request itself is wrong; sending it again cannot help
  kWrongType = 2,        // the key holds another type than the operation needs
  kNotANumber = 3,       // a number was needed (a value, an increment) or the result leaves 64 bits
  kUnavailable = 4,      // not enough replicas could be reached; nothing was applied
  kUnknownOutcome = 5,   // a write that may or may not be (or become) visible: the deadline passed after it was sent
  kOverloaded = 6,       // a queue is at its limit; nothing was applied, retry later
  kTooLarge = 7,         // a limit of base/limits.h
  kCorruption = 8,       // bytes from a peer or a disk do not decode
  kIo = 9,               // the disk or the network said no
  kNotFound = 10,        // an object of the API (a keyspace, a node) does not exist; a missing key is not an error
  kUnsupported = 11,     // this keyspace or version cannot do it, and says why
  kShuttingDown = 12,    // the node drains; another one will answer
  kBadToken = 13,        // a session token that is damaged, of another cluster or of a later format
};

// The name of `code` in lower_snake_case, as it appears in logs and RPC errors.
const char* code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // ok
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {}

  static Status Ok() { return {}; }
  static Status InvalidArgument(std::string m) { return {Code::kInvalidArgument, std::move(m)}; }
  static Status Corruption(std::string m) { return {Code::kCorruption, std::move(m)}; }
  static Status Unavailable(std::string m) { return {Code::kUnavailable, std::move(m)}; }
  static Status Io(std::string m) { return {Code::kIo, std::move(m)}; }

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  std::string to_string() const;  // "ok" or "<code name>: <message>"

  friend bool operator==(const Status&, const Status&) = default;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// Either a T or a Status that is not ok. REQUIRES on value(): ok().
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}                                       // NOLINT: implicit on purpose
  Result(Status status) : state_(std::move(status)) { CHECK(!this->status().ok()); }  // NOLINT

  bool ok() const { return std::holds_alternative<T>(state_); }
  Status status() const { return ok() ? Status() : std::get<Status>(state_); }
  T& value() & {
    CHECK(ok());
    return std::get<T>(state_);
  }
  const T& value() const& {
    CHECK(ok());
    return std::get<T>(state_);
  }
  T&& value() && {
    CHECK(ok());
    return std::get<T>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace cartwheel

// Returns the Status of `expression` from the enclosing function unless it is ok.
#define RETURN_IF_ERROR(expression)                                                \
  do {                                                                             \
    if (::cartwheel::Status status_ = (expression); !status_.ok()) return status_; \
  } while (false)
