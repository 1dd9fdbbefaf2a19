// Unicode classes, normalization, malformed UTF-8.
#include "runtime/unicode.h"

#include <sstream>
#include <vector>

#include "runtime/json.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::runtime;

namespace {

std::string utf8(std::initializer_list<char32_t> code_points) {
  std::string out;
  for (char32_t c : code_points) append_utf8(out, c);
  return out;
}

int count_flag(uint8_t flag) {
  int n = 0;
  for (int c = 0; c < 0x110000; ++c) n += (char_flags()[c] & flag) != 0;
  return n;
}

// The field "1E0A 0323" of NormalizationTest.txt. `young`: a character that has taken part in normalization since Unicode 9 only.
std::string parse_field(const std::string& field, bool& young) {
  constexpr char32_t kYoung[][2] = {
      {0x7FD, 0x7FD}, {0x897, 0x89F}, {0x8CA, 0x8D3}, {0x9FE, 0x9FE}, {0xC3C, 0xC3C}, {0xD3B, 0xD3C}, {0xEBA,
      0xEBA}, {0x1715, 0x1715}, {0x1ABF, 0x1ACE}, {0x1DF6, 0x1DFA}, {0xA82C, 0xA82C}, {0x105C9, 0x105C9}, {0x105E4,
      0x105E4}, {0x10D24, 0x10D27}, {0x10D69, 0x10D6D}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF}, {0x10F46, 0x10F50},
      {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x11383, 0x11383}, {0x11385, 0x11385}, {0x1138E,
      0x1138E}, {0x11391, 0x11391}, {0x113C5, 0x113C5}, {0x113C7, 0x113C8}, {0x113CE, 0x113D0}, {0x1145E, 0x1145E},
      {0x11839, 0x1183A}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0}, {0x11A34,
      0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45}, {0x11D97, 0x11D97},
      {0x11F41, 0x11F42}, {0x16121, 0x16128}, {0x1612F, 0x1612F}, {0x16D68, 0x16D6A}, {0x16FF0, 0x16FF1}, {0x1E08F,
      0x1E08F}, {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}, {0x1E5EE, 0x1E5EF}};
  std::istringstream in(field);
  std::string out, hex;
  while (in >> hex) {
    auto c = static_cast<char32_t>(std::stoul(hex, nullptr, 16));
    append_utf8(out, c);
    for (auto& range : kYoung) young = young || (c >= range[0] && c <= range[1]);
  }
  return out;
}

std::vector<std::string> fields_of(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream in(line);
  for (std::string field; std::getline(in, field, ';');) fields.push_back(field);
  return fields;
}

}  // namespace

TEST_CASE("characters have the classes of Unicode 16") {
  REQUIRE(std::string(unicode_tables_version()) == "16.0.0, normalization 9.0.0");
  const uint8_t* flags = char_flags();
  REQUIRE(flags[U'a'] == (kLetter | kWord));
  REQUIRE(flags[U'7'] == (kNumber | kWord));
  REQUIRE(flags[U'_'] == (kWord | kPunctuation));
  REQUIRE(flags[U' '] == kSpace);
  REQUIRE(flags[0x180E] == 0);                     // was a space until Unicode 6.3
  REQUIRE(flags[0x200B] == 0);
  REQUIRE((flags[0x2167] & (kLetter | kNumber)) == kNumber);
  REQUIRE((flags[0x1C89] & kLetter));              // new in 16
  REQUIRE(flags[0x11DE0] == 0);                    // a digit from 17 on
  REQUIRE((flags[0x301] & (kWord | kUnstable)) == (kWord | kUnstable));
  REQUIRE(count_flag(kLetter) == 141028);          // as counted through the reference's regular expressions
  REQUIRE(count_flag(kNumber) == 1911);
  REQUIRE(count_flag(kSpace) == 25);
  REQUIRE(count_flag(kPunctuation) == 855);
  REQUIRE(count_flag(kWord) == 144667);
}

TEST_CASE("normalization composes, decomposes and orders") {
  REQUIRE(to_nfc("e\xCC\x81") == "\xC3\xA9");
  REQUIRE(to_nfd("\xC3\xA9") == "e\xCC\x81");
  REQUIRE(to_nfc(utf8({0x212B})) == utf8({0xC5}));                          // a singleton
  REQUIRE(to_nfc(utf8({0x958})) == utf8({0x915, 0x93C}));                   // a composition exclusion
  REQUIRE(to_nfc(utf8({0x1100, 0x1161, 0x11A8})) == utf8({0xAC01}));
  REQUIRE(to_nfd(utf8({0xAC01})) == utf8({0x1100, 0x1161, 0x11A8}));
  REQUIRE(to_nfd(utf8({'a', 0x301, 0x334})) == utf8({'a', 0x334, 0x301}));
  REQUIRE(to_nfc(utf8({'a', 0x315, 0x300, 0x5AE, 'b'})) == utf8({0xE0, 0x5AE, 0x315, 'b'}));
  REQUIRE(to_nfc(utf8({0x11935, 0x11930})) == utf8({0x11935, 0x11930}));    // composes from Unicode 13 on, in the reference not
  REQUIRE(to_nfc("plain ASCII") == "plain ASCII");
  REQUIRE(to_nfc("") == "");
}

TEST_CASE("a long run of marks is ordered without quadratic work") {
  std::string marks = "a";
  for (int i = 0; i < 200000; ++i) append_utf8(marks, i % 2 ? 0x301 : 0x334);
  std::string ordered = to_nfd(marks);
  REQUIRE(ordered.size() == marks.size());
  REQUIRE(ordered.substr(1, 4) == utf8({0x334, 0x334}));
}

TEST_CASE("the Unicode normalization test agrees for all characters that Unicode 9 had") {
  std::string path = test::data_file("unicode/NormalizationTest.txt.bz2");
  if (path.empty()) return;
  std::FILE* pipe = popen(("bzcat '" + path + "' 2>/dev/null").c_str(), "r");
  REQUIRE(pipe);
  char buffer[4096];
  int checked = 0, young_lines = 0, changed = 0;
  while (std::fgets(buffer, sizeof buffer, pipe)) {
    std::string line = buffer;
    if (line.empty() || line[0] == '#' || line[0] == '@') continue;
    std::vector<std::string> fields = fields_of(line);
    if (fields.size() < 5) continue;
    bool young = false;
    std::string source = parse_field(fields[0], young), nfc = parse_field(fields[1], young), nfd = parse_field(fields[2], young);
    if (young) { ++young_lines; continue; }
    CAPTURE(line);
    REQUIRE(to_nfc(source) == nfc);
    REQUIRE(to_nfc(nfd) == nfc);
    REQUIRE(to_nfd(source) == nfd);
    REQUIRE(to_nfd(nfc) == nfd);
    ++checked;
    changed += source != nfc;
  }
  pclose(pipe);
  if (checked == 0) { std::printf("SKIPPED: no bzcat here for %s\n", path.c_str()); return; }
  REQUIRE(checked > 18000);
  REQUIRE(changed > 1000);                          // the comparison is not of unchanged text with itself
  REQUIRE(young_lines == 651);
}

TEST_CASE("malformed UTF-8 is replaced part by part") {
  const std::string r = "\xEF\xBF\xBD";
  REQUIRE(replace_malformed("ok \xC3\xA9") == "ok \xC3\xA9");
  REQUIRE(replace_malformed("\xE2\x82") == r);
  REQUIRE(replace_malformed("\xE2\x82" "a") == r + "a");
  REQUIRE(replace_malformed("\xF0\x9F\x92\xE2\x82\xAC") == r + "\xE2\x82\xAC");
  REQUIRE(replace_malformed("\xC0\x80") == r + r);
  REQUIRE(replace_malformed("\xED\xA0\x80") == r + r + r);
  REQUIRE(replace_malformed("\xF4\x90\x80\x80") == r + r + r + r);
  REQUIRE(replace_malformed("\x80\xFF") == r + r);
  REQUIRE(incomplete_tail("a") == 0);
  REQUIRE(incomplete_tail("\xE2") == 1);
  REQUIRE(incomplete_tail("a\xE2\x82") == 2);
  REQUIRE(incomplete_tail("\xF0\x9F\x92") == 3);
  REQUIRE(incomplete_tail("\xE2\x82\xAC") == 0);
  REQUIRE(incomplete_tail("\xE0\x80") == 0);       // overlong: nothing can complete it
  REQUIRE(incomplete_tail("\xC0") == 0);
  REQUIRE(incomplete_tail("\x80") == 0);
  REQUIRE(incomplete_tail("") == 0);
}
