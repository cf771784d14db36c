// PacketSealer: gossip packets under XChaCha20-Poly1305 (libsodium), for one cluster and a ring of keys.
//
//   sealed = version:u8 key_id:u32be nonce:24 ciphertext tag:16
//
// Associated data: version, key id and the cluster's name, so that a packet of another cluster does not open even under
// the same key. Nonces are random: 192 bits repeat for nobody. Replay is the machine's business
// (gossip/replay_window.h).
//
// Changing the key without an interruption, on every node before the next step: add the new key as the last line of the
// key file; make it the first line; remove the old one.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gossip/sealer.h"

namespace cartwheel::node {

inline constexpr size_t kGossipKeys = 16;                    // of one ring
inline constexpr size_t kGossipKeyFileBytes = 64 * 1024;     // of a key file
inline constexpr size_t kGossipSealBytes = 1 + 4 + 24 + 16;  // what sealing adds

class PacketSealer : public gossip::Sealer {
 public:
  // `key_file` is the content of a key file: a line per key of 32 bytes, in hex (64 digits) or base64 (44 characters);
  // empty lines and lines that begin with '#' do not count. The first key seals, all open. kInvalidArgument names the
  // line that is wrong, never what it says.
  static Result<PacketSealer> create(std::string_view cluster, std::string_view key_file);
  // A key that anybody can derive from the cluster's name: NOT security. It keeps clusters apart that share a network.
  static PacketSealer without_secret(std::string_view cluster);

  PacketSealer(PacketSealer&&) = default;
  PacketSealer& operator=(PacketSealer&&) = default;
  ~PacketSealer() override;  // wipes the keys

  std::string seal(std::string_view plain) override;
  Result<std::string> open(std::string_view sealed) override;

  size_t keys() const { return keys_.size(); }

 private:
  using Secret = std::array<unsigned char, 32>;
  struct Key {
    uint32_t id;  // of the key's hash: tells which key without saying anything of it
    Secret secret;
  };
  explicit PacketSealer(std::string_view cluster) : cluster_(cluster) {}
  void add(const Secret& secret);
  std::string associated(std::string_view header) const;

  std::string cluster_;
  std::vector<Key> keys_;
};

}  // namespace cartwheel::node
