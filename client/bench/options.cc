#include "client/bench/options.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace cartwheel::bench {
namespace {

// "HOST:PORT" or "[IPV6]:PORT".
Result<Target> parse_target(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    return Status::InvalidArgument("--target needs HOST:PORT, not '" + text + "'");
  }
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  return Target{host, text.substr(colon + 1)};
}

// What CLI11 hands over as text.
struct Texts {
  std::vector<std::string> targets = {"127.0.0.1:6379"};
  std::string mix = "get";
  std::string distribution = "uniform";
  std::string arrivals = "poisson";
  std::optional<uint64_t> keys;
  std::optional<uint32_t> value_size;
};

Status finish(const Texts& texts, Options& out) {
  for (const std::string& text : texts.targets) {
    const Result<Target> target = parse_target(text);
    if (!target.ok()) return target.status();
    out.targets.push_back(*target);
  }
  const Result<Mix> mix = parse_mix(texts.mix);
  if (!mix.ok()) return mix.status();
  out.mix = *mix;
  const Result<Distribution> distribution = parse_distribution(texts.distribution);
  if (!distribution.ok()) return distribution.status();
  out.shape.distribution = *distribution;
  out.poisson = texts.arrivals == "poisson";

  const OpKind first = out.mix.entries[0].kind;
  const bool on_carts = first >= OpKind::kCartRead && first <= OpKind::kCartIncrement;
  const bool on_sets = first == OpKind::kSetAdd || first == OpKind::kSetRemove;
  out.shape.keys = texts.keys.value_or(on_sets ? 1 : 100'000);
  out.shape.value_size = texts.value_size.value_or(on_carts ? 64 : 1024);
  if (out.protocol == "rpc") {
    if (out.keyspace.empty()) return Status::InvalidArgument("--protocol rpc needs --keyspace NAME");
    for (const Mix::Entry& entry : out.mix.entries) {
      if (entry.kind == OpKind::kSetWait)
        return Status::InvalidArgument("WAIT belongs to RESP: levels do this in the RPC");
    }
  }
  if (out.threads > out.clients) return Status::InvalidArgument("--threads is larger than --clients");
  if (out.requests && out.rate) return Status::InvalidArgument("--rate goes with --duration, not with --requests");
  if (out.rate && *out.rate / out.threads < 0.001) return Status::InvalidArgument("--rate is too low");
  return Status::Ok();
}

}  // namespace

ParsedOptions parse_options(int argc, char** argv) {
  Options out;
  Texts texts;
  CLI::App app(
      "Loads a server and reports throughput, latency and CPU per operation.\n"
      "Without --rate a closed loop: every connection sends --pipeline operations, waits for all replies, and sends "
      "again;\n"
      "good for peaks and for CPU per operation. With --rate an open loop: operations are due by a schedule that the "
      "server\n"
      "cannot delay, and latency counts from the time they were due.",
      "cartwheel bench");
  app.add_option("--target", texts.targets, "server HOST:PORT; may be repeated, connections are spread over all")
      ->capture_default_str();
  app.add_option("--protocol", out.protocol, "wire protocol")
      ->check(CLI::IsMember({"resp", "rpc"}))
      ->capture_default_str();
  app.add_option("--db", out.database, "resp: database (keyspace number) to SELECT")->capture_default_str();
  app.add_option("--keyspace", out.keyspace, "rpc: name of the keyspace");
  app.add_option("-c,--clients", out.clients, "connections")->check(CLI::Range(1, 100'000))->capture_default_str();
  app.add_option("-P,--pipeline", out.pipeline, "operations in flight per connection")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--threads", out.threads, "event loops, each with its share of the connections")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  auto* requests = app.add_option("-n,--requests", out.requests, "measure this many operations")
                       ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 48));
  app.add_option("--duration", out.duration_s, "measure for this many seconds")
      ->excludes(requests)
      ->check(CLI::Range(0.01, 1e6))
      ->capture_default_str();
  app.add_option("--warmup", out.warmup_s, "seconds of load before the measurement")
      ->check(CLI::Range(0.0, 1e5))
      ->capture_default_str();
  app.add_option("--rate", out.rate, "operations per second in all: open loop")->check(CLI::Range(0.01, 1e9));
  app.add_option("--arrivals", texts.arrivals, "schedule of the open loop")
      ->check(CLI::IsMember({"poisson", "fixed"}))
      ->capture_default_str();
  app.add_option(
         "--mix", texts.mix,
         "get, set, set-wait (SET and WAIT 1), incr, cart (70 % HGETALL, 20 % HSET, 5 % HDEL, 5 % HINCRBY), session "
         "(60 % GET, 35 % SET EX of 300-4000 bytes, 5 % DEL), sadd (SADD and SREM), or a list of operations with "
         "weights: get=0.6,set=0.35,del=0.05")
      ->capture_default_str();
  app.add_option("--keys", texts.keys, "size of the key space; default 100000, for sadd 1")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 40));
  app.add_option("--distribution", texts.distribution, "uniform, zipf[:THETA] or sequential")->capture_default_str();
  app.add_option("--value-size", texts.value_size, "bytes per value; default 1024, for lines of carts 64")
      ->check(CLI::Range(uint32_t{0}, uint32_t{64} << 20));
  app.add_option("--set-size", out.shape.set_size, "members of each set (sadd)")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 32))
      ->capture_default_str();
  app.add_option("--seed", out.seed, "the same seed makes the same load")->capture_default_str();
  app.add_flag("--prefill", out.prefill, "write every key before the load begins");
  app.add_flag("--verify", out.verify, "check that GET replies hold the value that belongs to the key");
  app.add_flag("--keep-going", out.keep_going, "connect again when a connection is lost, and count what failed");
  app.add_option("--pid", out.pids, "server process whose CPU time is measured; may be repeated")
      ->check(CLI::PositiveNumber);
  app.add_option("--json", out.json_path, "write the report to this file too");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return {std::nullopt, app.exit(error)};
  }
  if (const Status status = finish(texts, out); !status.ok()) {
    std::cerr << "cartwheel bench: " << status.message() << "\n";
    return {std::nullopt, 2};
  }
  return {std::move(out), 0};
}

}  // namespace cartwheel::bench
