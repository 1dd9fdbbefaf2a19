// The JSON reader: what it keeps, what it refuses, and where it says so.
#include "runtime/json.h"

#include "runtime/error.h"
#include "test/catch.h"

using ibid::Error;
using ibid::Json;

static std::string error_of(const std::string& text) {
  try {
    Json::parse(text, "in");
  } catch (const Error& e) {
    return e.where + ": " + e.what();
  }
  return "accepted";
}

TEST_CASE("values come back as they were written") {
  std::string text = R"({"b":1.0,"a":[1,-0,2.50e+3,true,false,null,"x\n\u0001"],"é":{}})";
  CHECK(Json::parse(text, "in").dump() == text);
  CHECK(Json::parse("\"\\ud83d\\ude00\"", "in").as_string() == "\xF0\x9F\x98\x80");
  CHECK(Json::parse("9007199254740993", "in").as_int() == 9007199254740993);
}

TEST_CASE("what two readers could take differently is refused, with a position") {
  CHECK(error_of(R"({"a":1,"a":2})") == "in:1:11: bad JSON: duplicate key \"a\"");
  CHECK(error_of("[1,\n 2,]") == "in:2:4: bad JSON: unexpected character");
  CHECK(error_of("\"\\ud800\"") == "in:1:8: bad JSON: lone surrogate");
  CHECK(error_of("01") == "in:1:2: bad JSON: unexpected text after the JSON value");
  CHECK(error_of("\"\xff\"") == "in:1:4: bad JSON: string is not valid UTF-8");
  CHECK(error_of(std::string(300, '[')) == "in:1:202: bad JSON: nested deeper than 200 levels");
  CHECK(error_of("") == "in:1:1: bad JSON: unexpected end");
}

TEST_CASE("UTF-8 is checked to the letter") {
  CHECK(ibid::is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  for (const char* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82", "\x80", "\xF8\x88\x80\x80\x80"})
    CHECK_FALSE(ibid::is_utf8(bad));
}
