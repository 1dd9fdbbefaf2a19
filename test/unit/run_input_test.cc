// A shard reads its input twice: what it answers is of the input that was counted. A pipe gives what it holds.
#include "step/run_input.h"

#include <unistd.h>

#include "step/archive.h"
#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::step;

TEST_CASE("an input that is another file the second time is an error, though the records of the shard are the same") {
  test::TempFolder dir;
  for (bool changed : {false, true}) {
    dir.write("in.jsonl", "{\"a\":1}\n{\"a\":2}\n");
    dir.write("other.jsonl", "{\"a\":1}\n{\"a\":3}\n");
    RunInput input(Args(*find_command("run"), {"step.yaml", dir.file("in.jsonl"), "--shard", "1/2"}), Manifest(), "");
    // the file that was counted still has its size and its times
    if (changed) std::filesystem::rename(dir.file("other.jsonl"), dir.file("in.jsonl"));
    Record record;
    CHECK(input.next(record));
    CHECK_FALSE(input.next(record));
    std::optional<ErrorKind> kind;
    try {
      input.finish();
    } catch (const Error& e) {
      kind = e.kind;
      CHECK(test::mentions(e.what(), "the input changed"));
    }
    CHECK((changed ? kind == ErrorKind::io : !kind));
  }
}

TEST_CASE("what a pipe holds is given at once, not when much of it is there") {
  ::alarm(60);                                           // a source that waits for more would wait for ever
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  REQUIRE(::write(ends[1], "one line\n", 9) == 9);
  ByteSource source = open_input("/dev/fd/" + std::to_string(ends[0]));
  char piece[4096];
  CHECK(source(piece, 4) == 4);
  CHECK(source(piece, sizeof piece) == 5);
  REQUIRE(::write(ends[1], "and two", 7) == 7);
  ::close(ends[1]);
  CHECK(source(piece, sizeof piece) == 7);
  CHECK(source(piece, sizeof piece) == 0);
  ::close(ends[0]);
  ::alarm(0);
}

TEST_CASE("an input is quiet while its pipe is empty and the next record is not there") {
  struct Format { InputFormat format; const char *first, *rest; };
  constexpr Format kFormats[] = {{InputFormat::jsonl, "{\"a\":1}\n", "{\"a\":2}\n"},
                                 {InputFormat::csv, "a,b\n1,2\n", "3,\"4\"\n"},
                                 {InputFormat::tsv, "a\n1\n", "2\n"},
                                 {InputFormat::text, "one\n", "two\n"},
                                 {InputFormat::fasta, ">a\nAC\n>b\nGG\n", "TT\n>c\nC\n"}};
  ::alarm(60);
  for (const Format& f : kFormats) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    auto give = [&](std::string_view text) { REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size())); };
    InputSpec spec;
    spec.format = f.format;
    RecordReader reader(spec, {named_input("/dev/fd/" + std::to_string(ends[0]))});
    Record record;
    CHECK_FALSE(reader.quiet());                         // nothing is open yet, and a pipe may wait for its writer
    give(f.first);
    CHECK(reader.next(record));
    CHECK(reader.quiet());
    give(f.rest);
    CHECK_FALSE(reader.quiet());
    CHECK(reader.next(record));
    CHECK(reader.quiet());
    ::close(ends[1]);
    CHECK_FALSE(reader.quiet());                         // the end is there
    while (reader.next(record)) continue;
    CHECK(record.fields.empty());
    ::close(ends[0]);
  }
  ::alarm(0);
}

TEST_CASE("a file is never quiet, and of a pipe neither is what lies ready") {
  test::TempFolder dir;
  dir.write("in.txt", "one\ntwo\nthree");
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  REQUIRE(::write(ends[1], "one\ntwo\nthree", 13) == 13);
  InputSpec spec;
  spec.format = InputFormat::text;
  Record record;
  RecordReader file(spec, {named_input(dir.file("in.txt"))}), pipe(spec, {named_input("/dev/fd/" + std::to_string(ends[0]))});
  for (int i = 0; i < 3; i++) {
    CHECK_FALSE(file.quiet());
    CHECK(file.next(record));
  }
  CHECK(pipe.next(record));
  CHECK_FALSE(pipe.quiet());                             // "two" is there
  CHECK(pipe.next(record));
  CHECK(pipe.quiet());                                   // "three" is, but not its end
  ::close(ends[1]);
  ::close(ends[0]);
}

TEST_CASE("a blank line, an open quote and a part of a record are no record") {
  struct Case { InputFormat format; const char *first, *part, *rest; };
  constexpr Case kCases[] = {{InputFormat::jsonl, "{\"a\":1}\n", "\n \n{\"a\":", "2}\n"},
                             {InputFormat::csv, "a,b\n1,2\n", "\n\"x\ny", "\",3\n"},
                             {InputFormat::csv, "a,b\n1,2\n", "x\" y,\"z\n", "\"\"\n\"\n"},
                             {InputFormat::text, "S\n", "tw", "o\n"}, {InputFormat::fasta, ">a\nAC\n>b\n", "GG\nTT\n", ">c\nC\n"}};
  ::alarm(60);
  for (const Case& c : kCases) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    auto give = [&](std::string_view text) { REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size())); };
    InputSpec spec;
    spec.format = c.format;
    RecordReader reader(spec, {named_input("/dev/fd/" + std::to_string(ends[0]))});
    Record record;
    give(c.first);
    CHECK(reader.next(record));
    give(c.part);
    CHECK(reader.quiet());
    CHECK(reader.quiet());
    give(c.rest);
    CHECK_FALSE(reader.quiet());
    CHECK(reader.next(record));
    CHECK_FALSE(record.problem);
    ::close(ends[1]);
    ::close(ends[0]);
  }
  ::alarm(0);
}

TEST_CASE("between a file and a pipe an input is quiet, between files it is not") {
  test::TempFolder dir;
  dir.write("a.txt", "{}\n\n");
  dir.write("b.txt", "\n{}\n \n");
  dir.write("none.txt", "");
  InputSpec spec;
  spec.format = InputFormat::jsonl;
  Input pipe = named_input("nobody opens it");
  pipe.may_wait = true;
  const std::vector<Input> files{named_input(dir.file("a.txt")), named_input(dir.file("b.txt")), named_input(dir.file("none.txt"))};
  std::vector<Input> and_pipe = files;
  and_pipe.push_back(pipe);
  for (const std::vector<Input>& inputs : {files, and_pipe}) {
    RecordReader reader(spec, inputs);
    Record record;
    CHECK(reader.next(record));
    CHECK(reader.next(record));
    CHECK(reader.quiet() == (inputs.size() > files.size()));
  }
}
