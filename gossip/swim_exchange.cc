// Push-pull: two members compare all that they know and exchange what differs, so that what packets lost is found and a
// newcomer learns everything at once. Hashes first: members that agree spend some 60 bytes whatever their number.
//
//   A → B  digest: hash of all
//   B → A  same, or the hashes of 64 buckets
//   A → B  states of the members in the buckets that differ
//   B → A  likewise
//
// Every message is complete in itself, so that nobody has to remember an exchange.
#include <utility>

#include "base/hash.h"
#include "base/planted.h"
#include "gossip/swim_impl.h"

namespace cartwheel::gossip {

void Swim::Impl::start_exchange(Instant now) {
  next_exchange = now + jittered(joined ? options.push_pull_interval : Duration::seconds(1));
  if (order.size() == 0) {
    if (regions.size() < 2) joined = true;  // alone
    if (!joined) far_exchange(now);
    return;
  }
  if (!joined && regions.size() > 1 && ++exchange_tries % 3 == 0) return far_exchange(now);  // nobody near may be up
  std::vector<MemberId> peers = pick_peers(1, self.id);
  begin_exchange(peers.empty() ? order.at(rng.below(order.size())) : peers[0]);
}

// A gateway compares with one other region per interval, in turn.
void Swim::Impl::far_exchange(Instant now) {
  next_far_exchange = now + jittered(options.push_pull_interval);
  if (regions.size() < 2 || leaving || (joined && !is_gateway())) return;
  uint16_t region = static_cast<uint16_t>(far_exchanges++ % (regions.size() - 1));
  if (region >= own_region) ++region;
  MemberId partner = pick_of_region(region, rng.below(4) == 0);
  if (partner != kNoMember) begin_exchange(partner);
}

void Swim::Impl::begin_exchange(MemberId partner) {
  StreamMessage digest = stream_message(StreamKind::kDigest);
  digest.salt = rng.next();
  hash_all(digest.salt, digest.root, digest.hashes);
  send_stream(partner, digest);
}

StreamMessage Swim::Impl::stream_message(StreamKind kind) const {
  StreamMessage message;
  message.kind = kind;
  message.identity = self.identity;
  message.incarnation = incarnation;
  message.config_epoch = epoch;
  message.beats = beats();
  return message;
}

void Swim::Impl::send_stream(MemberId to, const StreamMessage& message) {
  ++stats.streams_out;
  output.streams.push_back({to, encode(message)});
}

MemberStatus Swim::Impl::status_of(const Record& record) const {
  return {record.id, record.state, record.incarnation, record.facts_version, record.facts};
}

std::vector<MemberStatus> Swim::Impl::states_in(uint64_t mask) const {
  std::vector<MemberStatus> states;
  for (const Record& record : records)
    if (mask >> bucket_of(record.id) & 1) states.push_back(status_of(record));
  return states;
}

void Swim::Impl::hash_all(uint64_t salt, uint64_t& root, std::array<uint32_t, kBuckets>& hashes) const {
  root = 0;
  hashes.fill(0);
  std::string bytes;
  for (const Record& record : records) {
    bytes.clear();
    Encoder out(bytes);
    encode(status_of(record), out);
    uint64_t hash = hash64(bytes, salt);
    root += hash;
    hashes[bucket_of(record.id)] += static_cast<uint32_t>(hash);
  }
}

void Swim::Impl::on_stream(MemberId from, std::string_view bytes, Instant now) {
  ++stats.streams_in;
  Result<StreamMessage> decoded = decode_stream(bytes);
  if (!decoded.ok()) {
    ++(decoded.status().code() == Code::kUnsupported ? stats.other_version : stats.malformed);
    return;
  }
  const StreamMessage& message = *decoded;
  Record* sender = find(from);
  if (!member || sender == nullptr || sender->identity != message.identity || is_self(*sender)) {
    ++stats.strangers;
    return;
  }
  if (message.incarnation == 0 || !plausible(message.incarnation, sender->incarnation)) {
    ++stats.implausible;
    return;
  }
  advance(now);
  see_epoch(message.config_epoch, from);
  observe(*sender, message.incarnation, false, now);
  if (is_local(*sender)) merge_beats(message.beats, now);

  switch (message.kind) {
    case StreamKind::kDigest: {
      StreamMessage reply = stream_message(StreamKind::kBuckets);
      uint64_t root;
      reply.salt = message.salt;
      hash_all(message.salt, root, reply.hashes);
      return send_stream(from, root == message.root ? stream_message(StreamKind::kSame) : reply);
    }
    case StreamKind::kSame:
      ++stats.exchanges;
      joined = true;
      return;
    case StreamKind::kBuckets: {
      StreamMessage reply = stream_message(StreamKind::kStates);
      uint64_t root;
      std::array<uint32_t, kBuckets> hashes;
      hash_all(message.salt, root, hashes);
      for (size_t i = 0; i < kBuckets; ++i)
        if (hashes[i] != message.hashes[i]) reply.mask |= uint64_t{1} << i;
      reply.states = states_in(reply.mask);
      return send_stream(from, reply);
    }
    case StreamKind::kStates: {
      StreamMessage reply = stream_message(StreamKind::kStatesReply);
      reply.mask = message.mask;
      reply.states = states_in(message.mask);  // as it was: what the sender said it knows already
      merge(message.states, from, now);
      return send_stream(from, reply);
    }
    case StreamKind::kStatesReply:
      ++stats.exchanges;
      ++stats.exchanges_differing;
      joined = true;
      return merge(message.states, from, now);
  }
}

// A dead member of the own region that counts as alive here is suspected, not buried: the other side may have been cut
// off. It is told at once, so that it can refute. Of other regions' members their regions know best.
void Swim::Impl::merge(const std::vector<MemberStatus>& states, MemberId from, Instant now) {
  if (planted(Bug::kPushPullLearnsNothing)) return;
  for (const MemberStatus& status : states) {
    Record* record = find(status.member);
    if (record == nullptr) continue;
    if (status.facts_version != 0)
      apply_facts(*record, {Update::Kind::kFacts, record->id, status.facts_version, kNoMember, status.facts}, now);
    Update update;
    update.member = record->id;
    update.incarnation = status.incarnation;
    update.from = from;
    switch (status.state) {
      case State::kUnknown:
        continue;
      case State::kAlive:
        update.kind = Update::Kind::kAlive;
        break;
      case State::kSuspect:
        update.kind = Update::Kind::kSuspect;
        break;
      case State::kDead:
        update.kind = Update::Kind::kDead;
        break;
      case State::kLeft:
        update.kind = Update::Kind::kLeft;
        break;
    }
    bool accused = status.state == State::kSuspect || status.state == State::kDead;
    if (!accused) update.from = kNoMember;
    if (!accused || !is_local(*record) || is_self(*record) || record->state >= State::kDead) {
      apply(update, now);
    } else if (status.state == State::kDead && record->state == State::kUnknown) {
      apply(update, now);
    } else if (plausible(status.incarnation, record->incarnation)) {
      suspect(*record, status.incarnation, kNoMember, now);
      if (record->state == State::kSuspect) accuse(*record, now);
    }
  }
}

}  // namespace cartwheel::gossip
