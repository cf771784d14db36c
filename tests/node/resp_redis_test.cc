// The RESP door in front of the model against a real redis-server: the same bytes go to both, and the replies must be
// the same bytes. Where they need not be, the difference is taken out by name, and only there:
//
//   unordered   replies that list a set or a hash: sorted first
//   scans       the cursor is left out, besides
//   clock       TTL and its kin may differ by what has passed between the two
//
// Needs redis-server; the test fails without it.
#include <gtest/gtest.h>
#include <sys/time.h>

#include <algorithm>
#include <cstdlib>

#include "base/rng.h"
#include "node/fronts/resp/commands.h"
#include "node/fronts/resp/errors.h"
#include "node/fronts/resp/session.h"
#include "tests/node/model_backend.h"
#include "tests/node/real_redis.h"
#include "tests/node/resp_text.h"
#include "tests/node/stripe_backend.h"

namespace cartwheel::resp {
namespace {

// The same comparison for the model (is the door right?) and for a real stripe (is the core right?).
#ifdef CARTWHEEL_OVER_STRIPE
using TestedBackend = node::StripeBackend;
#else
using TestedBackend = node::ModelBackend;
#endif
using test::read_reply;
using test::RealRedis;
using test::RedisConnection;
using test::resp_command;
using test::RespReply;

// The one clock that the two share. Redis reads the machine's, so the model has to.
Now machine_time() {
  timeval tv{};
  gettimeofday(&tv, nullptr);
  return {{0}, {tv.tv_sec * 1000 + tv.tv_usec / 1000}};
}

bool one_of(const std::string& name, std::initializer_list<const char*> names) {
  return std::any_of(names.begin(), names.end(), [&](const char* n) { return name == n; });
}

void sort_children(RespReply& reply, size_t group) {
  std::vector<std::vector<RespReply>> groups;
  for (size_t i = 0; i + group <= reply.children.size(); i += group) {
    groups.emplace_back(reply.children.begin() + static_cast<ptrdiff_t>(i),
                        reply.children.begin() + static_cast<ptrdiff_t>(i + group));
  }
  std::sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a[0].print() < b[0].print(); });
  reply.children.clear();
  for (auto& g : groups) reply.children.insert(reply.children.end(), g.begin(), g.end());
}

class RespAgainstRedis : public testing::Test {
 protected:
  static void SetUpTestSuite() { redis_ = new RealRedis(); }
  static void TearDownTestSuite() {
    delete redis_;
    redis_ = nullptr;
  }

  void SetUp() override {
    ASSERT_TRUE(redis_->running()) << "redis-server did not start; it is in the package redis-server";
    real_ = std::make_unique<RedisConnection>(*redis_);
    real_->ask(resp_command("FLUSHALL"));
    ours_ = std::make_unique<RespSession>(backend_, 1, "a", "b");
  }

  std::string ask_ours(const std::string& bytes) {
    backend_.set_now(machine_time());
    ours_->receive(bytes);
    return ours_->take_output();
  }

  void compare(const std::vector<std::string>& words) {
    std::string bytes = resp_command(words);
    std::string ours = ask_ours(bytes);
    std::string theirs = real_->ask(bytes);
    std::string name = lower(words[0]);
    std::string shown;
    for (const std::string& word : words) shown += word.substr(0, 60) + " ";
    if (one_of(name, {"ttl", "pttl", "expiretime", "pexpiretime"})) return compare_time(shown, name, ours, theirs);
    size_t group = one_of(name, {"hgetall", "hscan"}) ? 2 : 1;
    bool scan = one_of(name, {"scan", "hscan", "sscan"});
    bool unordered = scan || one_of(name, {"hgetall", "hkeys", "smembers"});
    if (!unordered || ours[0] == '-') {
      EXPECT_EQ(ours, theirs) << shown;
      return;
    }
    RespReply our_tree = tree(ours), their_tree = tree(theirs);
    sort_children(scan ? our_tree.children.at(1) : our_tree, group);
    sort_children(scan ? their_tree.children.at(1) : their_tree, group);
    if (scan) our_tree.children[0] = their_tree.children[0] = {};
    EXPECT_EQ(our_tree.print(), their_tree.print()) << shown;
  }

  void compare_line(std::string_view line) { compare(test::words_of(line)); }

  static RespReply tree(const std::string& bytes) {
    size_t at = 0;
    auto reply = read_reply(bytes, at);
    EXPECT_TRUE(reply && at == bytes.size()) << bytes;
    return reply.value_or(RespReply{});
  }

  static void compare_time(const std::string& shown, const std::string& name, const std::string& ours,
                           const std::string& theirs) {
    int64_t slack = name[0] == 'p' ? 5000 : 5;
    if (ours[0] != ':' || theirs[0] != ':' || ours[1] == '-' || theirs[1] == '-') {
      EXPECT_EQ(ours, theirs) << shown;
      return;
    }
    EXPECT_NEAR(atof(ours.c_str() + 1), atof(theirs.c_str() + 1), static_cast<double>(slack)) << shown;
  }

  static RealRedis* redis_;
  TestedBackend backend_;
  std::unique_ptr<RedisConnection> real_;
  std::unique_ptr<RespSession> ours_;
};

RealRedis* RespAgainstRedis::redis_ = nullptr;

// Commands, separated by bars.
const char* const kScript[] = {
    // strings
    R"(GET s | SET s hello | GET s | get s | GeT s | STRLEN s | STRLEN none | SET s v GET | SET none2 v GET
    GETSET s w | GETSET none3 x | GET none3 | GETDEL none3 | GETDEL none3 | MSET a 1 b 2 a 3 | MGET a b none a
    MSET a | MSET a 1 b | SET | SET a | SET a b c | SET a b EX | SET a b EX x | SET a b EX 0 | SET a b EX -1
    SET a b PX 0 | SET a b EX 9223372036854775807 | SET a b PX 9223372036854775807 | SET a b EX 10 PX 10
    SET a b EX 10 KEEPTTL | SET a b KEEPTTL EX 10 | SET a b KEEPTTL KEEPTTL | SET a b EX 10 EX 20 | SET a b NX XX
    SET a b XX NX | SET a b GET GET | SET a b ex 100 | TTL a | SET a c KEEPTTL | TTL a | SET a d | TTL a
    SET a e PX 100000 GET | PTTL a | SET a b PERSIST | SET a b EXAT 99999999999999999 | SET a b EXAT 4000000 | GET a
    SET a b PXAT 1 | EXISTS a | SETEX a 10 v | SETEX a 0 v | SETEX a -5 v | SETEX a x v | SETEX a 10
    PSETEX a 10000 v | PSETEX a 0 v | PTTL a | GETEX a | GETEX none | GETEX a PERSIST | TTL a | GETEX a EX 50
    TTL a | GETEX a EX 0 | GETEX a EX x | GETEX a PX 77000 | GETEX a EX 10 PERSIST | GETEX a PERSIST EX 10
    GETEX a KEEPTTL | GETEX a GET | GETEX a EX | GETEX a EXAT 1 | EXISTS a)",
    // counters
    R"(INCR n | INCR n | INCRBY n 10 | DECR n | DECRBY n 4 | GET n | INCRBY n x | INCRBY n 1.5
    INCRBY n 99999999999999999999 | SET n abc | INCR n | SET n 9223372036854775807 | INCR n | INCRBY n 1
    DECRBY n -1 | SET n -9223372036854775808 | DECR n | DECRBY n -9223372036854775808 | DECRBY n 9223372036854775807
    SET n 007 | INCR n | SET n '' | INCR n | SET n +1 | INCR n | SET n -0 | INCR n | SET n 5 EX 100 | INCR n | TTL n)",
    // hashes
    R"(HSET h a 1 | HSET h a 2 b 3 a 4 | HSET h a | HSET h a 1 b | HSET h | HMSET h c 5 | HMSET h c 5 d | HGET h a
    HGET h none | HGET none a | HMGET h a none b | HMGET none a b | HGETALL h | HGETALL none | HKEYS h | HKEYS none
    HVALS none | HLEN h | HLEN none | HEXISTS h a | HEXISTS h z | HEXISTS none a | HSTRLEN h a | HSTRLEN h z
    HDEL h a z | HDEL none a | HINCRBY h n 5 | HINCRBY h n -7 | HINCRBY h n x | HSET h t text | HINCRBY h t 1
    HSET h m 9223372036854775807 | HINCRBY h m 1 | HINCRBY new f 3 | HSCAN h 0 COUNT 100
    HSCAN h 0 MATCH [a-c] COUNT 100 | HSCAN none 0 | HSCAN h x | HSCAN h 0 COUNT | HSCAN h 0 COUNT 0
    HSCAN h 0 COUNT x | HSCAN h 0 TYPE hash | HSCAN h | HDEL h b c d n t m | EXISTS h | HVALS h)",
    // sets
    R"(SADD z 1 2 3 2 | SADD z 1 | SREM z 1 9 | SREM none a | SISMEMBER z 2 | SISMEMBER z 9 | SISMEMBER none 1
    SMISMEMBER z 2 9 | SMISMEMBER none 1 2 | SMEMBERS z | SMEMBERS none | SCARD z | SCARD none | SSCAN z 0 COUNT 100
    SSCAN z 0 MATCH 2 COUNT 100 | SSCAN none 0 | SSCAN z -x | SREM z 2 3 | TYPE z | SADD z | SADD)",
    // types
    R"(SADD z a | HSET h f v | SET s v | GET z | GET h | HGET s f | HSET s f v | HGETALL z | SADD h x | SMEMBERS s
    SCARD h | INCR z | HINCRBY s f 1 | SET h v GET | SET h v | TYPE h | TYPE s | TYPE z | TYPE none | MGET s z none
    GETDEL z | GETEX z | GETSET z x | STRLEN z | SISMEMBER s x | HSCAN s 0 | SSCAN s 0 | HDEL z a | SREM s a
    MSET z v | TYPE z)",
    // keys and expiry
    R"(EXISTS s s none | TOUCH s none | DEL s s none | UNLINK z none | EXPIRE none 10 | SET k v | EXPIRE k 100 | TTL k
    PEXPIRE k 100000 | PTTL k | PERSIST k | PERSIST k | PERSIST none | TTL k | PTTL k | TTL none | PTTL none
    EXPIRETIME k | EXPIRETIME none | EXPIREAT k 2000000000 | EXPIRETIME k | PEXPIREAT k 2000000000123
    PEXPIRETIME k | EXPIRE k x | EXPIRE k | EXPIRE k 10 FOO | EXPIRE k 10 NX XX | EXPIRE k 10 NX GT
    EXPIRE k 10 GT LT | EXPIRE k 9223372036854775807 | EXPIRE k -9223372036854775808 | PEXPIRE k 9223372036854775807
    EXPIRE k -1 | EXISTS k | SET k v | EXPIREAT k 1 | GET k | SET k v | PEXPIRE k 0 | GET k | SADD z a b
    EXPIRE z 100 | SADD z c | TTL z | SCAN 0 COUNT 1000 | SCAN 0 COUNT 1000 MATCH n* | SCAN 0 COUNT 1000 TYPE set
    SCAN 0 TYPE hash COUNT 1000 | SCAN 0 COUNT 1000 TYPE nosuch | SCAN 0 COUNT 1000 MATCH ?
    SCAN 0 COUNT 1000 MATCH [^a-m]* | SCAN | SCAN x | SCAN 0 COUNT | SCAN 0 COUNT 0 | SCAN 0 COUNT x
    SCAN 0 FOO bar | DBSIZE | DBSIZE x)",
    // connection
    R"(PING | PING hi | PING a b | ECHO hi | ECHO | SELECT 0 | SELECT x | SELECT -1 | SELECT 99999 | SELECT 1 | GET n
    SET only1 v | DBSIZE | SELECT 0 | CLIENT | CLIENT FOO | CLIENT foo bar | CLIENT GETNAME | CLIENT SETNAME me
    CLIENT GETNAME | CLIENT SETNAME | CLIENT SETNAME '' | CLIENT GETNAME | CLIENT NO-EVICT on | CLIENT NO-EVICT x
    CLIENT LIST TYPE x | CLIENT LIST FOO | CLIENT LIST ID x | CLIENT LIST TYPE replica | AUTH x | AUTH default x
    AUTH nobody x | AUTH a b c | HELLO x | HELLO 4 | HELLO 1 | HELLO 3 FOO | HELLO 2 AUTH a | HELLO 2 SETNAME
    HELLO 2 AUTH nobody x | RESET | CONFIG | CONFIG GET | CONFIG GET save | CONFIG GET maxmemory
    CONFIG GET nosuch* | CONFIG FOO | COMMAND FOO | COMMAND COUNT x | COMMAND INFO nosuch | COMMAND DOCS nosuch)",
    // unknown
    R"(FOO | foo a b
    FOO 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38
    '' a | GETX | averyveryverylongcommandname x)",
};

std::vector<std::string> script() {
  std::vector<std::string> lines;
  for (std::string_view part : kScript) {
    for (size_t i = 0; i < part.size();) {
      size_t end = std::min(part.find_first_of("|\n", i), part.size());
      size_t first = std::min(part.find_first_not_of(' ', i), end);
      if (end > first) lines.emplace_back(part.substr(first, end - first));
      i = end + 1;
    }
  }
  return lines;
}

TEST_F(RespAgainstRedis, ScriptGivesTheSameRepliesInResp2) {
  for (const std::string& line : script()) compare_line(line);
}

TEST_F(RespAgainstRedis, ScriptGivesTheSameRepliesInResp3) {
  auto hello = resp_command("HELLO 3");
  ask_ours(hello);
  real_->ask(hello);
  for (const std::string& line : script()) {
    if (line.starts_with("RESET")) continue;  // goes back to RESP2
    compare_line(line);
  }
}

TEST_F(RespAgainstRedis, ArgumentsOfAnyBytesAreShownAsRedisShowsThem) {
  compare({"FOO", "a\r\nb", std::string("x\0y", 3), std::string(200, 'z')});
  compare({std::string("G\0T", 3)});
  compare({std::string(200, 'F'), "a"});
  compare({"CLIENT", "a\nb"});
  compare({"CLIENT", "SETNAME", "a\tb"});
  compare({"COMMAND", std::string(200, 'x')});
  compare({"SET", std::string("\0\xff\r\n", 4), std::string("\0", 1)});
  compare({"GET", std::string("\0\xff\r\n", 4)});
  compare({"HELLO", "2", std::string(150, 'o')});
}

TEST_F(RespAgainstRedis, EachCommandHasRedisArityKeysAndKind) {
  for (const CommandGroup& group : command_groups()) {
    for (const Command& command : group.commands) {
      if (command.is_subcommand() || command.name.starts_with("cartwheel.")) continue;
      RespReply reply = tree(real_->ask(resp_command("COMMAND INFO " + std::string(command.name))));
      ASSERT_EQ(reply.children.size(), 1u);
      const std::vector<RespReply>& info = reply.children[0].children;
      ASSERT_GE(info.size(), 7u) << command.name;
      EXPECT_EQ(info[1].text, std::to_string(command.arity)) << command.name;
      EXPECT_EQ(info[3].text, std::to_string(command.first_key)) << command.name;
      EXPECT_EQ(info[4].text, std::to_string(command.last_key)) << command.name;
      EXPECT_EQ(info[5].text, std::to_string(command.key_step)) << command.name;
      if (command.has(Command::kRefused)) continue;
      std::string flags = info[2].print();
      for (auto [flag, word] : {std::pair{Command::kWrite, "write"}, std::pair{Command::kReadOnly, "readonly"},
                                std::pair{Command::kFast, "+fast"}, std::pair{Command::kDenyOom, "denyoom"}}) {
        EXPECT_EQ(command.has(flag), flags.find(word) != std::string::npos) << command.name << " " << word;
      }
    }
  }
}

TEST_F(RespAgainstRedis, EachCommandRefusesAWrongNumberOfArgumentsAsRedis) {
  for (const CommandGroup& group : command_groups()) {
    for (const Command& command : group.commands) {
      if (command.has(Command::kRefused) || command.name.starts_with("cartwheel.")) continue;
      std::string name(command.name);
      if (one_of(name, {"client|setinfo", "client|no-touch", "quit"})) continue;  // newer, or ends the connection
      if (size_t bar = name.find('|'); bar != std::string::npos) name[bar] = ' ';
      std::vector<std::string> words = test::words_of(name);
      size_t right = static_cast<size_t>(std::abs(command.arity));
      if (right - 1 >= words.size()) {
        std::vector<std::string> few = words;
        few.resize(right - 1, "1");
        compare(few);
      }
      words.resize(right + 1, "1");
      if (command.arity > 0) compare(words);
    }
  }
}

// What is no command at all: each input on a connection of its own, whole, to its end.
TEST_F(RespAgainstRedis, BadInputGetsTheSameErrorAndACloseConnection) {
  const std::string inputs[] = {
      "*x\r\nPING\r\n",
      "*\r\n",
      "*01\r\n$4\r\nPING\r\n",
      "*+1\r\n$4\r\nPING\r\n",
      "*2147483648\r\n",
      "*99999999999999999999\r\n",
      "*1\r\n$-1\r\n",
      "*1\r\n$\r\n",
      "*1\r\n$x\r\n",
      "*1\r\n$04\r\nPING\r\n",
      "*1\r\n$99999999999\r\n",
      "*1\r\n:4\r\nPING\r\n",
      "*2\r\n$4\r\nECHO\r\nx\r\n",
      "*1\r\n*1\r\n$4\r\nPING\r\n",
      "*1\r\n\xff\r\n",
      "PING\r\nECHO \"a\r\nPING\r\n",
      "ECHO 'a\r\n",
      "ECHO \"a\"b\r\n",
      "ECHO 'a'b\r\n",
      "*0\r\n*-1\r\n*-10\r\n*1\r\n$4\r\nPING\r\n",
      "\r\n\n  \r\nPING\r\n",
      "  ECHO   \"a\\x41\\n\\t\\r\\b\\a\\q\\\\\\\"\"  \r\n",
      "ECHO 'it\\'s \\n'\r\n",
      "ECHO a\"b c\"\r\n",
      "ECHO a'b c'\n",
      "ECHO \"\\xZZ\"\r\n",
      "ECHO \"\\x4\"\r\n",
      "ECHO \"\" ''\r\n",
      "ECHO ''\r\n",
      "ECHO \t\v\fa\r\n",
      "PING\r\r\n",
      "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n",
      "*1\r\n$4\rxPING\r\n",
      "POST / HTTP/1.1\r\nPING\r\n",
      "PING\r\nQUIT\r\nPING\r\n",
      "QUIT a b\r\n",
  };
  for (const std::string& input : inputs) {
    RedisConnection real(*redis_);
    RespSession ours(backend_, 1, "a", "b");
    ours.receive(input);
    EXPECT_EQ(ours.take_output(), real.ask_and_end(input)) << input;
  }
}

std::string random_command(Rng& rng, std::vector<std::string>& words) {
  // Lower-case letters stand for a choice: k key, v value, f field, n number, t time.
  // clang-format off
  static const char* const kForms[] = {
      "GET k", "SET k v", "SET k v", "SET k v EX t", "SET k v PX t GET", "SET k v KEEPTTL", "SET k v GET KEEPTTL",
      "SETEX k t v", "GETSET k v", "GETDEL k", "GETEX k", "GETEX k PERSIST", "MGET k k k", "MSET k v k v",
      "STRLEN k", "INCR k", "DECR k", "INCRBY k n", "DECRBY k n", "HSET k f v", "HSET k f v f v f v",
      "HMSET k f v f v", "HGET k f", "HMGET k f f f", "HGETALL k", "HDEL k f f", "HEXISTS k f", "HLEN k", "HKEYS k",
      "HINCRBY k f n", "HSTRLEN k f", "SADD k f f f", "SADD k v", "SREM k f f", "SISMEMBER k f", "SMISMEMBER k f f",
      "SMEMBERS k", "SCARD k", "TYPE k", "EXISTS k k", "DEL k", "DEL k k", "UNLINK k", "TOUCH k k", "EXPIRE k t",
      "PEXPIRE k n", "EXPIREAT k 2000000000", "PEXPIREAT k 1", "PERSIST k", "TTL k", "PTTL k", "EXPIRETIME k",
      "SCAN 0 COUNT 1000", "SCAN 0 COUNT 1000 TYPE set", "HSCAN k 0 COUNT 1000", "SSCAN k 0 COUNT 1000 MATCH *1",
      "DBSIZE", "SET k v EX v", "SET k v v", "HSET k f", "HINCRBY k f v", "INCRBY k v", "EXPIRE k v", "SELECT 0",
      "SELECT 1", "v k",
  };
  // clang-format on
  static const char* const kKeys[] = {"a", "b", "c", "d", "e", "f"};
  static const char* const kFields[] = {"f1", "f2", "f3", "1", "''"};
  static const char* const kValues[] = {"1",   "-5",  "abc", "9223372036854775807", "-9223372036854775808", "''",
                                        "007", "3.5", "10"};
  static const char* const kNumbers[] = {"1", "-1", "5", "9223372036854775807", "-9223372036854775807", "0"};
  static const char* const kTimes[] = {"100", "100000", "100000000"};
  std::string line;
  for (const std::string& word : test::words_of(kForms[rng.below(std::size(kForms))])) {
    line += word == "k"   ? kKeys[rng.below(std::size(kKeys))]
            : word == "f" ? kFields[rng.below(std::size(kFields))]
            : word == "v" ? kValues[rng.below(std::size(kValues))]
            : word == "n" ? kNumbers[rng.below(std::size(kNumbers))]
            : word == "t" ? kTimes[rng.below(std::size(kTimes))]
                          : word.c_str();
    line += ' ';
  }
  words = test::words_of(line);
  if (words[0] == "PEXPIRE" && words[2] == "5") words[2] = "500000";  // would expire at a moment of its own
  if (words[0] == "PEXPIRE" && words[2] == "1") words[2] = "100000";
  // A time to live beyond ten years is refused here and kept by Redis.
  if (words[0] == "PEXPIRE" && words[2].size() > 15 && words[2][0] != '-') words[2] = "-1";
  if (words[0] == "EXPIRE" && words[2].size() > 9 && words[2][0] != '-') words[2] = "x";
  if (words[0] == "EXPIRE" && (words[2] == "1" || words[2] == "10")) words[2] = "1000";
  if (words[0] == "SET" && words.size() == 5 && words[3] == "EX" && (words[4] == "1" || words[4] == "10"))
    words[4] = "0";
  return line;
}

void compare_random(uint64_t seed, const std::function<void(const std::vector<std::string>&)>& compare) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Rng rng(seed);
  std::string history;
  for (int i = 0; i < 2000 && !testing::Test::HasFailure(); ++i) {
    std::vector<std::string> words;
    history += random_command(rng, words) + "\n";
    compare(words);
  }
  if (testing::Test::HasFailure()) {
    ADD_FAILURE() << "after:\n" << history.substr(history.size() > 600 ? history.size() - 600 : 0);
  }
}

TEST_F(RespAgainstRedis, RandomCommandsGiveTheSameRepliesInResp2) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    SetUp();
    for (const char* line : {"DEL a b c d e f", "SELECT 1", "DEL a b c d e f", "SELECT 0"})
      ask_ours(resp_command(line));
    compare_random(seed, [&](const auto& words) { compare(words); });
  }
}

TEST_F(RespAgainstRedis, RandomCommandsGiveTheSameRepliesInResp3) {
  ask_ours(resp_command("HELLO 3"));
  real_->ask(resp_command("HELLO 3"));
  compare_random(100, [&](const auto& words) { compare(words); });
}

}  // namespace
}  // namespace cartwheel::resp
