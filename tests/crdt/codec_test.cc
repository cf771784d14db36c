// Bytes of deltas, leaves, objects, causal states and documents: what is written is read; every truncation is refused;
// damage never crashes and never makes a value that encodes to other bytes than those it came from.
#include <gtest/gtest.h>
// after gtest
#include <rapidcheck/gtest.h>

#include "crdt/encoded.h"
#include "tests/crdt/sessions.h"

namespace cartwheel::crdt {
namespace {

template <typename T>
std::string bytes_of(const T& value) {
  std::string bytes;
  Encoder out(bytes);
  value.encode(out);
  return bytes;
}

template <typename T>
bool decodes(std::string_view bytes, T* value = nullptr) {
  Decoder in(bytes);
  T decoded = T::decode(in);
  if (value != nullptr) *value = decoded;
  return in.done();
}

void damage(std::string& bytes) {
  for (int n = *rc::gen::inRange(1, 4); n > 0 && !bytes.empty(); --n) {
    size_t at = *rc::gen::inRange<size_t>(0, bytes.size());
    switch (*rc::gen::inRange(0, 4)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << *rc::gen::inRange(0, 8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(*rc::gen::element(0, 1, 0x7f, 0x80, 0xff));
        break;
      case 2:
        bytes.erase(at, 1);
        break;
      default:
        bytes.insert(at, 1, *rc::gen::arbitrary<char>());
        break;
    }
  }
}

// The three properties, for one value of a type that decodes from a Decoder.
template <typename T>
void check_codec(const T& value) {
  std::string bytes = bytes_of(value);
  T decoded;
  RC_ASSERT(decodes(bytes, &decoded));
  RC_ASSERT(decoded == value);
  for (size_t n = 0; n < bytes.size(); ++n) RC_ASSERT(!decodes<T>(bytes.substr(0, n)));
  damage(bytes);
  if (decodes(bytes, &decoded)) RC_ASSERT(bytes_of(decoded) == bytes);
}

Session any_session() {
  static const std::vector<TypeUnderTest> kTypes = types_under_test();
  const TypeUnderTest& type = kTypes[*rc::gen::inRange<size_t>(0, kTypes.size())];
  return play(type, *rc::gen::arbitrary<Moves>());
}

RC_GTEST_PROP(Codec, Deltas, ()) {
  for (const Delta& d : any_session().deltas) check_codec(d);
}

RC_GTEST_PROP(Codec, ObjectsAndLeaves, ()) {
  Session s = any_session();
  for (const Document& d : s.replicas) {
    for (const auto& [key, object] : d.objects()) {
      check_codec(object);
      for (const auto& row : object.rows()) check_codec(row.second);
    }
  }
}

// Bytes looked at without being decoded: refused, shown and digested as what is decoded, whether they are whole, cut
// short or damaged.
void check_encoded_leaf(std::string_view bytes) {
  Decoder in(bytes), encoded_in(bytes);
  const Leaf leaf = Leaf::decode(in);
  const EncodedLeaf encoded = EncodedLeaf::read(encoded_in);
  RC_ASSERT(encoded_in.ok() == in.ok());
  RC_ASSERT(encoded.visible == leaf.visible());
  if (!in.ok()) return;
  RC_ASSERT(encoded_in.rest() == in.rest());
  RC_ASSERT(encoded.bytes == bytes.substr(0, bytes.size() - in.rest().size()));
  for (const std::string& path : {path_step(Tag::kString), field_path(std::string(300, 'f'))}) {
    RC_ASSERT(encoded.digest(path) == leaf.digest(path));
  }
  RC_ASSERT(encoded.resets_hash() == leaf.resets_hash());
}

void check_encoded_object(std::string_view bytes) {
  Decoder in(bytes), encoded_in(bytes);
  const Object object = Object::decode(in);
  EncodedObject encoded(encoded_in);
  std::vector<std::pair<std::string, uint64_t>> shown;
  uint64_t digest = 0;
  while (encoded.next()) {
    if (encoded.leaf().visible) digest ^= encoded.digest();
    shown.emplace_back(encoded.path(), encoded.digest());
  }
  RC_ASSERT(encoded_in.ok() == in.ok());
  if (!in.ok()) return;
  RC_ASSERT(encoded_in.rest() == in.rest());
  RC_ASSERT(digest == object.digest());
  RC_ASSERT(shown.size() == object.rows().size());
  for (size_t i = 0; i < shown.size(); ++i) {
    const auto& [path, leaf] = object.rows()[i];
    RC_ASSERT(shown[i] == std::pair(path, leaf.digest(path)));
  }
}

template <typename T>
void check_encoded(const T& value, void (*check)(std::string_view)) {
  std::string bytes = bytes_of(value);
  check(bytes);
  check(bytes + "more");
  for (size_t n = 0; n < bytes.size(); ++n) check(bytes.substr(0, n));
  damage(bytes);
  check(bytes);
}

RC_GTEST_PROP(Codec, WhatIsEncodedHasTheDigestsOfWhatIsDecoded, ()) {
  Session s = any_session();
  for (const Document& d : s.replicas) {
    for (const auto& [key, object] : d.objects()) {
      check_encoded(object, check_encoded_object);
      for (const auto& row : object.rows()) check_encoded(row.second, check_encoded_leaf);
    }
  }
}

RC_GTEST_PROP(Codec, CausalStates, ()) {
  Session s = any_session();
  for (const Document& d : s.replicas) check_codec(d.causal());
}

RC_GTEST_PROP(Codec, Documents, ()) {
  Session s = any_session();
  std::string bytes = s.replicas[0].encode();
  for (size_t n = 0; n < bytes.size(); ++n) {
    auto truncated = Document::decode(bytes.substr(0, n));
    RC_ASSERT(!truncated.ok());
    RC_ASSERT((truncated.status().code() == Code::kCorruption));
  }
  damage(bytes);
  auto decoded = Document::decode(bytes);
  if (!decoded.ok()) return;
  RC_ASSERT(decoded->encode() == bytes);
  // A damaged document that decodes may say nonsense; working with it is still safe.
  decoded->merge(s.replicas[1]);
  s.replicas[1].merge(*decoded);
  decoded->catch_up_from(s.replicas[2]);
}

// A damaged delta that decodes is applied without harm, and what it leaves can be written and read again.
RC_GTEST_PROP(Codec, DamagedDeltasLeaveAStateThatCanBeStored, ()) {
  Session s = any_session();
  for (const Delta& d : s.deltas) {
    std::string bytes = bytes_of(d);
    damage(bytes);
    Delta damaged;
    if (decodes(bytes, &damaged)) s.replicas[0].apply(damaged);
  }
  auto decoded = Document::decode(s.replicas[0].encode());
  RC_ASSERT(decoded.ok());
  RC_ASSERT(*decoded == s.replicas[0]);
}

std::string delta_bytes(const Change& change) {
  return bytes_of(Delta{"k", {}, {change}});
}

Change valid_change() {
  Change c;
  c.dot = {{1, 1}, 3};
  c.path = path_step(Tag::kString);
  return c;
}

TEST(DeltaDecode, RefusesWhatLaterCodeCouldNotRelyOn) {
  Change c = valid_change();
  EXPECT_TRUE(decodes<Delta>(delta_bytes(c)));
  c.path = "";
  EXPECT_FALSE(decodes<Delta>(delta_bytes(c))) << "a leaf without a path";
  c.path = path_step(Tag::kField, "f");
  EXPECT_FALSE(decodes<Delta>(delta_bytes(c))) << "a map field is not a leaf";
  c.path = field_path("f", Tag::kExpiry);
  EXPECT_FALSE(decodes<Delta>(delta_bytes(c))) << "expiry below the root";
  c = valid_change();
  c.increment = Chain{4, 1, 5, 0};
  EXPECT_FALSE(decodes<Delta>(delta_bytes(c))) << "a chain that ends at another dot";
  c.increment = Chain{3, 4, 5, 0};
  EXPECT_FALSE(decodes<Delta>(delta_bytes(c))) << "a chain that starts behind its end";
  c.increment = Chain{3, 1, 5, 5, 3};
  EXPECT_FALSE(decodes<Delta>(delta_bytes(c))) << "a base that leaves nothing";
  c.increment = Chain{3, 1, 5, 5, 2};
  EXPECT_TRUE(decodes<Delta>(delta_bytes(c)));
  c = valid_change();
  c.reset = {{{1, 1}, 2, 3, 0}};
  EXPECT_FALSE(decodes<Delta>(delta_bytes(c))) << "an observed chain that starts behind its end";
  EXPECT_FALSE(decodes<Delta>(bytes_of(Delta{"k", {}, {}}))) << "no change";
  EXPECT_FALSE(decodes<Delta>(bytes_of(Delta{"k", {}, {valid_change(), valid_change()}}))) << "a dot twice";
  EXPECT_FALSE(decodes<Delta>(bytes_of(Delta{std::string(16 * 1024 + 1, 'k'), {}, {valid_change()}}))) << "a long key";
}

TEST(LeafDecode, RefusesDisorder) {
  Leaf leaf;
  leaf.entries = {{{{1, 1}, 2}, {}, "a"}, {{{1, 1}, 1}, {}, "b"}};
  EXPECT_FALSE(decodes<Leaf>(bytes_of(leaf)));
  leaf.entries = {{{{1, 1}, 1}, {}, "a"}, {{{1, 1}, 1}, {}, "b"}};
  EXPECT_FALSE(decodes<Leaf>(bytes_of(leaf)));
  leaf.entries.clear();
  leaf.chains = {{{2, 1}, {1, 1, 1, 0}}, {{1, 1}, {1, 1, 1, 0}}};
  EXPECT_FALSE(decodes<Leaf>(bytes_of(leaf)));
}

// A count of elements is compared with the bytes that are there before anything is allocated.
TEST(Decode, DoesNotAllocateWhatTheBytesClaim) {
  std::string claims("\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 9);
  EXPECT_FALSE(decodes<Leaf>(claims));
  EXPECT_FALSE(decodes<Object>(claims));
  EXPECT_FALSE(decodes<Causal>(claims));
  EXPECT_FALSE(decodes<Delta>(claims));
  EXPECT_FALSE(decodes<DotSet>(claims));
}

TEST(ObjectDigest, IgnoresRememberedResetsAndTellsPathsApart) {
  Document d({1, 1});
  std::string text = path_step(Tag::kString), field = field_path("f");
  EXPECT_EQ(Object().digest(), 0u);
  d.increment("k", text, 5);
  uint64_t shown = d.object("k").digest();
  EXPECT_NE(shown, 0u);
  d.reset("k", text);
  EXPECT_EQ(d.object("k").digest(), 0u);
  Object a, b;
  Leaf leaf;
  leaf.entries = {{{{1, 1}, 1}, {}, "v"}};
  a.set(text, leaf);
  b.set(field, leaf);
  EXPECT_NE(a.digest(), b.digest());
}

}  // namespace
}  // namespace cartwheel::crdt
