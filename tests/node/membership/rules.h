// Rules of one Membership machine that take a rare coincidence to be broken visibly, each checked by an exchange of its
// own. Every function says whether the rule holds.
#pragma once

namespace cartwheel::node::member_model {

// A voter does not answer in a generation whose configuration it does not have.
bool answers_known_generations_only();
// Two data directories in one position, each in its first life, never use the same ballot.
bool ballots_tell_directories_apart();
// What was heard of a data directory is forgotten when the configuration names another one in its place.
bool forgets_replaced_directories();

}  // namespace cartwheel::node::member_model
