#include "client/bench/resp_protocol.h"

#include <charconv>

#include "client/bench/names.h"
#include "client/bench/resp_reader.h"

namespace cartwheel::bench {
namespace {

void append_number(uint64_t n, std::string& out) {
  char buffer[20];
  const auto [end, error] = std::to_chars(buffer, buffer + sizeof(buffer), n);
  out.append(buffer, static_cast<size_t>(end - buffer));
}

void append_header(char type, uint64_t n, std::string& out) {
  out.push_back(type);
  append_number(n, out);
  out.append("\r\n");
}

void append_string(std::string_view text, std::string& out) {
  append_header('$', text.size(), out);
  out.append(text);
  out.append("\r\n");
}

void append_name(std::string_view prefix, uint64_t number, std::string& out) {
  append_header('$', prefix.size() + kNameDigits, out);
  append_name_bytes(prefix, number, out);
  out.append("\r\n");
}

void append_value(const Values& values, uint64_t key, uint32_t size, std::string& out) {
  append_header('$', size, out);
  values.append(key, size, out);
  out.append("\r\n");
}

}  // namespace

unsigned RespProtocol::greet(std::string& out) const {
  if (database_ == 0) return 0;
  out.append("*2\r\n$6\r\nSELECT\r\n");
  append_string(std::to_string(database_), out);
  return 1;
}

unsigned RespProtocol::encode(const Operation& op, uint64_t, std::string& out) const {
  switch (op.kind) {
    case OpKind::kGet:
      out.append("*2\r\n$3\r\nGET\r\n");
      append_name(kStringKey, op.key, out);
      return 1;
    case OpKind::kSet:
    case OpKind::kSetWait:
      out.append("*3\r\n$3\r\nSET\r\n");
      append_name(kStringKey, op.key, out);
      append_value(values_, op.key, op.size, out);
      if (op.kind == OpKind::kSet) return 1;
      out.append("*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$5\r\n10000\r\n");
      return 2;
    case OpKind::kSetExpiring:
      out.append("*5\r\n$3\r\nSET\r\n");
      append_name(kStringKey, op.key, out);
      append_value(values_, op.key, op.size, out);
      out.append("$2\r\nEX\r\n");
      append_string(std::to_string(kSessionTtlSeconds), out);
      return 1;
    case OpKind::kDel:
      out.append("*2\r\n$3\r\nDEL\r\n");
      append_name(kStringKey, op.key, out);
      return 1;
    case OpKind::kIncr:
      out.append("*2\r\n$4\r\nINCR\r\n");
      append_name(kCounterKey, op.key, out);
      return 1;
    case OpKind::kCartRead:
      out.append("*2\r\n$7\r\nHGETALL\r\n");
      append_name(kCartKey, op.key, out);
      return 1;
    case OpKind::kCartLine:
      out.append("*4\r\n$4\r\nHSET\r\n");
      append_name(kCartKey, op.key, out);
      append_name(kLineField, op.detail, out);
      append_value(values_, op.key, op.size, out);
      return 1;
    case OpKind::kCartRemove:
      out.append("*3\r\n$4\r\nHDEL\r\n");
      append_name(kCartKey, op.key, out);
      append_name(kLineField, op.detail, out);
      return 1;
    case OpKind::kCartIncrement:
      out.append("*4\r\n$7\r\nHINCRBY\r\n");
      append_name(kCartKey, op.key, out);
      append_name(kQuantityField, op.detail, out);
      append_string("1", out);
      return 1;
    case OpKind::kSetAdd:
    case OpKind::kSetRemove:
      out.append("*3\r\n$4\r\n");
      out.append(op.kind == OpKind::kSetAdd ? "SADD\r\n" : "SREM\r\n");
      append_name(kSetKey, op.key, out);
      append_name(kMember, op.detail, out);
      return 1;
    case OpKind::kFillCart:
      append_header('*', 2 + 2 * op.detail, out);
      out.append("$4\r\nHSET\r\n");
      append_name(kCartKey, op.key, out);
      for (uint64_t line = 0; line < op.detail; ++line) {
        append_name(kLineField, line, out);
        append_value(values_, op.key, op.size, out);
      }
      return 1;
    case OpKind::kFillSet:
      append_header('*', 2 + uint64_t{op.size}, out);
      out.append("$4\r\nSADD\r\n");
      append_name(kSetKey, op.key, out);
      for (uint64_t i = 0; i < op.size; ++i) append_name(kMember, op.detail + i, out);
      return 1;
  }
  return 1;
}

std::unique_ptr<ReplyReader> RespProtocol::new_reader(bool capture_strings) const {
  return std::make_unique<RespReader>(capture_strings);
}

}  // namespace cartwheel::bench
