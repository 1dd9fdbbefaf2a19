// The record readers: each format's rules, ids, identity, and that neither the size of reads nor the cut of files can be seen.
#include <algorithm>

#include "runtime/error.h"
#include "step/digest.h"
#include "step/records.h"
#include "step/rows.h"
#include "test/catch.h"
#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::step;

namespace {

// A source that gives at most `step` bytes at a time.
ByteSource dripping(const std::string& text, size_t step) {
  auto at = std::make_shared<size_t>(0);
  return [text, step, at](char* buffer, size_t size) {
    const size_t count = text.copy(buffer, std::min(size, step), *at);
    *at += count;
    return count;
  };
}

// Why a record could not be read can be told from what is kept of it.
void check_reason(const InputSpec& spec, const Record& r) {
  if (r.problem && r.fields.empty() && !r.raw.empty() && why_unreadable(spec, r.raw) != *r.problem)
    FAIL(r.raw + " is " + *r.problem + ", and not " + why_unreadable(spec, r.raw));
}

std::vector<Record> read(InputFormat format, const std::vector<std::string>& texts, const std::string& id = "", size_t step = 1 << 20) {
  std::vector<Input> inputs;
  for (size_t i = 0; i < texts.size(); ++i)
    inputs.push_back({"dir/in" + std::to_string(i), [text = texts[i], step] { return dripping(text, step); }});
  RecordReader reader({format, id}, std::move(inputs));
  std::vector<Record> out;
  for (Record record; reader.next(record);) {
    check_reason({format, id}, record);
    out.push_back(record);
  }
  return out;
}

// "id|name=value;...", or "id!problem|raw"; lines joined.
std::string show(const std::vector<Record>& records) {
  std::string out;
  for (const Record& r : records) {
    out += r.id + (r.problem ? "!" + *r.problem + "|" + r.raw : "|");
    for (const Field& f : r.fields) out += f.name + "=" + f.value.dump() + ";";
    out += "\n";
  }
  return out;
}

std::string error_of(InputFormat format, const std::vector<std::string>& texts, const std::string& id = "") {
  try {
    read(format, texts, id);
  } catch (const Error& e) {
    CHECK(e.kind == ErrorKind::bad_data);
    return e.where + ": " + e.what() + (e.hint.empty() ? "" : " / " + e.hint);
  }
  return "no error";
}

}  // namespace

TEST_CASE("jsonl") {
  CHECK(show(read(InputFormat::jsonl, {"{\"a\":1.0,\"b\":[1, {\"c\":null}]}\n\n  \n\t\n{\"a\":\"x\"}\r\n{}"})) ==
        "1|a=1.0;b=[1,{\"c\":null}];\n2|a=\"x\";\n3|\n");
  CHECK(show(read(InputFormat::jsonl, {"{\"a\":1,\"a\":2}\n[1]\n\"\xff\"\n{\"a\":tru}\n3\n"})) ==
        "#1!bad JSON: duplicate key \"a\" (column 11)|{\"a\":1,\"a\":2}\n"
        "#2!a JSON array and not an object|[1]\n"
        "#3!not valid UTF-8|\"\\xff\"\n"
        "#4!bad JSON: unexpected character (column 6)|{\"a\":tru}\n"
        "#5!a JSON number and not an object|3\n");
  CHECK(show(read(InputFormat::jsonl, {"", "\xEF\xBB\xBF{\"a\":1}", "{\"a\":2}"})) == "1|a=1;\n2|a=2;\n");
  CHECK(show(read(InputFormat::jsonl, {})) == "");
  CHECK(read(InputFormat::jsonl, {"\n{}\n", "{}\n\n[]"})[2].where == "dir/in1:3");
}

TEST_CASE("ids name records once") {
  CHECK(show(read(InputFormat::jsonl, {"{\"s\":\"a\"}\n{\"s\":7}\n{\"s\":\"7\"}\n{\"s\":\"\"}\n{\"s\":null}\n{\"t\":1}\n"
                                       "{\"s\":\"a\\nb\"}\n{\"s\":\"a\"}\n{\"s\":[1]}\n"}, "s")) ==
        "a|s=\"a\";\n7|s=7;\n"
        "#3!the field 's', which names the record, names an earlier record too: 7|s=\"7\";\n"
        "#4!the field 's', which names the record, is empty|s=\"\";\n"
        "#5!the field 's', which names the record, is a JSON null|s=null;\n"
        "#6!the field 's', which names the record, is missing|t=1;\n"
        "#7!the field 's', which names the record, holds a control character|s=\"a\\nb\";\n"
        "#8!the field 's', which names the record, names an earlier record too: a|s=\"a\";\n"
        "#9!the field 's', which names the record, is a JSON array|s=[1];\n");
  // Ids that look like ours stay unique, whichever comes first.
  CHECK(show(read(InputFormat::jsonl, {"{\"s\":\"#2\"}\n[]\n{\"s\":\"##2\"}\n"}, "s")) ==
        "#2|s=\"#2\";\n##2!a JSON array and not an object|[]\n"
        "#3!the field 's', which names the record, names an earlier record too: ##2|s=\"##2\";\n");
  const std::string longest(kMaxIdBytes, 'x');
  CHECK(read(InputFormat::jsonl, {"{\"s\":\"" + longest + "\"}"}, "s")[0].id == longest);
  CHECK(read(InputFormat::jsonl, {"{\"s\":\"x" + longest + "\"}"}, "s")[0].problem ==
        "the field 's', which names the record, is longer than 1024 bytes");
  CHECK(read(InputFormat::jsonl, {"{\"s\":\"a\x7f\"}"}, "s")[0].problem ==
        "the field 's', which names the record, holds a control character");
}

TEST_CASE("csv and tsv by RFC 4180") {
  CHECK(show(read(InputFormat::csv, {"a,b\r\n1,2\r\n\"x,\"\"y\"\"\",\"l1\r\nl2\"\r\n\r\n,\r\n5' end,6\"\r\nlast,row"})) ==
        "1|a=\"1\";b=\"2\";\n2|a=\"x,\\\"y\\\"\";b=\"l1\\r\\nl2\";\n3|a=\"\";b=\"\";\n4|a=\"5' end\";b=\"6\\\"\";\n"
        "5|a=\"last\";b=\"row\";\n");
  CHECK(show(read(InputFormat::csv, {"a,b\n1\n1,2,3\n\"x\"y,2\n\xff,2\n\"open,1\n"})) ==
        "#1!1 field where the header has another number|1\n"
        "#2!3 fields where the header has another number|1,2,3\n"
        "#3!text follows a closing quote|\"x\"y,2\n"
        "#4!not valid UTF-8|\\xff,2\n"
        "#5!a quoted field is not closed|\"open,1\n\n");
  CHECK(show(read(InputFormat::tsv, {"a\tb\n1,2\t\"t\tab\"\n"})) == "1|a=\"1,2\";b=\"t\\tab\";\n");
  CHECK(show(read(InputFormat::csv, {"a\n\nx\n\"\"\n"})) == "1|a=\"\";\n2|a=\"x\";\n3|a=\"\";\n");
  CHECK(show(read(InputFormat::csv, {"\xEF\xBB\xBF\"a\",b\n1,2\n", "a,b\r\n3,4"}, "a")) == "1|a=\"1\";b=\"2\";\n3|a=\"3\";b=\"4\";\n");
  CHECK(show(read(InputFormat::csv, {"a,b\n"})) == "");
  CHECK(read(InputFormat::csv, {"a\n\"1\n2\"\nx\n"})[1].where == "dir/in0:4");

  CHECK(error_of(InputFormat::csv, {""}) == "dir/in0:1: empty, without even a header row / did what should have written it fail?");
  CHECK(error_of(InputFormat::csv, {"\na\n"}) == "dir/in0:1: no header row / the first row names the columns");
  // Lines that end in CR alone, as old spreadsheets write them: the whole file would be the header. In quotes a CR is a name's own.
  const std::string no_lines =
      "dir/in0:1: a carriage return inside the header row / do its lines end in CR alone?  tr '\\r' '\\n' <OLD >NEW  converts them";
  for (const char* text : {"a,b\r1,2\r", "a,b\r1,2", "\"a\",\"b\"\r\"1\",\"2\"\r", "\ra,b\n"}) {
    INFO(text);
    CHECK(error_of(InputFormat::csv, {text}) == no_lines);
  }
  CHECK(error_of(InputFormat::tsv, {"a\tb\r1\t2\r"}) == no_lines);
  CHECK(error_of(InputFormat::csv, {"a,b\r\r\n1,2\r\n"}) == "no error");       // there are lines
  CHECK(show(read(InputFormat::csv, {"\"a\rb\",c\r\n1\r2,3\r"})) == "1|a\rb=\"1\\r2\";c=\"3\";\n");
  CHECK(show(read(InputFormat::csv, {"a,b\r"})) == "");

  CHECK(error_of(InputFormat::csv, {"a,,b\n"}) == "dir/in0:1: a column has no name / name every column in the header row");
  CHECK(error_of(InputFormat::csv, {"a,b,a\n"}) == "dir/in0:1: two columns are called 'a' / give each column its own name");
  CHECK(error_of(InputFormat::csv, {"a,\"b\n"}) == "dir/in0:1: bad header row: a quoted field is not closed");
  CHECK(error_of(InputFormat::csv, {"a,b\n1,2\n", "b,a\n"}) ==
        "dir/in1:1: the header differs from that of dir/in0 / several inputs are one input: give them the same columns");
  CHECK(error_of(InputFormat::csv, {"sample,lane\n"}, "smaple") ==
        "dir/in0:1: no column 'smaple', which input.id names / did you mean 'sample'?");
}

TEST_CASE("tsv with escapes") {
  auto read = [](const std::string& text) {
    const InputSpec spec{InputFormat::tsv, "", Escapes::backslash};
    RecordReader reader(spec, {{"in", [text] { return text_source(text); }}});
    std::vector<Record> out;
    for (Record record; reader.next(record); out.push_back(record)) check_reason(spec, record);
    return show(out);
  };
  CHECK(read("a\\tb\tc\n\\t\\n\\r\\\\\t\\\\n\n\"\\t\"\"\"\t\n") == "1|a\tb=\"\\t\\n\\r\\\\\";c=\"\\\\n\";\n2|a\tb=\"\\t\\\"\";c=\"\";\n");
  CHECK(read("a\tb\nC:\\dir\tx\nx\ty\\\n") ==
        "#1!a backslash before something else than t, n, r or a backslash|C:\\\\dir\tx\n"
        "#2!a backslash before something else than t, n, r or a backslash|x\ty\\\\\n");
  CHECK_THROWS_AS(read("a\tb\\\n"), Error);
}

TEST_CASE("tables without quotes: each line is a row") {
  auto read = [](InputFormat format, const std::string& text) {
    const InputSpec spec{format, "", Escapes::none, Quotes::none};
    RecordReader reader(spec, {{"in", [text] { return text_source(text); }}});
    std::vector<Record> out;
    for (Record record; reader.next(record); out.push_back(record)) check_reason(spec, record);
    return show(out);
  };
  CHECK(read(InputFormat::tsv, "\"a\"\tb\r\n\"5 prime\t\"\"\r\n\"\tx\"y\r\n") ==
        "1|\"a\"=\"\\\"5 prime\";b=\"\\\"\\\"\";\n2|\"a\"=\"\\\"\";b=\"x\\\"y\";\n");
  CHECK(read(InputFormat::csv, "a,b\n\"1,2\"\n\"1\n") ==
        "1|a=\"\\\"1\";b=\"2\\\"\";\n#2!1 field where the header has another number|\"1\n");
}

// What ibid writes is what ibid, and others, read. With escapes a tsv comes back as it was; without them, and to others, it holds the
// text as it stands in the row.
TEST_CASE("any text in a row is read back") {
  const std::vector<std::string> pieces = {"", "a", " ", "\"", "\"\"", "'", ",", "\t", "\n", "\r", "\r\n", "\\", "\\n", "\\t",
                                           std::string(1, '\0'), "#", "\x1f", "\xC3\xA9", "\xEF\xBB\xBF", "\xE2\x80\xA8"};
  std::vector<std::string> texts;
  for (const std::string& a : pieces)
    for (const std::string& b : pieces)
      for (const std::string& c : pieces) texts.push_back(a + b + c);
  Manifest manifest;
  manifest.output.keep = {"\"k\"", "tab\there", "c,\nd\\"};
  test::TempFolder dir;
  for (OutputFormat format : {OutputFormat::csv, OutputFormat::tsv}) {
    manifest.output.format = format;
    OutputFile out(dir.file("rows"));
    RowWriter rows(out, manifest, nullptr);
    for (size_t i = 0; i < texts.size(); ++i) {
      Record record;
      record.id = std::to_string(i);
      for (size_t k = 0; k < 3; ++k) record.fields.push_back({manifest.output.keep[k], texts[(i + k) % texts.size()]});
      rows.write(record, {{"ok", texts[i], {}, texts[texts.size() - 1 - i]}});
    }
    out.commit();
    const std::string written = test::read_file(dir.file("rows"));
    if (format == OutputFormat::tsv) CHECK(static_cast<size_t>(std::count(written.begin(), written.end(), '\n')) == texts.size() + 1);
    auto escaped = [](const std::string& text) {
      std::string result;
      for (char c : text) result += c == '\\' ? "\\\\" : c == '\t' ? "\\t" : c == '\n' ? "\\n" : c == '\r' ? "\\r" : std::string(1, c);
      return result;
    };
    for (Escapes escapes : {Escapes::none, Escapes::backslash}) {
      if (format == OutputFormat::csv && escapes != Escapes::none) continue;
      const bool as_written = format == OutputFormat::tsv && escapes == Escapes::none;
      auto expected = [&](const std::string& text) { return as_written ? escaped(text) : text; };
      RecordReader reader({format == OutputFormat::csv ? InputFormat::csv : InputFormat::tsv, "id", escapes},
                          {{"rows", [&] { return text_source(written); }}});
      Record r;
      size_t i = 0, wrong = 0;
      for (; reader.next(r); ++i) {
        std::vector<Field> fields{{"id", std::to_string(i)}};
        for (size_t k = 0; k < 3; ++k) fields.push_back({expected(manifest.output.keep[k]), expected(texts[(i + k) % texts.size()])});
        fields.insert(fields.end(), {{"status", "ok"}, {"response", expected(texts[i])}, {"error", expected(texts[texts.size() - 1 - i])}});
        auto same = [](const Field& a, const Field& b) { return a.name == b.name && a.value.as_string() == b.value.as_string(); };
        wrong += r.problem || !std::equal(fields.begin(), fields.end(), r.fields.begin(), r.fields.end(), same);
      }
      CHECK(i == texts.size());
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("no reason is found for what can be read, nor for what no reader keeps") {
  const std::pair<InputFormat, const char*> cases[] = {
      {InputFormat::jsonl, "{}"}, {InputFormat::jsonl, ""}, {InputFormat::jsonl, "[\n["}, {InputFormat::jsonl, "\\x5b"},
      {InputFormat::jsonl, "\\xZZ"}, {InputFormat::jsonl, "\\"}, {InputFormat::text, "a"}, {InputFormat::text, "\\xff\n\\xff"},
      {InputFormat::text, "\\xFF"}, {InputFormat::csv, ""}, {InputFormat::tsv, "a\nb"}, {InputFormat::fasta, ">a\nAC\n"},
      {InputFormat::fasta, ">\nA\n>\nA"}, {InputFormat::files, "name\ntext"}, {InputFormat::files, "a/name\n\\xff"}};
  for (const auto& [format, raw] : cases) {
    INFO(raw);
    CHECK(why_unreadable({format, ""}, raw) == "");
  }
  CHECK(why_unreadable({InputFormat::files, ""}, "name\n\\xff") == "not valid UTF-8");
}

TEST_CASE("text") {
  CHECK(show(read(InputFormat::text, {"one\n\ntwo\r\n\xC3\n\xEF\xBB\xBFx", "\xEF\xBB\xBFnext\n"})) ==
        "1|text=\"one\";\n2|text=\"\";\n3|text=\"two\";\n#4!not valid UTF-8|\\xc3\n5|text=\"\xEF\xBB\xBFx\";\n6|text=\"next\";\n");
  CHECK(read(InputFormat::text, {"a\\b\xff\xC3\xA9"})[0].raw == "a\\\\b\\xff\xC3\xA9");
}

TEST_CASE("fasta") {
  CHECK(show(read(InputFormat::fasta, {">s1 first one \nACGT \nacg-*\n\n>s2\n>s3\tx\r\nMK\r\n", ">s4\nA"})) ==
        "s1|id=\"s1\";description=\"first one\";sequence=\"ACGTacg-*\";\ns2|id=\"s2\";description=\"\";sequence=\"\";\n"
        "s3|id=\"s3\";description=\"x\";sequence=\"MK\";\ns4|id=\"s4\";description=\"\";sequence=\"A\";\n");
  CHECK(show(read(InputFormat::fasta, {"ACGT\n>\nA\n> x\nA\n>a\nA C\n>b\n\xC3\xA9\n>c \xff\nA\n>d\nA\n>d\nA\n"})) ==
        "#1!sequence without a '>' line before it|ACGT\n"
        "#2!no id after '>'|>\nA\n"
        "#3!no id after '>'|> x\nA\n"
        "#4!the sequence holds white space or a character that is not printable ASCII, at letter 2|>a\nA C\n"
        "#5!the sequence holds white space or a character that is not printable ASCII, at letter 1|>b\n\xC3\xA9\n"
        "#6!not valid UTF-8|>c \\xff\nA\n"
        "d|id=\"d\";description=\"\";sequence=\"A\";\n"
        "#8!the field 'id', which names the record, names an earlier record too: d|id=\"d\";description=\"\";sequence=\"A\";\n");
}

TEST_CASE("files") {
  CHECK(show(read(InputFormat::files, {"whole\r\ntext\n", "", "\xff"})) ==
        "in0|name=\"in0\";text=\"whole\\r\\ntext\\n\";\nin1|name=\"in1\";text=\"\";\n#3!not valid UTF-8|in2\n\\xff\n");
  RecordReader twice({InputFormat::files, ""},
                     {{"a/x.txt", [] { return text_source("1"); }}, {"b/x.txt", [] { return text_source("2"); }}});
  Record record;
  CHECK((twice.next(record) && record.id == "x.txt" && !record.problem));
  CHECK((twice.next(record) && record.id == "#2" && record.problem));
  CHECK_FALSE(twice.next(record));
}

TEST_CASE("two records that render differently are not equal") {
  std::vector<std::string> forms;
  for (const char* line : {"{\"a\":1}", "{\"a\":1.0}", "{\"a\":\"1\"}", "{\"a\":true}", "{\"a\":\"true\"}", "{\"a\":null}", "{\"a\":\"\"}",
                           "{\"a\":[1]}", "{\"a\":\"[1]\"}", "{\"a\":{}}", "{\"a\":{\"b\":1,\"c\":2}}", "{\"a\":{\"c\":2,\"b\":1}}",
                           "{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "{}", "[1]", "{\"\":\"x\"}", "x", "\\x", "\xff", "\\\\xff"})
    forms.push_back(record_canonical(read(InputFormat::jsonl, {line}).at(0)));
  std::sort(forms.begin(), forms.end());
  CHECK(std::adjacent_find(forms.begin(), forms.end()) == forms.end());

  auto form = [](const char* line) { return record_canonical(read(InputFormat::jsonl, {line})[0]); };
  CHECK(form("{\"a\" : \"\\u0041\\u00e9\", \"b\":[1 ,2.50]}") == "[[\"a\",\"string\",\"A\xC3\xA9\"],[\"b\",\"json\",\"[1,2.50]\"]]");
  CHECK(form("{}") == "[]");
  CHECK(form("nope") == "[[\"\",\"bad_record\",\"nope\"]]");
  // An id that is missing or taken spoils the record, not its content.
  const auto pair = read(InputFormat::jsonl, {"{\"s\":1}\n{\"s\":1}"}, "s");
  CHECK(record_canonical(pair[0]) == record_canonical(pair[1]));
}

TEST_CASE("neither the size of reads nor the cut of files can be seen") {
  const std::pair<InputFormat, std::string> cases[] = {
      {InputFormat::jsonl, "\xEF\xBB\xBF{\"s\":\"a\"}\r\n\n[\n{\"s\":\"b\"}\n{\"s\":\"b\"}\n"},
      {InputFormat::csv, "\xEF\xBB\xBFs,t\r\n\"1\"\"\",\"x\r\ny\"\r\n2\r\n3,4"},
      {InputFormat::text, "\xEF\xBB\xBFone\r\n\r\r\n\xC3\xA9\nlast"},
      {InputFormat::fasta, ">s1 d\r\nAC\nGT\n\n>s2\nA\n"},
      {InputFormat::files, "\xEF\xBB\xBFtext\r\n"},
  };
  for (const auto& [format, text] : cases) {
    const std::string id = format == InputFormat::jsonl || format == InputFormat::csv ? "s" : "";
    const std::string whole = show(read(format, {text}, id));
    CHECK(whole.size() > 10);
    for (size_t step : {1, 2, 3, 7}) CHECK(show(read(format, {text}, id, step)) == whole);
  }
  CHECK(show(read(InputFormat::jsonl, {"{\"s\":1}\n[]\n", "{\"s\":1}\n"}, "s")) ==
        show(read(InputFormat::jsonl, {"{\"s\":1}\n[]\n{\"s\":1}\n"}, "s")));
  CHECK(show(read(InputFormat::csv, {"s\n1\n", "s\n2\n"})) == show(read(InputFormat::csv, {"s\n1\n2\n"})));
}

TEST_CASE("a record that never ends is an error") {
  // Endless lines, quotes, sequences and files, made on the fly: memory holds one record of the limit, not the stream.
  auto endless = [](InputFormat format, std::string start, char fill) {
    size_t given = 0;
    RecordReader reader({format, ""}, {{"endless", [start, fill, &given] {
      return [start, fill, &given](char* buffer, size_t size) {
        const size_t head = start.copy(buffer, size, std::min(given, start.size()));
        std::fill(buffer + head, buffer + size, fill);
        given += size;
        return size;
      };
    }}});
    Record record;
    CHECK_THROWS_AS(reader.next(record), Error);
    CHECK(given < kMaxRecordBytes + (1 << 20));
  };
  endless(InputFormat::text, "", 'x');
  endless(InputFormat::csv, "a\n\"", '\n');
  endless(InputFormat::files, "", 'x');
}

TEST_CASE("fields without number are counted, not kept apart") {
  const size_t beyond = (size_t{1} << 20) + 3;
  const std::string separators(beyond, '\t'), counted = std::to_string(beyond + 1);
  CHECK(*read(InputFormat::tsv, {"a\tb\n" + separators + "x\n"})[0].problem == counted + " fields where the header has another number");
  const InputSpec spec{InputFormat::tsv, "", Escapes::backslash};
  // a backslash at a field's end, far behind
  RecordReader reader(spec, {{"in", [&] { return text_source("a\tb\n" + separators + "\\\tt\n"); }}});
  Record record;
  REQUIRE(reader.next(record));
  CHECK(*record.problem == "a backslash before something else than t, n, r or a backslash");
  CHECK(error_of(InputFormat::tsv, {separators + "\n"}) == "dir/in0:1: " + counted + " columns; at most 1048576 / is this the right file?");
}

TEST_CASE("mutated inputs raise nothing but errors, and every record has a name") {
  const std::string seeds[] = {"{\"s\":\"a\",\"n\":1.50}\n{\"s\":\"b\",\"x\":[1,{\"y\":null}]}\n", "s,t\n1,\"a \"\"q\"\"\nb\"\n2,c\n",
                               ">s1 d\nACGT\n>s2\nAC\n"};
  const std::string spice = "\"\n\r,\t>{}[]:\\ \x80\xC3\xff\x01" "0";
  uint64_t state = 88172645463325252u;
  auto below = [&state](size_t n) {                    // xorshift64
    state ^= state << 13; state ^= state >> 7; state ^= state << 17;
    return static_cast<size_t>(state % n);
  };
  size_t good = 0, bad = 0, errors = 0;
  for (int round = 0; round < 3000; ++round) {
    std::string text = seeds[below(3)];
    for (size_t edits = 1 + below(4); edits > 0; --edits) {
      if (below(2)) text.insert(below(text.size() + 1), 1, spice[below(spice.size())]);
      else text[below(text.size())] = spice[below(spice.size())];
    }
    for (InputFormat format : {InputFormat::jsonl, InputFormat::csv, InputFormat::tsv, InputFormat::text, InputFormat::fasta,
                               InputFormat::files}) {
      try {
        std::vector<std::string> ids;
        for (const Record& record : read(format, {text}, format == InputFormat::jsonl ? "s" : "", 5)) {
          if (record.id.empty() || (!record.problem && !record.raw.empty()) || !is_utf8(record.raw)) FAIL(text);
          Json::parse(record_canonical(record), "canonical");
          ids.push_back(record.id);
          ++(record.problem ? bad : good);
        }
        std::sort(ids.begin(), ids.end());
        if (std::adjacent_find(ids.begin(), ids.end()) != ids.end()) FAIL(text);
      } catch (const Error& e) {
        if (e.kind != ErrorKind::bad_data) FAIL(text);
        ++errors;
      }
    }
  }
  CHECK(good > 10000);
  CHECK(bad > 5000);
  CHECK(errors > 1000);
}
