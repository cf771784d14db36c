// What a writer of batches sends, a reader gets; and what anybody else may send instead.
#include "node/runtime/batch_codec.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/rng.h"

namespace cartwheel::node {
namespace {

std::string message_frame(std::string_view message, uint8_t stripe = 0) {
  std::string out;
  append_frame(out, FrameKind::kStripeMessage, stripe, message);
  return out;
}

std::string random_bytes(Rng& rng, size_t size) {
  std::string out;
  while (out.size() < size) out.push_back(static_cast<char>(rng.below(256)));
  return out;
}

// What an edit of a cart may look like.
std::string edit(uint64_t i) {
  return "cart:" + std::to_string(i * 7919 % 1000) + R"( {"sku":"SKU-)" + std::to_string(i * 104729 % 100000) +
         R"(","quantity":)" + std::to_string(i % 7) + R"(,"price_cents":)" + std::to_string(i * 31 % 10000) + "}";
}

// A connection's receiving side: frames of either kind in, messages out.
class Receiver {
 public:
  Status receive(std::string_view bytes) {
    decoder_.feed(bytes);
    Frame frame;
    Status status;
    while (status.ok() && decoder_.next(frame) == FrameDecoder::Outcome::kFrame) {
      if (frame.kind == FrameKind::kBatch) {
        ++batches;
        status = reader_.read(frame.payload, [this](const Frame& message) {
          messages.append(message_frame(message.payload, message.stripe));
        });
      } else {
        messages.append(message_frame(frame.payload, frame.stripe));
      }
    }
    decoder_.park();
    return status;
  }
  std::string messages;  // as frames
  size_t batches = 0;

 private:
  FrameDecoder decoder_{limits::kFrameBytes + 4};
  BatchReader reader_;
};

TEST(BatchCodec, MessagesOfAllSizesSurviveTheRoundTrip) {
  Rng rng(1);
  BatchWriter writer;
  Receiver receiver;
  std::string sent;
  for (size_t size : {0, 1, 40, 3000, 70'000, 0, 300'000, 2'000'000, 5}) {
    std::string frames = message_frame(std::string(size, 'x'), 3) + message_frame(random_bytes(rng, size / 9), 255);
    std::string wire;
    writer.append(wire, frames);
    ASSERT_TRUE(receiver.receive(wire).ok());
    sent += frames;
    EXPECT_EQ(receiver.messages, sent) << size;
  }
  EXPECT_GT(receiver.batches, 9u);  // a long message takes several
}

TEST(BatchCodec, WhatWasSaidBeforeIsTheDictionary) {
  BatchWriter writer;
  std::string wire, frames;
  Receiver receiver;
  for (uint64_t i = 0; i < 1000; ++i) {
    const std::string one = message_frame(edit(i));
    writer.append(wire, one);  // one edit per batch
    frames += one;
  }
  ASSERT_TRUE(receiver.receive(wire).ok());
  EXPECT_EQ(receiver.messages, frames);
  EXPECT_LT(wire.size() * 10, frames.size() * 6) << wire.size() << " of " << frames.size();
}

TEST(BatchCodec, WhatDoesNotGetSmallerGoesAsItIsAndLaterIsTriedAgain) {
  Rng rng(2);
  BatchWriter writer;
  Receiver receiver;
  std::string sent, wire;
  for (int i = 0; i < 400; ++i) {
    const std::string frames = message_frame(random_bytes(rng, 8000));
    writer.append(wire, frames);
    sent += frames;
  }
  EXPECT_LT(wire.size(), sent.size() + sent.size() / 200);
  ASSERT_TRUE(receiver.receive(wire).ok());
  EXPECT_EQ(receiver.messages, sent);
  EXPECT_GT(receiver.batches, 16u);
  EXPECT_LT(receiver.batches, 40u);

  const size_t before = receiver.batches;
  for (uint64_t i = 0; i < 20'000; ++i) {
    wire.clear();
    writer.append(wire, message_frame(edit(i)));
    ASSERT_TRUE(receiver.receive(wire).ok());
  }
  EXPECT_GT(receiver.batches, before + 5000);  // it compresses again
}

TEST(BatchCodec, ANewConnectionBeginsANewStream) {
  BatchWriter old_writer, new_writer;
  std::string wire;
  old_writer.append(wire, message_frame(edit(1)));
  wire.clear();
  old_writer.append(wire, message_frame(edit(2)));  // lost with the connection's end, or its beginning was
  EXPECT_FALSE(Receiver().receive(wire).ok());
  wire.clear();
  new_writer.append(wire, message_frame(edit(3)));
  EXPECT_TRUE(Receiver().receive(wire).ok());
}

// A batch with a claim of its own.
std::string batch(uint64_t claimed, std::string_view zstd) {
  std::string payload, out;
  Encoder encoder(payload);
  encoder.varint(claimed);
  encoder.raw(zstd);
  append_frame(out, FrameKind::kBatch, 0, payload);
  return out;
}

std::string compressed(const std::string& raw, int window_log) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::string out(ZSTD_compressBound(raw.size()) + 64, '\0');
  ZSTD_inBuffer from{raw.data(), raw.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  EXPECT_EQ(ZSTD_compressStream2(context, &to, &from, ZSTD_e_flush), 0u);
  ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

TEST(BatchReader, ABombIsRefusedBeforeItUnfolds) {
  const std::string huge = message_frame(std::string(8 << 20, 'x'));
  const std::string zstd = compressed(huge, kBatchWindowLog);
  EXPECT_LT(zstd.size(), 2000u);
  const Status claimed = Receiver().receive(batch(huge.size(), zstd));
  EXPECT_EQ(claimed.message(), "a batch of 8388614 bytes, the limit is 262144");
  EXPECT_EQ(Receiver().receive(batch(UINT64_MAX, zstd)).code(), Code::kCorruption);
  for (uint64_t claim : {uint64_t{0}, uint64_t{1}, uint64_t{kBatchBytes}}) {
    EXPECT_EQ(Receiver().receive(batch(claim, zstd)).message(), "a batch of another size than it claims") << claim;
  }
  // A frame that claims to be large takes no memory before its bytes are there.
  EXPECT_TRUE(Receiver().receive(batch(6, compressed(std::string("\x02\x00\x00\x00\x01\x00", 6), 17))).ok());
}

TEST(BatchReader, AStreamThatRemembersMoreThanItShouldIsRefused) {
  const std::string raw = message_frame("a message");
  EXPECT_TRUE(Receiver().receive(batch(raw.size(), compressed(raw, kBatchWindowLog))).ok());
  EXPECT_FALSE(Receiver().receive(batch(raw.size(), compressed(raw, kBatchWindowLog + 1))).ok());
  EXPECT_FALSE(Receiver().receive(batch(raw.size(), compressed(raw, 27))).ok());
}

TEST(BatchReader, OnlyMessagesBelongInABatch) {
  std::string wire;
  BatchWriter().append(wire, message_frame("innermost"));
  const std::string nested = wire;
  for (FrameKind kind : {FrameKind::kHello, FrameKind::kRequest, FrameKind::kReply}) {
    std::string raw;
    append_frame(raw, kind, 0, "x");
    EXPECT_EQ(Receiver().receive(batch(raw.size(), compressed(raw, 17))).message(), "a batch of what is no message");
  }
  EXPECT_EQ(Receiver().receive(batch(nested.size(), compressed(nested, 17))).message(),
            "a batch of what is no message");
  const std::string long_frame("\x7f\xff\xff\xff\x01\x00", 6);
  EXPECT_EQ(Receiver().receive(batch(6, compressed(long_frame, 17))).code(), Code::kCorruption);
}

TEST(BatchReader, TruncatedInputIsRefused) {
  BatchWriter writer;
  std::string wire;
  for (uint64_t i = 0; i < 20; ++i) writer.append(wire, message_frame(edit(i)));
  FrameDecoder decoder;
  decoder.feed(wire);
  Frame frame;
  ASSERT_EQ(decoder.next(frame), FrameDecoder::Outcome::kFrame);
  for (size_t n = 0; n < frame.payload.size(); ++n) {
    EXPECT_FALSE(BatchReader().read(frame.payload.substr(0, n), [](const Frame&) {}).ok()) << n;
  }
}

TEST(BatchReader, GarbageIsRefusedOrHarmless) {
  Rng rng(3);
  BatchWriter writer;
  std::string wire;
  for (uint64_t i = 0; i < 5; ++i) writer.append(wire, message_frame(edit(i)));
  for (int run = 0; run < 3000; ++run) {
    std::string bytes = run % 2 == 0 ? batch(rng.below(300), random_bytes(rng, rng.below(200))) : wire;
    for (uint64_t flips = rng.below(4); flips > 0; --flips) {
      bytes[6 + rng.below(bytes.size() - 6)] = static_cast<char>(rng.below(256));
    }
    Receiver receiver;
    (void)receiver.receive(bytes);
    EXPECT_LE(receiver.messages.size(), 8 * kBatchBytes);
  }
}

}  // namespace
}  // namespace cartwheel::node
