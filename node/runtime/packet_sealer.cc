#include "node/runtime/packet_sealer.h"

#include <sodium.h>

#include <utility>

#include "base/check.h"
#include "base/codec.h"

namespace cartwheel::node {

namespace {

constexpr uint8_t kSealVersion = 1;
constexpr size_t kHeaderBytes = 1 + 4;
constexpr size_t kNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr size_t kTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kGossipSealBytes == kHeaderBytes + kNonceBytes + kTagBytes);
static_assert(kGossipSealBytes <= gossip::limits::kSealBytes);

const unsigned char* bytes_of(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* bytes_of(std::string& s) {
  return reinterpret_cast<unsigned char*>(s.data());
}

void ready() {
  CHECK(sodium_init() >= 0);  // fails only where the kernel gives no randomness
}

std::string_view trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  size_t first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

bool decode_key(std::string_view text, std::array<unsigned char, 32>& out) {
  size_t length = 0;
  const char* end = nullptr;
  int failed = text.size() == 64
                   ? sodium_hex2bin(out.data(), out.size(), text.data(), text.size(), nullptr, &length, &end)
                   : sodium_base642bin(out.data(), out.size(), text.data(), text.size(), nullptr, &length, &end,
                                       sodium_base64_VARIANT_ORIGINAL);
  return failed == 0 && length == out.size() && end == text.data() + text.size();
}

}  // namespace

Result<PacketSealer> PacketSealer::create(std::string_view cluster, std::string_view key_file) {
  ready();
  if (key_file.size() > kGossipKeyFileBytes) return Status::InvalidArgument("the key file is too long");
  PacketSealer sealer(cluster);
  size_t number = 0;
  while (!key_file.empty()) {
    size_t end = key_file.find('\n');
    std::string_view line = trimmed(key_file.substr(0, end));
    key_file.remove_prefix(end == std::string_view::npos ? key_file.size() : end + 1);
    std::string where = "line " + std::to_string(++number) + " of the key file";
    if (line.empty() || line.front() == '#') continue;
    Secret secret;
    if (!decode_key(line, secret)) return Status::InvalidArgument(where + " is not a key of 32 bytes in hex or base64");
    if (sealer.keys_.size() >= kGossipKeys) return Status::InvalidArgument(where + " is one key too many");
    sealer.add(secret);
    sodium_memzero(secret.data(), secret.size());
    for (size_t i = 0; i + 1 < sealer.keys_.size(); ++i)
      if (sealer.keys_[i].id == sealer.keys_.back().id)
        return Status::InvalidArgument(where + " is a key that is there already");
  }
  if (sealer.keys_.empty()) return Status::InvalidArgument("the key file has no key");
  return sealer;
}

PacketSealer PacketSealer::without_secret(std::string_view cluster) {
  ready();
  constexpr std::string_view kPurpose = "cartwheel gossip: not a secret";
  Secret secret;
  crypto_generichash(secret.data(), secret.size(), bytes_of(cluster), cluster.size(), bytes_of(kPurpose),
                     kPurpose.size());
  PacketSealer sealer(cluster);
  sealer.add(secret);
  return sealer;
}

PacketSealer::~PacketSealer() {
  for (Key& key : keys_) sodium_memzero(key.secret.data(), key.secret.size());
}

void PacketSealer::add(const Secret& secret) {
  std::string hash(crypto_generichash_BYTES, '\0');
  crypto_generichash(bytes_of(hash), hash.size(), secret.data(), secret.size(), nullptr, 0);
  keys_.push_back({Decoder(hash).u32(), secret});
}

std::string PacketSealer::associated(std::string_view header) const {
  return std::string(header) + cluster_;  // the header has one length, so this has one reading
}

std::string PacketSealer::seal(std::string_view plain) {
  const Key& key = keys_.front();
  std::string sealed;
  Encoder out(sealed);
  out.u8(kSealVersion);
  out.u32(key.id);
  std::string data = associated(sealed);
  sealed.resize(kGossipSealBytes + plain.size());
  unsigned char* nonce = bytes_of(sealed) + kHeaderBytes;
  randombytes_buf(nonce, kNonceBytes);
  crypto_aead_xchacha20poly1305_ietf_encrypt(nonce + kNonceBytes, nullptr, bytes_of(plain), plain.size(),
                                             bytes_of(data), data.size(), nullptr, nonce, key.secret.data());
  return sealed;
}

Result<std::string> PacketSealer::open(std::string_view sealed) {
  if (sealed.size() < kGossipSealBytes || sealed.size() > gossip::limits::kPacketBytes)
    return Status::Corruption("a sealed packet of an impossible length");
  Decoder in(sealed);
  if (in.u8() != kSealVersion) return Status::Corruption("a sealed packet of another version");
  uint32_t id = in.u32();
  std::string data = associated(sealed.substr(0, kHeaderBytes));
  std::string_view nonce = in.raw(kNonceBytes), body = in.rest();
  for (const Key& key : keys_) {
    if (key.id != id) continue;
    std::string plain(body.size() - kTagBytes, '\0');
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(bytes_of(plain), nullptr, nullptr, bytes_of(body), body.size(),
                                                   bytes_of(data), data.size(), bytes_of(nonce),
                                                   key.secret.data()) == 0)
      return plain;
  }
  return Status::Corruption("a packet that none of our keys opens");
}

}  // namespace cartwheel::node
