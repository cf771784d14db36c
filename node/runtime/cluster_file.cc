#include "node/runtime/cluster_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <numeric>
#include <optional>

#include "base/limits.h"
#include "node/runtime/setting_text.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
// toml++ 3.3 asserts that a character after '[' starts a key and right after that reports the one that does not. A
// wrong file must be an error in every build, so the assertion goes, and with it the assumption that NDEBUG makes of
// it.
#define TOML_ASSERT(expr) static_assert(true)
#pragma push_macro("NDEBUG")
#undef NDEBUG
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace cartwheel::node {
namespace {

constexpr size_t kFileBytes = 4 * 1024 * 1024;  // a thousand nodes take a tenth of it

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

// The name of `text` among `known` that was probably meant; empty when none is near.
std::string_view nearest(std::string_view text, const std::vector<std::string_view>& known) {
  std::string_view best;
  size_t best_distance = std::max<size_t>(2, text.size() / 3) + 1;
  if (text.size() > 64) return best;
  for (std::string_view k : known) {
    size_t d = edit_distance(text, k);
    if (d < best_distance && d < k.size()) best = k, best_distance = d;
  }
  return best;
}

const char* type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

// What a file says may be long and have line breaks and control characters; an error is one printable line.
std::string printable_line(std::string_view text, size_t limit = 300) {
  std::string out;
  for (char c : text.substr(0, limit)) out += static_cast<uint8_t>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text.size() > limit ? out + "..." : out;
}

std::string in_quotes(std::string_view text) {
  return "'" + printable_line(text, 80) + "'";
}

// Reads one file; the first error stays and everything after it is skipped.
class Reader {
 public:
  explicit Reader(const std::string& source_name) : source_name_(source_name) {}

  Result<ClusterConfig> read(const toml::table& root) {
    known_keys(root, "", {"cluster", "partitions", "stripes", "node", "keyspace"});
    ClusterConfig config;
    text(root, "cluster", &config.name, kRequired);
    number(root, "partitions", &config.partitions);
    number(root, "stripes", &config.stripes);
    std::vector<const toml::table*> nodes = tables(root, "node"), keyspaces = tables(root, "keyspace");
    for (const toml::table* t : nodes) config.nodes.push_back(node(*t));
    for (const toml::table* t : keyspaces) config.keyspaces.push_back(keyspace(*t));
    if (!status_.ok()) return status_;
    if (Problem p = check(config); !p.status.ok()) {
      const toml::table& part = p.part == Problem::Part::kNode       ? *nodes[p.index]
                                : p.part == Problem::Part::kKeyspace ? *keyspaces[p.index]
                                                                     : root;
      const toml::node* value = part.get(p.key);
      fail(value != nullptr ? *value : part, printable_line(p.status.message()), p.status.code());
      return status_;
    }
    if (Status s = finish(config); !s.ok()) return s;
    return config;
  }

  Status error_at(const toml::source_position& at, std::string_view message, Code code = Code::kInvalidArgument) const {
    // The file as a whole has no position of its own: its first line stands for it.
    std::string line = std::to_string(std::max<uint32_t>(at.line, 1));
    std::string column = std::to_string(std::max<uint32_t>(at.column, 1));
    return Status(code, source_name_ + ":" + line + ":" + column + ": " + std::string(message));
  }

 private:
  enum Presence { kOptional, kRequired };

  void fail(const toml::source_position& at, std::string_view message, Code code = Code::kInvalidArgument) {
    if (status_.ok()) status_ = error_at(at, message, code);
  }
  void fail(const toml::node& at, std::string_view message, Code code = Code::kInvalidArgument) {
    fail(at.source().begin, message, code);
  }

  // `where`: "" or " in [[node]]".
  void known_keys(const toml::table& table, const std::string& where, const std::vector<std::string_view>& known) {
    // Tables are sorted by key; the first mistake in the file is the one to name.
    const toml::key* first = nullptr;
    for (auto&& [key, value] : table) {
      if (std::find(known.begin(), known.end(), key.str()) != known.end()) continue;
      auto position = [](const toml::key& k) { return std::make_pair(k.source().begin.line, k.source().begin.column); };
      if (first == nullptr || position(key) < position(*first)) first = &key;
    }
    if (first == nullptr) return;
    std::string message = "unknown key " + in_quotes(first->str()) + where;
    if (auto meant = nearest(first->str(), known); !meant.empty())
      message += "; did you mean '" + std::string(meant) + "'?";
    fail(first->source().begin, message);
  }

  const toml::node* value(const toml::table& table, std::string_view key, Presence presence) {
    const toml::node* v = table.get(key);
    if (v == nullptr && presence == kRequired) fail(table, "missing key '" + std::string(key) + "'");
    return v;
  }
  void wrong_type(const toml::node& v, std::string_view key, std::string_view wanted) {
    fail(v, std::string(key) + " must be " + std::string(wanted) + ", not " + type_name(v));
  }

  void text(const toml::table& table, std::string_view key, std::string* out, Presence presence = kOptional) {
    const toml::node* v = value(table, key, presence);
    if (v == nullptr) return;
    if (!v->is_string()) return wrong_type(*v, key, "a text");
    *out = v->as_string()->get();
  }

  template <typename T>
  void number(const toml::table& table, std::string_view key, T* out) {
    if (const toml::node* v = table.get(key)) number(*v, key, out);
  }
  template <typename T>
  void number(const toml::node& v, std::string_view key, T* out) {
    if (!v.is_integer()) return wrong_type(v, key, "an integer");
    int64_t n = v.as_integer()->get();
    if (n < 0 || n > static_cast<int64_t>(std::numeric_limits<T>::max())) {
      return fail(v, in_quotes(key) + " is out of range: " + std::to_string(n));
    }
    *out = static_cast<T>(n);
  }

  void address(const toml::table& table, std::string_view key, Address* out, Presence presence = kOptional) {
    const toml::node* v = value(table, key, presence);
    if (v == nullptr) return;
    std::string s;
    text(table, key, &s);
    if (!v->is_string()) return;
    auto parsed = parse_address(s);
    if (!parsed) return fail(*v, std::string(key) + " address " + in_quotes(s) + " is not \"host:port\"");
    if (parsed->port == 0) return fail(*v, std::string(key) + " address " + in_quotes(s) + " has port 0");
    *out = *parsed;
  }

  void level(const toml::table& table, std::string_view key, Level* out) {
    const toml::node* v = table.get(key);
    if (v == nullptr) return;
    if (!v->is_string() && !v->is_integer()) return wrong_type(*v, key, "a level or a number of replicas");
    std::string s = v->is_string() ? v->as_string()->get() : std::to_string(v->as_integer()->get());
    auto parsed = Level::parse(s);
    if (!parsed.ok()) return fail(*v, std::string(key) + ": " + printable_line(parsed.status().message()));
    *out = *parsed;
  }

  void duration(const toml::table& table, std::string_view key, int64_t* out_ms) {
    const toml::node* v = table.get(key);
    if (v == nullptr) return;
    if (v->is_integer()) {
      int64_t seconds = v->as_integer()->get();
      // check() names the exact limits; here it is only about a product that fits.
      *out_ms = std::clamp<int64_t>(seconds, -1, limits::kTtlMs / 1000 + 1) * 1000;
      return;
    }
    if (!v->is_string()) return wrong_type(*v, key, "a text such as \"30m\" or a number of seconds");
    auto parsed = parse_duration(v->as_string()->get());
    if (!parsed) {
      return fail(*v, std::string(key) + " " + in_quotes(v->as_string()->get()) +
                          " is not a duration: a number and one of ms, s, m, h, d");
    }
    *out_ms = *parsed;
  }

  // The elements of [[key]].
  std::vector<const toml::table*> tables(const toml::table& root, std::string_view key) {
    std::vector<const toml::table*> out;
    const toml::node* v = root.get(key);
    if (v == nullptr) return out;
    if (!v->is_array()) {
      fail(*v, in_quotes(key) + " must be written as [[" + std::string(key) + "]], once for each");
      return out;
    }
    for (const toml::node& element : *v->as_array()) {
      if (!element.is_table()) {
        wrong_type(element, key, "a table");
        return {};
      }
      out.push_back(element.as_table());
    }
    return out;
  }

  NodeInfo node(const toml::table& t) {
    known_keys(t, " in [[node]]", {"name", "region", "zone", "capacity", "rpc", "resp", "http"});
    NodeInfo n;
    text(t, "name", &n.name, kRequired);
    text(t, "region", &n.region, kRequired);
    text(t, "zone", &n.zone);
    if (const toml::node* v = t.get("capacity")) {
      if (!v->is_number())
        wrong_type(*v, "capacity", "a number");
      else
        n.capacity = v->is_integer() ? static_cast<double>(v->as_integer()->get()) : v->as_floating_point()->get();
    }
    address(t, "rpc", &n.rpc, kRequired);
    address(t, "resp", &n.resp);
    address(t, "http", &n.http);
    return n;
  }

  Keyspace keyspace(const toml::table& t) {
    known_keys(t, " in [[keyspace]]",
               {"name", "select", "kind", "replicas", "read", "write", "default_ttl", "durability", "fallbacks"});
    Keyspace k;
    text(t, "name", &k.name, kRequired);
    number(t, "select", &k.select);
    text(t, "kind", &k.kind);
    if (const toml::node* v = value(t, "replicas", kRequired)) {
      if (!v->is_table()) {
        wrong_type(*v, "replicas", "a table such as { eu = 3 }");
      } else {
        for (auto&& [region, copies] : *v->as_table()) number(copies, region.str(), &k.replicas[std::string(region)]);
      }
    }
    level(t, "read", &k.read);
    level(t, "write", &k.write);
    duration(t, "default_ttl", &k.default_ttl_ms);
    if (const toml::node* v = t.get("fallbacks")) {
      if (!v->is_boolean())
        wrong_type(*v, "fallbacks", "true or false");
      else
        k.fallbacks = v->as_boolean()->get();
    }
    std::string durability = "os";
    text(t, "durability", &durability);
    if (durability == "always")
      k.durability = Keyspace::Durability::kAlways;
    else if (durability != "os") {
      fail(*t.get("durability"), "durability " + in_quotes(durability) + " is unknown, it is \"os\" or \"always\"");
    }
    return k;
  }

  const std::string& source_name_;
  Status status_;
};

}  // namespace

Result<ClusterConfig> parse_cluster(std::string_view text, const std::string& source_name) {
  if (text.size() > kFileBytes) return Status::InvalidArgument(source_name + ": larger than 4 MiB");
  Reader reader(source_name);
  toml::parse_result parsed = toml::parse(text);
  if (!parsed) return reader.error_at(parsed.error().source().begin, printable_line(parsed.error().description()));
  return reader.read(parsed.table());
}

Result<ClusterConfig> load_cluster_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) {
    return Status::Io("cannot read cluster file " + path + ": " + (error ? error.message() : "not a regular file"));
  }
  std::ifstream in(path, std::ios::binary);
  std::string text(kFileBytes + 1, '\0');  // one more than allowed, so that a larger file is seen to be larger
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad() || !in.is_open()) return Status::Io("cannot read cluster file " + path);
  text.resize(static_cast<size_t>(in.gcount()));
  return parse_cluster(text, path);
}

}  // namespace cartwheel::node
