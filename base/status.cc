#include "base/status.h"

namespace cartwheel {

const char* code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kWrongType:
      return "wrong_type";
    case Code::kNotANumber:
      return "not_a_number";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kUnknownOutcome:
      return "unknown_outcome";
    case Code::kOverloaded:
      return "overloaded";
    case Code::kTooLarge:
      return "too_large";
    case Code::kCorruption:
      return "corruption";
    case Code::kIo:
      return "io";
    case Code::kNotFound:
      return "not_found";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kShuttingDown:
      return "shutting_down";
    case Code::kBadToken:
      return "bad_token";
  }
  return "unknown";
}

std::string Status::to_string() const {
  return ok() ? "ok" : std::string(code_name(code_)) + ": " + message_;
}

}  // namespace cartwheel
