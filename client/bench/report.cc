#include "client/bench/report.h"

#include <fmt/format.h>

#include <iterator>
#include <nlohmann/json.hpp>

namespace cartwheel::bench {
namespace {

constexpr double kAchievedMin = 0.99;
constexpr uint64_t kLagP99MaxUs = 1000;

double ops_per_second(const Outcome& outcome) {
  return outcome.window_s > 0 ? static_cast<double>(outcome.stats.operations) / outcome.window_s : 0;
}

double per_operation(double total, const Outcome& outcome) {
  return outcome.stats.operations > 0 ? total / static_cast<double>(outcome.stats.operations) : 0;
}

double achieved_share(const Options& options, const Outcome& outcome) {
  // Against what the schedule held, not the nominal rate, from which a short Poisson schedule strays by itself.
  if (!options.rate || outcome.stats.due == 0) return 1;
  return static_cast<double>(outcome.stats.operations) / static_cast<double>(outcome.stats.due);
}

nlohmann::json errors_json(const ErrorTable& table) {
  nlohmann::json out = nlohmann::json::array();
  for (const auto& [kind, row] : table.rows()) {
    out.push_back({{"kind", kind}, {"count", row.count}, {"example", row.example}});
  }
  return out;
}

nlohmann::json latency_json(const Histogram& h) {
  return {{"min", h.min()},          {"mean", h.mean()},        {"p50", h.percentile(50)},
          {"p90", h.percentile(90)}, {"p99", h.percentile(99)}, {"p99.9", h.percentile(99.9)},
          {"max", h.max()},          {"count", h.count()}};
}

std::string loop_name(const Options& options) {
  if (!options.rate) return fmt::format("closed loop, pipeline {}", options.pipeline);
  return fmt::format("open loop, {:.0f} ops/s offered ({}), at most {} in flight per connection", *options.rate,
                     options.poisson ? "poisson" : "fixed", options.pipeline);
}

}  // namespace

bool latency_is_meaningful(const Options& options, const Outcome& outcome) {
  return !outcome.stopped_early && achieved_share(options, outcome) >= kAchievedMin;
}

std::vector<std::string> warnings_of(const Options& options, const Outcome& outcome) {
  std::vector<std::string> out;
  const Stats& stats = outcome.stats;
  if (outcome.stopped_early) out.push_back("the run was stopped early, see errors (--keep-going connects again)");
  if (stats.operations == 0) out.push_back("no operation completed inside the measured window");
  if (const double share = achieved_share(options, outcome); share < kAchievedMin) {
    out.push_back(
        fmt::format("achieved {:.1f} % of the offered rate: latencies are those of a growing queue, not of the "
                    "server; offer less",
                    100 * share));
  }
  if (options.rate && stats.send_lag.percentile(99) > kLagP99MaxUs) {
    out.push_back(
        fmt::format("operations left late (p99 {} us): the load tool or the connections were short, raise "
                    "--clients, --pipeline or --threads",
                    stats.send_lag.percentile(99)));
  }
  if (stats.wrong_values > 0) out.push_back(fmt::format("{} replies held a wrong value", stats.wrong_values));
  if (!options.pids.empty() && !outcome.server_cpu_us) out.push_back("a server process ended during the run");
  return out;
}

std::string text_report(const Options& options, const Outcome& outcome) {
  const Stats& stats = outcome.stats;
  std::string out;
  auto to = std::back_inserter(out);
  fmt::format_to(to, "{} · {} connections · {}\n", options.mix.name, options.clients, loop_name(options));
  fmt::format_to(to, "  operations      {:>12}   in {:.2f} s\n", stats.operations, outcome.window_s);
  fmt::format_to(to, "  throughput      {:>12.0f}   ops/s\n", ops_per_second(outcome));
  const Histogram& h = stats.latency;
  if (latency_is_meaningful(options, outcome)) {
    fmt::format_to(to, "  latency us      p50 {}   p90 {}   p99 {}   p99.9 {}   max {}\n", h.percentile(50),
                   h.percentile(90), h.percentile(99), h.percentile(99.9), h.max());
  } else {
    fmt::format_to(to, "  latency us      not meaningful, see warnings\n");
  }
  if (outcome.server_cpu_us) {
    fmt::format_to(to, "  server cpu      {:>12.2f}   us/op over {} process{}\n",
                   per_operation(*outcome.server_cpu_us, outcome), options.pids.size(),
                   options.pids.size() > 1 ? "es" : "");
  }
  fmt::format_to(to, "  client cpu      {:>12.2f}   us/op\n", per_operation(stats.client_cpu_us, outcome));
  if (stats.misses > 0) fmt::format_to(to, "  misses          {:>12}\n", stats.misses);
  if (stats.connects_again > 0) fmt::format_to(to, "  connects again  {:>12}\n", stats.connects_again);
  fmt::format_to(to, "  errors          {:>12}\n", stats.errors.total());
  for (const auto& [kind, row] : stats.errors.rows()) {
    fmt::format_to(to, "    {:<14}{:>12}   first: {}\n", kind, row.count, row.example);
  }
  if (stats.errors_before.total() > 0) {
    const auto& [kind, row] = *stats.errors_before.rows().begin();
    fmt::format_to(to, "  errors earlier  {:>12}   in prefill and warm-up, first kind: {}\n",
                   stats.errors_before.total(), row.example);
  }
  for (const std::string& warning : warnings_of(options, outcome)) fmt::format_to(to, "  warning: {}\n", warning);
  return out;
}

std::string json_report(const Options& options, const Outcome& outcome) {
  const Stats& stats = outcome.stats;
  nlohmann::json by_kind = nlohmann::json::object();
  for (size_t i = 0; i < kOpKinds; ++i) {
    if (stats.by_kind[i] > 0) by_kind[op_name(static_cast<OpKind>(i))] = stats.by_kind[i];
  }
  nlohmann::json targets = nlohmann::json::array();
  for (const Target& target : options.targets) targets.push_back(target.host + ":" + target.port);
  nlohmann::json report = {{"tool", "cartwheel bench"},
                           {"options",
                            {{"targets", targets},
                             {"protocol", options.protocol},
                             {"mix", options.mix.name},
                             {"clients", options.clients},
                             {"pipeline", options.pipeline},
                             {"threads", options.threads},
                             {"keys", options.shape.keys},
                             {"value_size", options.shape.value_size},
                             {"set_size", options.shape.set_size},
                             {"seed", options.seed},
                             {"loop", options.rate ? "open" : "closed"}}},
                           {"operations", stats.operations},
                           {"operations_by_kind", by_kind},
                           {"window_s", outcome.window_s},
                           {"ops_per_s", ops_per_second(outcome)},
                           {"latency_meaningful", latency_is_meaningful(options, outcome)},
                           {"latency_us", latency_json(stats.latency)},
                           {"read_latency_us", latency_json(stats.reads)},
                           {"write_latency_us", latency_json(stats.writes)},
                           {"client_cpu_us_per_op", per_operation(stats.client_cpu_us, outcome)},
                           {"misses", stats.misses},
                           {"wrong_values", stats.wrong_values},
                           {"connects_again", stats.connects_again},
                           {"error_count", stats.errors.total()},
                           {"errors", errors_json(stats.errors)},
                           {"errors_before", errors_json(stats.errors_before)},
                           {"warnings", warnings_of(options, outcome)}};
  if (options.rate) {
    report["offered_ops_per_s"] = *options.rate;
    report["achieved_share"] = achieved_share(options, outcome);
    report["send_lag_us"] = latency_json(stats.send_lag);
  }
  if (outcome.server_cpu_us) report["server_cpu_us_per_op"] = per_operation(*outcome.server_cpu_us, outcome);
  // Error texts come from a server and may be any bytes.
  return report.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace cartwheel::bench
