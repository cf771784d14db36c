#include "node/core/session_token.h"

#include <sodium.h>

#include <algorithm>

#include "base/codec.h"
#include "base/hash.h"

namespace cartwheel::node {

namespace {

// token = version:u8 cluster:u64 through:varint count:varint
//         { keyspace:varint arc:varint node:u32 epoch:u64 seq:varint time:varint } checksum:u32
// `time` counts from `through`. The checksum is over all before it; cluster is the hash of the cluster's name.
constexpr uint8_t kVersion = 1;
constexpr size_t kChecksumBytes = 4;
constexpr size_t kEntryBytesMin = 16;
constexpr size_t kBytesMax = kTokenBytes / 4 * 3;  // before base64
constexpr int kBase64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

uint32_t checksum(std::string_view bytes) {
  return static_cast<uint32_t>(hash64(bytes));
}

Status bad(std::string what) {
  return {Code::kBadToken, "the session token " + std::move(what)};
}

}  // namespace

Result<SessionToken> SessionToken::parse(std::string_view text, std::string_view cluster) {
  if (text.size() > kTokenBytes) {
    return bad("has " + std::to_string(text.size()) + " bytes, the limit is " + std::to_string(kTokenBytes));
  }
  std::string bytes(kBytesMax, '\0');
  size_t size = 0;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(), nullptr,
                        &size, nullptr, kBase64) != 0) {
    return bad("is damaged: it is not base64url");
  }
  bytes.resize(size);
  if (size <= kChecksumBytes) return bad("is damaged: it is cut off");
  std::string_view body = std::string_view(bytes).substr(0, size - kChecksumBytes);
  Decoder end(std::string_view(bytes).substr(body.size()));
  if (end.u32() != checksum(body)) return bad("is damaged: its checksum does not match");
  Decoder in(body);
  uint8_t version = in.u8();
  if (version != kVersion) return bad("has format " + std::to_string(version) + ", this version knows format 1");
  uint64_t of_cluster = in.u64();
  if (in.ok() && of_cluster != hash64(cluster)) return bad("is one of another cluster");

  constexpr uint64_t kTimeMax = uint64_t{1} << 50;
  SessionToken token;
  uint64_t through = in.varint();
  if (through > kTimeMax) in.fail();
  token.through_ms_ = static_cast<int64_t>(through);
  for (size_t n = in.count(kEntryBytesMin); n > 0 && in.ok(); --n) {
    Entry entry;
    uint64_t keyspace = in.varint(), arc = in.varint();
    entry.dot.actor = crdt::decode_actor(in);
    entry.dot.seq = in.varint();
    uint64_t time = in.varint();
    if (keyspace > 0xffff || arc > 0xffff || entry.dot.seq == 0 || entry.dot.seq > crdt::kMaxSeq || time > kTimeMax) {
      in.fail();
    }
    entry.keyspace = static_cast<uint16_t>(keyspace);
    entry.arc = static_cast<uint32_t>(arc);
    entry.as_of_ms = token.through_ms_ + static_cast<int64_t>(time);
    token.entries_.push_back(entry);
  }
  if (!in.done()) return bad("is damaged: it does not decode");
  return token;
}

std::string SessionToken::encode(std::string_view cluster) const {
  std::string bytes;
  Encoder out(bytes);
  out.u8(kVersion);
  out.u64(hash64(cluster));
  out.varint(static_cast<uint64_t>(through_ms_));
  out.varint(entries_.size());
  for (const Entry& entry : entries_) {
    out.varint(entry.keyspace);
    out.varint(entry.arc);
    crdt::encode(out, entry.dot.actor);
    out.varint(entry.dot.seq);
    out.varint(static_cast<uint64_t>(entry.as_of_ms - through_ms_));
  }
  out.u32(checksum(bytes));
  return bytes;
}

std::string SessionToken::text(std::string_view cluster) const {
  std::string bytes = encode(cluster);
  std::string out(sodium_base64_encoded_len(bytes.size(), kBase64), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                    kBase64);
  out.pop_back();  // the terminating zero
  return out;
}

void SessionToken::add(const SessionSeen& seen) {
  int64_t as_of = std::max<int64_t>(seen.as_of_ms, 0);
  if (seen.folded) through_ms_ = std::max(through_ms_, as_of);
  for (const SessionDot& dot : seen.dots) {
    Entry entry{seen.keyspace, seen.arc, dot, as_of};
    auto before = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
      return e.keyspace == entry.keyspace && e.arc == entry.arc && e.dot.actor == dot.actor;
    });
    if (before != entries_.end()) {
      // Each time is by the clock of its own coordinator: only the greater of them is reached by both.
      entry.dot.seq = std::max(entry.dot.seq, before->dot.seq);
      entry.as_of_ms = std::max(entry.as_of_ms, before->as_of_ms);
      entries_.erase(before);
    }
    entries_.push_back(entry);
  }
  // What the time demands need not be named as well.
  std::erase_if(entries_, [this](const Entry& entry) { return entry.as_of_ms <= through_ms_; });
  while (encode({}).size() > kBytesMax) fold_oldest();
}

void SessionToken::fold_oldest() {
  through_ms_ = std::max(through_ms_, entries_.front().as_of_ms);
  std::erase_if(entries_, [this](const Entry& entry) { return entry.as_of_ms <= through_ms_; });
}

SessionDemand SessionToken::demand(uint16_t keyspace, uint32_t arc) const {
  SessionDemand demand;
  demand.through_ms = through_ms_;
  for (const Entry& entry : entries_) {
    if (entry.keyspace == keyspace && entry.arc == arc) demand.dots.push_back(entry.dot);
  }
  return demand;
}

}  // namespace cartwheel::node
