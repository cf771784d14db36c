#include "node/fronts/resp/info.h"

#include <algorithm>
#include <cstdio>

#include "node/fronts/resp/errors.h"

namespace cartwheel::resp {

namespace {

std::string human(uint64_t bytes) {
  char text[32];
  double shown = static_cast<double>(bytes);
  if (bytes < 1024) {
    snprintf(text, sizeof(text), "%.0fB", shown);
  } else if (bytes < 1024 * 1024) {
    snprintf(text, sizeof(text), "%.2fK", shown / 1024);
  } else if (bytes < 1024ull * 1024 * 1024) {
    snprintf(text, sizeof(text), "%.2fM", shown / (1024 * 1024));
  } else {
    snprintf(text, sizeof(text), "%.2fG", shown / (1024.0 * 1024 * 1024));
  }
  return text;
}

std::string decimal(double value) {
  char text[48];
  snprintf(text, sizeof(text), "%.6f", value);
  return text;
}

class InfoText {
 public:
  explicit InfoText(std::span<const std::string_view> sections) : sections_(sections) {}

  // Whether the section is wanted; then its heading is written.
  bool section(std::string_view name) {
    auto asks = [&](std::string_view s) {
      std::string wanted = lower(s);
      return wanted == "all" || wanted == "default" || wanted == "everything" || wanted == lower(name);
    };
    if (!sections_.empty() && std::none_of(sections_.begin(), sections_.end(), asks)) return false;
    if (!text_.empty()) text_ += "\r\n";
    text_ += "# " + std::string(name) + "\r\n";
    return true;
  }
  void line(std::string_view name, std::string_view value) {
    text_.append(name).append(":").append(value).append("\r\n");
  }
  void line(std::string_view name, uint64_t value) { line(name, std::to_string(value)); }

  std::string take() { return std::move(text_); }

 private:
  std::span<const std::string_view> sections_;
  std::string text_;
};

}  // namespace

std::string info_text(const ServerInfo& info, std::span<const std::string_view> sections) {
  InfoText text(sections);
  if (text.section("Server")) {
    text.line("redis_version", "7.2.0");  // whose commands it follows; clients decide by it what to send
    text.line("redis_mode", "standalone");
    text.line("cartwheel_version", info.version);
    text.line("cartwheel_cluster", info.cluster);
    text.line("cartwheel_node", info.node);
    text.line("cartwheel_region", info.region);
    text.line("arch_bits", 64);
    text.line("multiplexing_api", "libuv");
    text.line("process_id", info.process_id);
    text.line("tcp_port", info.port);
    text.line("uptime_in_seconds", info.uptime_seconds);
    text.line("uptime_in_days", info.uptime_seconds / 86400);
  }
  if (text.section("Clients")) {
    text.line("connected_clients", info.connected_clients);
    text.line("blocked_clients", 0);
  }
  if (text.section("Memory")) {
    text.line("used_memory", info.used_memory_bytes);
    text.line("used_memory_human", human(info.used_memory_bytes));
    text.line("maxmemory", 0);
    text.line("maxmemory_human", "0B");
    text.line("maxmemory_policy", "noeviction");
  }
  if (text.section("Persistence")) {
    text.line("loading", 0);
    text.line("async_loading", 0);
  }
  if (text.section("Stats")) {
    text.line("total_connections_received", info.connections_received);
    text.line("total_commands_processed", info.commands_processed);
  }
  if (text.section("Replication")) {
    // Every node takes writes, which is what clients mean by a master.
    text.line("role", "master");
    text.line("connected_slaves", 0);
  }
  if (text.section("CPU")) {
    text.line("used_cpu_sys", decimal(info.cpu_system_seconds));
    text.line("used_cpu_user", decimal(info.cpu_user_seconds));
  }
  if (text.section("Cluster")) text.line("cluster_enabled", 0);
  if (text.section("Keyspace")) {
    for (auto [database, keys] : info.keys) {
      if (keys == 0) continue;
      text.line("db" + std::to_string(database), "keys=" + std::to_string(keys) + ",expires=0,avg_ttl=0");
    }
  }
  return text.take();
}

}  // namespace cartwheel::resp
