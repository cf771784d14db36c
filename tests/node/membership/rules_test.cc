#include "tests/node/membership/rules.h"

#include <gtest/gtest.h>

namespace cartwheel::node::member_model {
namespace {

TEST(MembershipRules, AVoterDoesNotAnswerInAGenerationThatItDoesNotKnow) {
  EXPECT_TRUE(answers_known_generations_only());
}

TEST(MembershipRules, BallotsTellDataDirectoriesInOnePositionApart) {
  EXPECT_TRUE(ballots_tell_directories_apart());
}

TEST(MembershipRules, WhatWasHeardOfAReplacedDataDirectoryIsForgotten) {
  EXPECT_TRUE(forgets_replaced_directories());
}

}  // namespace
}  // namespace cartwheel::node::member_model
