// One machine, packets by hand: what the rules say to the letter.
#include "gossip/swim.h"

#include <gtest/gtest.h>

#include "tests/gossip/one_machine.h"

namespace cartwheel::gossip {
namespace {

TEST(Swim, KeepsTheHighestIncarnationEvenWithoutATransition) {
  OneMachine m;
  m.news({Update::Kind::kDead, 2, first_incarnation(1), 1, {}});
  m.news({Update::Kind::kDead, 2, first_incarnation(10), 1, {}});
  m.news({Update::Kind::kAlive, 2, first_incarnation(2), kNoMember, {}});
  EXPECT_EQ(m.swim.state(2), State::kDead) << "a late alive of an earlier life resurrects nobody";
  EXPECT_EQ(m.swim.incarnation(2), first_incarnation(10));
}

TEST(Swim, RefutesWithAHigherIncarnation) {
  OneMachine m;
  m.news({Update::Kind::kSuspect, 0, first_incarnation(1) + 4, 2, {}});
  EXPECT_EQ(m.swim.incarnation(0), first_incarnation(1) + 5);
  m.news({Update::Kind::kDead, 0, first_incarnation(1) + 4, 2, {}});
  EXPECT_EQ(m.swim.incarnation(0), first_incarnation(1) + 5) << "that was before";
  EXPECT_EQ(m.swim.state(0), State::kAlive);
  EXPECT_EQ(m.swim.health_score(), 1) << "being accused is a sign of own slowness";
}

TEST(Swim, RefusesIncarnationsThatCannotBe) {
  OneMachine m;
  m.news({Update::Kind::kDead, 0, ~uint64_t{0}, 2, {}});
  EXPECT_EQ(m.swim.incarnation(0), first_incarnation(1));
  m.news({Update::Kind::kAlive, 2, first_incarnation(3), kNoMember, {}});
  m.news({Update::Kind::kDead, 2, ~uint64_t{0}, 1, {}});
  m.news({Update::Kind::kDead, 2, first_incarnation(3) + limits::kIncarnationJump + 1, 1, {}});
  EXPECT_EQ(m.swim.state(2), State::kAlive);
  EXPECT_EQ(m.swim.stats().implausible, 3u);
  m.news({Update::Kind::kDead, 2, first_incarnation(3) + limits::kIncarnationJump, 1, {}});
  EXPECT_EQ(m.swim.state(2), State::kDead);
}

TEST(Swim, BelievesAMemberItselfRatherThanAForgedFirstIncarnation) {
  OneMachine m;
  m.news({Update::Kind::kDead, 2, limits::kFirstIncarnation - 1, 1, {}});
  ASSERT_EQ(m.swim.state(2), State::kDead);
  m.packet(m.from(2, PacketKind::kGossip));
  EXPECT_EQ(m.swim.state(2), State::kAlive);
  EXPECT_EQ(m.swim.incarnation(2), first_incarnation(1));
}

TEST(Swim, TakesEachPacketOnce) {
  OneMachine m;
  Packet ping = m.from(1, PacketKind::kPing);
  m.packet(ping);
  EXPECT_EQ(m.sent(PacketKind::kAck).size(), 1u);
  m.packet(ping);
  EXPECT_EQ(m.sent(PacketKind::kAck).size(), 0u);
  EXPECT_EQ(m.swim.stats().replayed, 1u);
}

TEST(Swim, AnswersStrangersWithANoticeNoLongerThanTheirPacket) {
  OneMachine m;
  Packet wiped = m.from(1, PacketKind::kPing);
  wiped.identity = 999;
  std::string bytes = encode(wiped), answer = m.swim.on_packet(bytes, m.now);
  ASSERT_FALSE(answer.empty());
  EXPECT_LE(answer.size(), bytes.size());
  auto notice = decode_packet(answer);
  ASSERT_TRUE(notice.ok());
  EXPECT_EQ(notice->kind, PacketKind::kRemoved);
  EXPECT_TRUE(m.swim.take_output().packets.empty());
  EXPECT_EQ(m.swim.state(1), State::kUnknown) << "another disk under the same id is nobody";
  EXPECT_EQ(m.swim.on_packet(answer, m.now), "") << "a notice is never answered";
}

TEST(Swim, AsksForTheConfigurationThatAStrangerMayBeIn) {
  OneMachine m;
  Packet joined = m.from(8, PacketKind::kPing);
  joined.config_epoch = 6;
  EXPECT_EQ(m.swim.on_packet(encode(joined), m.now), "");
  EXPECT_EQ(m.swim.on_packet(encode(joined), m.now), "");
  Output output = m.swim.take_output();
  ASSERT_EQ(output.events.size(), 1u) << "once per epoch";
  EXPECT_EQ(output.events[0].kind, Event::Kind::kConfig);
  EXPECT_EQ(output.events[0].epoch, 6u);
}

TEST(Swim, ReportsThatItWasRemovedOncePerEpoch) {
  OneMachine m;
  Packet notice = m.from(1, PacketKind::kRemoved);
  notice.config_epoch = 4;
  m.packet(notice);
  EXPECT_TRUE(m.take().events.empty()) << "by an older configuration than ours";
  notice.config_epoch = 9;
  m.packet(notice);
  m.packet(notice);
  auto events = m.take().events;
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].kind, Event::Kind::kRemoved);
}

TEST(Swim, RefusesARemovedIdentityForEver) {
  OneMachine m;
  ASSERT_TRUE(m.swim.set_members({{0, 100, "eu"}, {1, 101, "eu"}}, 6, m.now).ok());
  EXPECT_FALSE(m.swim.set_members({{0, 100, "eu"}, {1, 101, "eu"}, {7, 102, "eu"}}, 7, m.now).ok());
  EXPECT_FALSE(m.swim.set_members({{0, 100, "eu"}, {1, 555, "eu"}}, 7, m.now).ok()) << "an id is never reused";
  EXPECT_TRUE(m.swim.set_members({{0, 100, "eu"}, {1, 101, "eu"}, {2, 102, "eu"}}, 5, m.now).ok())
      << "an old one is ignored";
  EXPECT_EQ(m.swim.on_packet(encode(m.from(2, PacketKind::kPing)), m.now).empty(), false);
  EXPECT_EQ(m.swim.state(2), State::kUnknown);
}

TEST(Swim, FallsSilentWhenItIsRemovedItself) {
  OneMachine m;
  ASSERT_TRUE(m.swim.set_members({{1, 101, "eu"}, {2, 102, "eu"}}, 6, m.now).ok());
  EXPECT_FALSE(m.swim.next_deadline().has_value());
  m.packet(m.from(1, PacketKind::kPing));
  EXPECT_TRUE(m.take().packets.empty());
}

TEST(Swim, RefusesConfigurationsThatMakeNoSense) {
  OneMachine m;
  auto bad = [&](std::vector<Member> members) { return !m.swim.set_members(std::move(members), 9, m.now).ok(); };
  EXPECT_TRUE(bad({{0, 100, "eu"}, {0, 104, "eu"}}));
  EXPECT_TRUE(bad({{0, 100, "eu"}, {4, 100, "eu"}}));
  EXPECT_TRUE(bad({{0, 100, ""}}));
  EXPECT_TRUE(bad({{kNoMember, 100, "eu"}}));
  std::vector<Member> many;
  for (MemberId id = 0; id <= limits::kMembers; ++id) many.push_back({id, 100 + id, "eu"});
  EXPECT_TRUE(bad(many));
  many.resize(limits::kRegions + 1);
  for (Member& member : many) member.region = "r" + std::to_string(member.id);
  EXPECT_TRUE(bad(many));
}

TEST(Swim, TellsASuspectFirstWhenItPingsIt) {
  OneMachine m;
  m.news({Update::Kind::kAlive, 2, first_incarnation(1), kNoMember, {}});
  m.news({Update::Kind::kSuspect, 2, first_incarnation(1), 1, {}});
  m.take();
  m.packet(m.from(2, PacketKind::kPing));
  auto acks = m.sent(PacketKind::kAck);
  ASSERT_EQ(acks.size(), 1u);
  ASSERT_FALSE(acks[0].updates.empty());
  EXPECT_EQ(acks[0].updates[0].kind, Update::Kind::kSuspect);
  EXPECT_EQ(acks[0].updates[0].member, 2u);
}

TEST(Swim, PassesAnAckOnAndSendsANackIfThereIsNone) {
  OneMachine m;
  Packet request = m.from(1, PacketKind::kPingRequest);
  request.target = 2;
  request.sequence = 77;
  m.packet(request);
  auto pings = m.sent(PacketKind::kPing);
  ASSERT_EQ(pings.size(), 1u);
  EXPECT_EQ(pings[0].to, 2u);
  Packet ack = m.from(2, PacketKind::kAck);
  ack.sequence = pings[0].sequence;
  m.packet(ack);
  auto acks = m.sent(PacketKind::kAck);
  ASSERT_EQ(acks.size(), 1u);
  EXPECT_EQ(acks[0].to, 1u);
  EXPECT_EQ(acks[0].sequence, 77u);

  m.packet(m.again(request));
  m.take();
  m.run(Duration::millis(450));
  auto nacks = m.sent(PacketKind::kNack);
  ASSERT_EQ(nacks.size(), 1u);
  EXPECT_EQ(nacks[0].to, 1u);
}

TEST(Swim, SuspectsWhoDoesNotAnswerAndDeclaresItDeadInTime) {
  OneMachine m;
  m.news({Update::Kind::kAlive, 1, first_incarnation(1), kNoMember, {}});
  m.news({Update::Kind::kAlive, 2, first_incarnation(1), kNoMember, {}});
  m.run(Duration::seconds(200));  // nobody ever answers
  EXPECT_EQ(m.swim.state(1), State::kDead);
  EXPECT_EQ(m.swim.state(2), State::kDead);
  EXPECT_EQ(m.swim.stats().declared_dead, 2u);
  EXPECT_GT(m.swim.health_score(), 0) << "as far as it knows it may be the one that is cut off";
  EXPECT_EQ(m.swim.queued(), 0u);
}

TEST(Swim, GivesOthersTheTimeThatItDidNotRunItself) {
  OneMachine m;
  m.news({Update::Kind::kAlive, 2, first_incarnation(1), kNoMember, {}});
  m.news({Update::Kind::kSuspect, 2, first_incarnation(1), 1, {}});
  m.now = m.now + Duration::seconds(100);
  m.swim.on_tick(m.now);
  EXPECT_EQ(m.swim.state(2), State::kSuspect) << "its refutation may be in the socket";
  EXPECT_EQ(m.swim.stats().stalls, 1u);
  m.run(Duration::seconds(60));
  EXPECT_EQ(m.swim.state(2), State::kDead);
}

TEST(Swim, CountsWhatItDoesNotUnderstand) {
  OneMachine m;
  EXPECT_EQ(m.swim.on_packet("", m.now), "");
  EXPECT_EQ(m.swim.on_packet("\x02", m.now), "");
  EXPECT_EQ(m.swim.on_packet("\x01garbage", m.now), "");
  Packet elsewhere = m.from(1, PacketKind::kPing);
  elsewhere.to = 2;
  m.packet(elsewhere);
  m.swim.on_stream(1, "\x01", m.now);
  EXPECT_EQ(m.swim.stats().malformed, 3u);
  EXPECT_EQ(m.swim.stats().other_version, 1u);
  EXPECT_EQ(m.swim.stats().misdelivered, 1u);
  EXPECT_TRUE(m.take().packets.empty());
}

TEST(Swim, HoldsFactsBackToItsBudget) {
  OneMachine m;
  EXPECT_FALSE(m.swim.set_facts(std::string(limits::kFactsBytes + 1, 'x'), m.now).ok());
  ASSERT_TRUE(m.swim.set_facts("1", m.now).ok());
  m.run(Duration::millis(100));
  EXPECT_EQ(m.swim.facts(0), "1");
  ASSERT_TRUE(m.swim.set_facts("2", m.now).ok());
  m.run(Duration::millis(100));
  EXPECT_EQ(m.swim.facts(0), "1");
  m.run(Duration::seconds(3));
  EXPECT_EQ(m.swim.facts(0), "2");
}

TEST(Swim, SaysGoodbyeAndDoesNotRefuteIt) {
  OneMachine m;
  m.packet(m.from(1, PacketKind::kGossip));
  m.packet(m.from(2, PacketKind::kGossip));
  m.swim.leave(m.now);
  m.run(Duration::seconds(5));
  EXPECT_TRUE(m.swim.leave_done());
  m.news({Update::Kind::kLeft, 0, first_incarnation(1), kNoMember, {}});
  EXPECT_EQ(m.swim.incarnation(0), first_incarnation(1));
}

}  // namespace
}  // namespace cartwheel::gossip
