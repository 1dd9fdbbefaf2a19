// An output appears whole or not at all, whatever an earlier process left behind.
#include "step/output_file.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <memory>

#include "runtime/error.h"
#include "runtime/json.h"
#include "test/catch.h"
#include "test/model_fixture.h"

using namespace ibid;
using namespace ibid::step;
using ibid::test::TempFolder;
using ibid::test::error_of;
using ibid::test::mentions;
using ibid::test::read_file;
namespace fs = std::filesystem;

namespace {

size_t files_in(const std::string& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

}  // namespace

TEST_CASE("an output is there when it is committed, and the old one until then") {
  TempFolder dir;
  dir.write("a", "old");
  {
    OutputFile out(dir.file("a"));
    CHECK(out.is_file());
    out.write("new");
    out.flush();
    CHECK(read_file(dir.file("a")) == "old");
    CHECK(files_in(dir.path()) == 2);
  }
  CHECK(read_file(dir.file("a")) == "old");
  CHECK(files_in(dir.path()) == 1);
  OutputFile out(dir.file("a"));
  out.write("new");
  out.commit();
  CHECK(read_file(dir.file("a")) == "new");
  CHECK(files_in(dir.path()) == 1);
  CHECK_FALSE(OutputFile("/dev/null").is_file());
  CHECK(mentions(error_of([&] { OutputFile none(dir.file("no/such/folder")); }), "cannot create"));
}

TEST_CASE("a name that gets longer than names are is cut between two characters, and stays unlike others") {
  CHECK(name_with("a", ".b") == "a.b");
  CHECK(name_with(std::string(253, 'a'), ".b") == std::string(253, 'a') + ".b");
  CHECK(name_with(std::string(253, 'a') + "1", ".b") != name_with(std::string(253, 'a') + "2", ".b"));
  for (std::string character : {"a", "\u00e9", "\u20ac", "\U0001F9EC"}) {
    for (size_t before = 0; before < 4; ++before) {
      std::string name(before, 'x');
      while (name.size() + character.size() <= 255) name += character;
      INFO(name);
      CHECK(is_utf8(name_with(name, ".suffix")));
      CHECK(name_with(name, ".suffix").size() <= 255);
      CHECK(name_with(name, ".suffix").size() > 255 - character.size());
      CHECK(name_with(name, ".suffix").ends_with(".suffix"));
      TempFolder dir;
      OutputFile out(dir.file(name));
      CHECK(is_utf8(fs::directory_iterator(dir.path())->path().filename().string()));
      out.commit();
      CHECK(fs::exists(dir.file(name)));
    }
  }
  CHECK(name_with(std::string(255, '\x80'), ".suffix").size() == 252);         // no text at all: cut all the same
}

TEST_CASE("what a killed process of the same number left is not in the way, and not touched") {
  TempFolder dir;
  const std::string left = ".a." + std::to_string(::getpid()) + ".ibid-tmp";
  dir.write(left, "left");
  OutputFile first(dir.file("a")), second(dir.file("a"));
  first.write("1");
  second.write("2");
  first.commit();
  CHECK(read_file(dir.file("a")) == "1");
  second.commit();
  CHECK(read_file(dir.file("a")) == "2");
  CHECK(read_file(dir.file(left)) == "left");
}

TEST_CASE("nor are hundreds of them, which have one number and one name") {
  TempFolder dir;
  std::vector<std::unique_ptr<OutputFile>> left;
  for (size_t i = 1; i <= 300; ++i) {
    left.push_back(std::make_unique<OutputFile>(dir.file("a")));
    REQUIRE(files_in(dir.path()) == i);
  }
  for (const fs::directory_entry& file : fs::directory_iterator(dir.path()))
    CHECK(mentions(file.path().filename(), ".a." + std::to_string(::getpid())));
  left.back()->commit();
  left.clear();
  CHECK(files_in(dir.path()) == 1);
}

TEST_CASE("the temporary files of open outputs can be removed at any moment, and nothing else is") {
  TempFolder dir;
  dir.write("b", "kept");
  OutputFile open(dir.file("a"));
  {
    OutputFile gone(dir.file("c")), done(dir.file("d"));
    done.commit();
  }
  CHECK(files_in(dir.path()) == 3);                    // b, d and what belongs to a
  remove_temporaries();
  CHECK(files_in(dir.path()) == 2);
  CHECK(read_file(dir.file("b")) == "kept");
}

TEST_CASE("a spool file has no name at any moment, where the file system has such files") {
  TempFolder dir;
  const int able = ::open(dir.path().c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), watch = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (able < 0 || ::inotify_add_watch(watch, dir.path().c_str(), IN_CREATE) < 0) {
    WARN("skipped: no files without a name here, or no inotify");
  } else {
    SpoolFile spool(dir.file("x"));
    char event[1024];
    CHECK(::read(watch, event, sizeof event) < 0);
    dir.write("named", "");                            // the control: this is seen
    CHECK(::read(watch, event, sizeof event) > 0);
  }
  ::close(able);
  ::close(watch);
}

TEST_CASE("a spool file reads back from anywhere, and leaves nothing") {
  TempFolder dir;
  {
    SpoolFile spool(dir.file("x"));
    std::string all;
    for (int i = 0; i < 20000; ++i) {
      std::string piece = std::to_string(i) + ",";
      spool.append(piece);
      all += piece;
    }
    char buffer[1000];
    std::string back;
    for (size_t n; (n = spool.read(back.size(), buffer, sizeof buffer)) > 0;) back.append(buffer, n);
    CHECK(back == all);
    CHECK(spool.read(all.size(), buffer, sizeof buffer) == 0);
    CHECK(spool.read(all.size() + 7, buffer, sizeof buffer) == 0);
    CHECK(files_in(dir.path()) == 0);
  }
}
