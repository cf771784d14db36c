#include "node/runtime/stripe_driver.h"

#include <uv.h>

#include <utility>

#include "node/runtime/log.h"

namespace cartwheel::node {

StripeDriver::StripeDriver(std::shared_ptr<const ClusterConfig> config, StripeOptions options,
                           std::unique_ptr<storage::Engine> engine, Send send)
    : number_(options.stripe),
      engine_(std::move(engine)),
      stripe_(std::move(config), std::move(options), *engine_),
      send_(std::move(send)) {}

Status StripeDriver::start(Now now) {
  RETURN_IF_ERROR(stripe_.start(now));
  Output output = stripe_.take_output();
  event_log_.write(output, stripe_.config(), now.instant);
  RETURN_IF_ERROR(write_to(*engine_, output));
  RETURN_IF_ERROR(engine_->sync());
  deliver(output);
  return {};
}

void StripeDriver::end_turn() {
  Output output = stripe_.take_output();
  write(output);
  event_log_.write(output, stripe_.config(), {static_cast<int64_t>(uv_hrtime() / 1000)});
  if (output.newer_config && newer_config_) newer_config_(*output.newer_config);
  if (output.sync) ticket_ = syncer_->request(slot_);
  if (output.sync || !parked_.empty()) {
    if (!output.messages.empty() || !output.answers.empty()) {
      parked_.push_back({ticket_, std::move(output)});
    }
    return;
  }
  deliver(output);
}

void StripeDriver::release_synced() {
  if (parked_.empty()) return;
  const uint64_t completed = syncer_->completed(slot_);
  while (!parked_.empty() && parked_.front().ticket <= completed) {
    Output output = std::move(parked_.front().output);
    parked_.pop_front();
    deliver(output);
  }
}

Status StripeDriver::stop(Now now) {
  stripe_.stop(now);
  Output output = stripe_.take_output();
  RETURN_IF_ERROR(write_to(*engine_, output));
  RETURN_IF_ERROR(engine_->sync());
  while (!parked_.empty()) {
    Output earlier = std::move(parked_.front().output);
    parked_.pop_front();
    deliver(earlier);
  }
  deliver(output);
  return {};
}

void StripeDriver::write(Output& output) {
  if (output.batch.empty() && output.loads.empty()) return;
  const uint64_t begin = uv_hrtime();
  const size_t bytes = output.batch.bytes();
  const Status status = write_to(*engine_, output);
  if (!status.ok()) {
    logs::fatal("the disk cannot be written", {{"stripe", std::to_string(number_)}, {"reason", status.to_string()}});
  }
  ++counters_.batches;
  counters_.batch_bytes += bytes;
  counters_.write_latency.add((uv_hrtime() - begin) / 1000);
}

void StripeDriver::deliver(Output& output) {
  for (Output::Message& message : output.messages) send_(number_, std::move(message));
  for (Output::Answer& answer : output.answers) answer.callback(std::move(answer.reply));
}

}  // namespace cartwheel::node
