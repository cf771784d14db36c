// The errors of the RESP door, worded as Redis 7 words them where it has the case. The first word is the code that
// clients look at:
//
//   WRONGTYPE    the key holds another type
//   ERR          the request is wrong, too large or not possible here; the text says why
//   UNAVAILABLE  too few replicas could be reached; nothing was applied
//   UNKNOWN      the outcome of a write is not known: it may be, or become, visible
//   BADTOKEN     a session token is damaged, of another cluster or of a later format; nothing has changed
//   OVERLOADED   a queue is full; nothing was applied, try again later
//   LOADING      the node is shutting down; nothing was applied. Redis says so while it starts; redis-py, for one,
//   takes
//                it for a broken connection and connects anew, which is what should happen here: the node is about to
//                close the connection and another one will answer.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace cartwheel::resp {

inline constexpr std::string_view kSyntaxError = "ERR syntax error";
inline constexpr std::string_view kNotAnInteger = "ERR value is not an integer or out of range";

// The error of an operation that failed. `hash_number`: the number is the value of a hash field.
std::string error_text(const Status& status, bool hash_number);

std::string wrong_arity(std::string_view command);
// As Redis, with a reason behind it if the command is one that Redis has and this server refuses for a reason.
std::string unknown_command(std::span<const std::string_view> arguments);

std::string lower(std::string_view text);
std::string upper(std::string_view text);
bool equals_ignoring_case(std::string_view text, std::string_view lower_case);

}  // namespace cartwheel::resp
