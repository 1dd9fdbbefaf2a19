// Canonical JSON against RFC 8785's own examples, and ibid::Json against the public JSON test suite.
#include <algorithm>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>

#include "runtime/error.h"
#include "step/canon.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::step;

namespace {

std::string canon(const std::string& text) { return canonical(Json::parse(text, "test")); }

double from_bits(uint64_t bits) {
  double v;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

TEST_CASE("numbers as in RFC 8785, appendix B") {
  const std::pair<uint64_t, const char*> samples[] = {
      {0x0000000000000000, "0"},
      {0x8000000000000000, "0"},
      {0x0000000000000001, "5e-324"},
      {0x8000000000000001, "-5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0xffefffffffffffff, "-1.7976931348623157e+308"},
      {0x4340000000000000, "9007199254740992"},
      {0xc340000000000000, "-9007199254740992"},
      {0x4430000000000000, "295147905179352830000"},
      {0x44b52d02c7e14af5, "9.999999999999997e+22"},
      {0x44b52d02c7e14af6, "1e+23"},
      {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
      {0x444b1ae4d6e2ef4e, "999999999999999700000"},
      {0x444b1ae4d6e2ef4f, "999999999999999900000"},
      {0x444b1ae4d6e2ef50, "1e+21"},
      {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
      {0x3eb0c6f7a0b5ed8d, "0.000001"},
      {0x41b3de4355555553, "333333333.3333332"},
      {0x41b3de4355555554, "333333333.33333325"},
      {0x41b3de4355555555, "333333333.3333333"},
      {0x41b3de4355555556, "333333333.3333334"},
      {0x41b3de4355555557, "333333333.33333343"},
      {0xbecbf647612f3696, "-0.0000033333333333333333"},
      {0x43143ff3c1cb0959, "1424953923781206.2"},
  };
  for (const auto& [bits, text] : samples) CHECK(canonical_number(from_bits(bits)) == text);
}

TEST_CASE("the worked example of RFC 8785, section 3.2.2") {
  CHECK(canon(R"({
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    })") ==
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],"
        "\"string\":\"\xE2\x82\xAC$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
}

TEST_CASE("keys are ordered by UTF-16 code units, as in RFC 8785, section 3.2.3") {
  CHECK(canon(R"({"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",
                  "\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"})") ==
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\xC2\x80\":\"Control\",\"\xC3\xB6\":\"Latin Small Letter O With Diaeresis\","
        "\"\xE2\x82\xAC\":\"Euro Sign\",\"\xF0\x9F\x98\x80\":\"Emoji: Grinning Face\","
        "\"\xEF\xAC\xB3\":\"Hebrew Letter Dalet With Dagesh\"}");
  // Against the definition: all pairs of a sample of code points, compared as UTF-16.
  const char32_t points[] = {0x1, 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xEFFF, 0xF000, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF};
  auto units = [](char32_t c) {
    return c < 0x10000 ? std::u16string{static_cast<char16_t>(c)}
                       : std::u16string{static_cast<char16_t>(0xD800 + ((c - 0x10000) >> 10)),
                                        static_cast<char16_t>(0xDC00 + ((c - 0x10000) & 0x3FF))};
  };
  for (char32_t a : points)
    for (char32_t b : points) {
      std::string x = "p", y = "p";
      append_utf8(x, a);
      append_utf8(y, b);
      CHECK(utf16_less(x, y) == (units(a) < units(b)));
      CHECK(utf16_less("p", x));
      CHECK_FALSE(utf16_less(x, "p"));
    }
}

TEST_CASE("what binary64 cannot carry is refused") {
  CHECK(canon("9007199254740991") == "9007199254740991");
  CHECK(canon("-9007199254740991") == "-9007199254740991");
  for (const char* text : {"9007199254740992", "-9007199254740992", "123456789012345678901234567890", "1e400", "-1e309"})
    CHECK_THROWS_AS(canon(text), Error);
  CHECK(canon("[]") == "[]");
  CHECK(canon("{}") == "{}");
  CHECK(canon("[{}, [ ] ,\"\\u007f\"]") == "[{},[],\"\x7f\"]");
}

TEST_CASE("canonical form is a fixed point, and binary32 forms read back") {
  uint64_t state = 1;
  auto next = [&state] {                               // xorshift64*
    state ^= state >> 12; state ^= state << 25; state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du;
  };
  int wide = 0, narrow = 0;
  for (int i = 0; i < 20000; ++i) {
    const uint64_t bits = next();
    const double d = from_bits(bits);
    if (((bits >> 52) & 0x7FF) != 0x7FF) {
      const std::string once = canonical_number(d);
      if (Json::number(once).as_double() != d || canonical_number(Json::number(once).as_double()) != once) FAIL(once);
      ++wide;
    }
    const auto half = static_cast<uint32_t>(bits);
    float f;
    std::memcpy(&f, &half, sizeof f);
    if (((half >> 23) & 0xFF) != 0xFF) {
      const std::string once = canonical_number(f);
      // Read as binary64 and printed canonically it stays the same text; read as binary32 it is the same number.
      if (canonical_number(Json::number(once).as_double()) != once || static_cast<float>(Json::number(once).as_double()) != f) FAIL(once);
      ++narrow;
    }
  }
  CHECK(wide > 19000);
  CHECK(narrow > 19000);
}

TEST_CASE("ibid::Json and the JSON test suite") {
  const std::string suite = test::data_file("json-test-suite/test_parsing");
  if (suite.empty()) return;
  // Valid by the grammar, refused on purpose: an object with the same key twice means one thing to one reader and another to the next.
  const std::set<std::string> deliberate = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"};
  size_t yes = 0, no = 0, either = 0;
  for (const auto& entry : std::filesystem::directory_iterator(suite)) {
    const std::string name = entry.path().filename().string();
    INFO(name);
    bool accepted = true;
    try {
      const Json value = Json::parse(slurp(entry.path()), name);
      CHECK(Json::parse(value.dump(), name).dump() == value.dump());
    } catch (const Error& e) {
      CHECK(e.kind == ErrorKind::bad_data);
      accepted = false;
    }
    if (name[0] == 'y') { ++yes; CHECK(accepted == !deliberate.count(name)); }
    else if (name[0] == 'n') { ++no; CHECK_FALSE(accepted); }
    else ++either;
  }
  CHECK(yes > 90);
  CHECK(no > 180);
  CHECK(either > 30);
}
