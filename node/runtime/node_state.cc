#include "node/runtime/node_state.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/codec.h"
#include "base/hash.h"
#include "node/runtime/data_dir.h"

namespace cartwheel::node {

namespace {
constexpr std::string_view kMagic = "CWM1";
constexpr size_t kHashBytes = 8;
}  // namespace

std::string encode(const NodeState& state) {
  std::string bytes;
  Encoder out(bytes);
  out.raw(kMagic);
  out.u64(state.identity);
  out.u32(state.starts);
  out.u16(state.self);
  out.bytes(state.config);
  out.bytes(state.acceptor);
  out.u64(hash64(bytes));
  return bytes;
}

Result<NodeState> decode_node_state(std::string_view bytes) {
  const Status bad = Status::Corruption("is damaged");
  if (bytes.size() < kMagic.size() + kHashBytes || !bytes.starts_with(kMagic)) return bad;
  Decoder tail(bytes.substr(bytes.size() - kHashBytes));
  bytes.remove_suffix(kHashBytes);
  if (tail.u64() != hash64(bytes)) return bad;
  Decoder in(bytes.substr(kMagic.size()));
  NodeState state;
  state.identity = in.u64();
  state.starts = in.u32();
  state.self = in.u16();
  state.config = in.bytes();
  state.acceptor = in.bytes();
  if (!in.done()) return bad;
  return state;
}

Result<std::optional<NodeState>> read_node_state(const std::string& directory) {
  const std::string path = directory + "/MEMBER";
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return std::optional<NodeState>();
    return Status::Io(path + ": cannot be read");
  }
  std::ostringstream content;
  content << file.rdbuf();
  auto state = decode_node_state(content.str());
  if (!state.ok()) return Status::Corruption(path + " " + state.status().message());
  return std::optional<NodeState>(*std::move(state));
}

Status write_node_state(const std::string& directory, const NodeState& state) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Status::Io(directory + ": " + error.message());
  return replace_file(directory, "MEMBER", encode(state));
}

}  // namespace cartwheel::node
