// Reading of answers by commands: members that are missing or of another type count as the default, because the node
// that answered may be of another version. For .cc files only: it includes the whole JSON library.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace cartwheel::node {

using Json = nlohmann::ordered_json;

inline const Json& member(const Json& object, const char* name) {
  static const Json none;
  if (!object.is_object()) return none;
  const auto it = object.find(name);
  return it == object.end() ? none : *it;
}
inline std::string word(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_string() ? value.get<std::string>() : "?";
}
inline int64_t number(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}
inline uint64_t count(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_number_unsigned() ? value.get<uint64_t>() : 0;
}

}  // namespace cartwheel::node
