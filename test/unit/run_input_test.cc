// A shard reads its input twice: what it answers is of the input that was counted. A pipe gives what it holds.
#include "step/run_input.h"

#include <unistd.h>

#include "step/archive.h"
#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::step;

namespace {

// An input that this test writes into.
struct Pipe {
  Pipe() { REQUIRE(::pipe(ends) == 0); }
  ~Pipe() {
    end();
    ::close(ends[0]);
  }
  Input input() const { return named_input("/dev/fd/" + std::to_string(ends[0])); }
  void give(std::string_view text) { REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size())); }
  void end() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  int ends[2];
};

InputSpec of(InputFormat format) {
  InputSpec spec;
  spec.format = format;
  return spec;
}

}  // namespace

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
  Pipe pipe;
  pipe.give("one line\n");
  ByteSource source = pipe.input().open();
  char piece[4096];
  CHECK(source(piece, 4) == 4);
  CHECK(source(piece, sizeof piece) == 5);
  pipe.give("and two");
  pipe.end();
  CHECK(source(piece, sizeof piece) == 7);
  CHECK(source(piece, sizeof piece) == 0);
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
    Pipe pipe;
    RecordReader reader(of(f.format), {pipe.input()});
    Record record;
    CHECK_FALSE(reader.quiet());                         // nothing is open yet, and a pipe may wait for its writer
    pipe.give(f.first);
    CHECK(reader.next(record));
    CHECK(reader.quiet());
    pipe.give(f.rest);
    CHECK_FALSE(reader.quiet());
    CHECK(reader.next(record));
    CHECK(reader.quiet());
    pipe.end();
    CHECK_FALSE(reader.quiet());                         // the end is there
    while (reader.next(record)) continue;
    CHECK(record.fields.empty());
  }
  ::alarm(0);
}

TEST_CASE("a file is never quiet, and of a pipe neither is what lies ready") {
  test::TempFolder dir;
  dir.write("in.txt", "one\ntwo\nthree");
  Pipe written;
  written.give("one\ntwo\nthree");
  Record record;
  RecordReader file(of(InputFormat::text), {named_input(dir.file("in.txt"))}), pipe(of(InputFormat::text), {written.input()});
  for (int i = 0; i < 3; i++) {
    CHECK_FALSE(file.quiet());
    CHECK(file.next(record));
  }
  CHECK(pipe.next(record));
  CHECK_FALSE(pipe.quiet());                             // "two" is there
  CHECK(pipe.next(record));
  CHECK(pipe.quiet());                                   // "three" is, but not its end
}

TEST_CASE("a blank line, an open quote and a part of a record are no record") {
  struct Case { InputFormat format; const char *first, *part, *rest; };
  constexpr Case kCases[] = {{InputFormat::jsonl, "{\"a\":1}\n", "\n \n{\"a\":", "2}\n"},
                             {InputFormat::csv, "a,b\n1,2\n", "\n\"x\ny", "\",3\n"},
                             {InputFormat::csv, "a,b\n1,2\n", "x\" y,\"z\n", "\"\"\n\"\n"},
                             {InputFormat::text, "S\n", "tw", "o\n"}, {InputFormat::fasta, ">a\nAC\n>b\n", "GG\nTT\n", ">c\nC\n"}};
  ::alarm(60);
  for (const Case& c : kCases) {
    Pipe pipe;
    RecordReader reader(of(c.format), {pipe.input()});
    Record record;
    pipe.give(c.first);
    CHECK(reader.next(record));
    pipe.give(c.part);
    CHECK(reader.quiet());
    CHECK(reader.quiet());
    pipe.give(c.rest);
    CHECK_FALSE(reader.quiet());
    CHECK(reader.next(record));
    CHECK_FALSE(record.problem);
  }
  ::alarm(0);
}

TEST_CASE("between a file and a pipe an input is quiet, between files it is not") {
  test::TempFolder dir;
  dir.write("a.txt", "{}\n\n");
  dir.write("b.txt", "\n{}\n \n");
  dir.write("none.txt", "");
  Input pipe = named_input("nobody opens it");
  pipe.may_wait = true;
  const std::vector<Input> files{named_input(dir.file("a.txt")), named_input(dir.file("b.txt")), named_input(dir.file("none.txt"))};
  std::vector<Input> and_pipe = files;
  and_pipe.push_back(pipe);
  for (const std::vector<Input>& inputs : {files, and_pipe}) {
    RecordReader reader(of(InputFormat::jsonl), inputs);
    Record record;
    CHECK(reader.next(record));
    CHECK(reader.next(record));
    CHECK(reader.quiet() == (inputs.size() > files.size()));
  }
}
