// The data types: how leaves are read, and which change each mutation is. A mutation is computed from the leaf as its
// coordinator has it ("observed") and given a dot by the caller; leaf.apply(change) then has the same effect
// everywhere.
//
//   type           path of its leaves         a leaf shows                     concurrent writes
//   string         …kString                   winner of its entries + count    latest time wins; increments add up
//   counter        the same, only increments  count                            add up; a reset takes off what it saw
//   set            …kElement(e)               e is in, if any entry is left    add wins over remove
//   flag           …kFlagEnableWins           on, if any entry says on         enable wins
//                  …kFlagDisableWins          on, if entries, and all say on   disable wins
//   map            …kField(f)…                f is in, if anything below is    field by field, recursive
//   expiry         kExpiry, at the root       the latest of its entries        longest wins
//
// One tie rule where one of several must show: hybrid time, then actor, then value bytes; the greater wins.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "crdt/delta.h"
#include "crdt/leaf.h"
#include "crdt/object.h"

namespace cartwheel::crdt {

// --- reading ---------------------------------------------------------------------------------------------------------

// The entry that shows, or nullptr. REQUIRES nothing; the view lives as long as the leaf.
const Entry* winner(const Leaf& leaf);

// What a string leaf shows: the winner; if that is a 64-bit number (or there is none), plus the count of the
// increments. Nothing if the leaf is not visible. An increment beside a value that is not a number does not show.
std::optional<std::string> string_value(const Leaf& leaf);
// The number that an increment would go on from: as above, or nothing when the string is not a number. 0 when
// invisible.
std::optional<int64_t> number_value(const Leaf& leaf);
// `text` as Redis reads a number: decimal, no spaces, no plus sign, no leading zeros, within 64 bits.
std::optional<int64_t> parse_number(std::string_view text);

// Whether the flag at the end of a path with `tag` is on.
bool flag_value(Tag tag, const Leaf& leaf);

// When the object expires (milliseconds), or nothing: no expiry leaf, or one that says "never".
std::optional<int64_t> expiry_ms(const Leaf* leaf);

// --- writing: the parts of a change; the caller sets dot and path ----------------------------------------------------

// Assigns a string: supersedes what `observed` shows and resets the increments that it has.
Change assign(const Leaf* observed, std::string value, Hlc time);
// Adds to the count; `actor` and `seq` are those of the dot that the change will get. Nothing when the chain's total
// would leave 64 bits.
std::optional<Change> increment(const Leaf* observed, const Actor& actor, uint64_t seq, int64_t amount);
// Adds an element (or renews it: the new dot supersedes the old ones, so that only this add has to be removed).
Change add_element(const Leaf* observed);
// Sets a flag either way.
Change set_flag(const Leaf* observed, bool on);
// Sets the expiry; nothing means "never" and wins over concurrent expiries.
Change set_expiry(const Leaf* observed, std::optional<int64_t> at_ms);
// Removes what `observed` has: entries are superseded, chains reset. Used for elements, fields, strings, whole leaves.
Change remove(const Leaf& observed);

}  // namespace cartwheel::crdt
