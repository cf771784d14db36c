#include "crdt/encoded.h"

#include <string>

#include "base/hash.h"
#include "crdt/path.h"

namespace cartwheel::crdt {

namespace {

// From where `from` begins to where the reader stands.
std::string_view between(std::string_view from, const Decoder& in) {
  return from.substr(0, from.size() - in.rest().size());
}

}  // namespace

EncodedLeaf EncodedLeaf::read(Decoder& in) {
  struct Sink {
    const Decoder& in;
    std::string_view begin;
    EncodedLeaf leaf;
    void entry(const Dot&, Hlc, std::string_view) { leaf.visible = true; }
    void chain(const Actor&, const Chain&) { leaf.visible = true; }
    void end_of_content() { leaf.content = between(begin, in); }
    void reset(const Dot&) {}
    void seen(const ObservedChain&) {}
  } sink{in, in.rest(), {}};
  read_leaf(in, sink);
  if (!in.ok()) return {};
  sink.leaf.bytes = between(sink.begin, in);
  return sink.leaf;
}

uint64_t EncodedLeaf::digest(std::string_view path) const {
  std::string digested;
  digested.reserve(10 + path.size() + content.size());
  Encoder out(digested);
  out.bytes(path);
  out.raw(content);
  return hash64(digested);
}

bool EncodedLeaf::remembers() const {
  return bytes.substr(content.size()) != std::string_view("\0", 1);  // none of them
}

uint64_t EncodedLeaf::resets_hash() const {
  return remembers() ? hash64(bytes.substr(content.size())) : 0;
}

EncodedObject::EncodedObject(Decoder& in) : in_(in), left_(in.count(5)) {}

bool EncodedObject::next() {
  if (left_ == 0 || !in_.ok()) return false;
  --left_;
  const std::string_view begin = in_.rest();
  const std::string_view path = in_.bytes();
  if (!valid_leaf_path(path) || (!first_ && !(path_ < path))) in_.fail();
  leaf_ = EncodedLeaf::read(in_);
  if (!in_.ok()) return false;
  first_ = false;
  path_ = path;
  digested_ = begin.substr(0, static_cast<size_t>(leaf_.content.data() + leaf_.content.size() - begin.data()));
  return true;
}

uint64_t EncodedObject::digest() const {
  return hash64(digested_);
}

}  // namespace cartwheel::crdt
