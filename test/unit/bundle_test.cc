// The bundle: what is written is sound, one record is proved without the rest, memory stays bounded, and every kind of damage
// is found and named.
#include "step/bundle.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <thread>

#include "runtime/error.h"
#include "step/archived.h"
#include "step/bytes.h"
#include "step/canon.h"
#include "step/leaves.h"
#include "step/rows.h"
#include "test/catch.h"

using namespace ibid;
using namespace ibid::step;
namespace fs = std::filesystem;

namespace {

// AddressSanitizer holds back what is freed, so that nothing can be said of memory.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepsFreed = true;
#elif defined(__has_feature)
constexpr bool kKeepsFreed = __has_feature(address_sanitizer);
#else
constexpr bool kKeepsFreed = false;
#endif

struct Scratch {
  std::string path = (fs::temp_directory_path() / ("ibid-bundle-test-" + std::to_string(::getpid()))).string();
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
  std::string operator/(const std::string& name) const { return path + "/" + name; }
};

Json config_with(const std::string& file_digest) {
  return Json::parse(R"({"model":{"digest":"sha256:)" + std::string(64, 'a') + R"("},"prompt":{"files":{"criteria":{"digest":")" +
                         file_digest + R"("}}}})",
                     "test");
}

BundleIds write_bundle(const std::string& path, uint64_t records, const std::string& answer = "yes") {
  OutputFile out(path);
  BundleHead head;
  head.files["criteria"] = "be strict\n";
  head.config = config_with(digest_of("be strict\n"));
  head.step_text = "ibid: 1\n";
  BundleWriter writer(&out, head);
  for (uint64_t i = 0; i < records; ++i) {
    std::string id = "r" + std::to_string(i), fields = R"([["text","string","value )" + std::to_string(i * 7) + R"("]])";
    AnswerRecord a{i % 10 == 9 ? "truncated" : "ok", answer + std::to_string(i), {}, ""};
    writer.add(id, fields, record_leaf(id, fields, "prompt " + id, {1, 2, 3}, Json()), outcome_leaf(id, {a}, false), a.status);
  }
  BundleIds ids = writer.finish();
  out.commit();
  return ids;
}

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

double seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

void spit(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

// What read says of damage, "" when it throws nothing.
template <class Read>
std::string damage(Read read) {
  try {
    read();
  } catch (const Error& e) {
    CHECK(e.kind == ErrorKind::corrupt);
    return e.what();
  }
  return "";
}

// What opening and verifying say, "" when the bundle is sound.
std::string verdict(const std::string& path) {
  std::string all;
  const std::string thrown = damage([&] {
    for (const std::string& line : Bundle(path).verify()) all += line + "\n";
  });
  return all + thrown;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

// The same entries with one of them changed, through the same tar writer.
template <class Change>
void rewrite(const std::string& from, const std::string& to, Change change) {
  TarFile tar(from);
  std::vector<std::pair<std::string, std::string>> entries;
  for (const TarEntry& e : tar.entries()) entries.emplace_back(e.name, tar.read(e, 0, e.size));
  change(entries);
  OutputFile out(to);
  TarWriter writer(out);
  for (const auto& [name, bytes] : entries) writer.add(name, bytes);
  writer.finish();
  out.commit();
}

// A header of GNU tar. size: the field of what is stored; real_size: the field of what a sparse file claims to be.
std::string tar_header(const std::string& name, char type, const std::string& size, const std::string& real_size = "") {
  std::string head(512, '\0');
  head.replace(0, name.size(), name).replace(100, 7, "0000644").replace(124, size.size(), size).replace(148, 8, "        ")
      .replace(156, 1, 1, type);
  head.replace(257, 7, "ustar  ").replace(483, real_size.size(), real_size);
  unsigned sum = 0;
  for (char c : head) sum += static_cast<unsigned char>(c);
  char octal[8];
  std::snprintf(octal, sizeof octal, "%06o", sum);
  return head.replace(148, 7, octal, 7);
}

}  // namespace

TEST_CASE("a bundle is sound, its ids do not depend on where it is written, and it reads back") {
  Scratch dir;
  BundleIds a = write_bundle(dir / "a.tar", 20000), b = write_bundle(dir / "b.tar", 20000);
  CHECK(slurp(dir / "a.tar") == slurp(dir / "b.tar"));
  CHECK(a.bundle_id == b.bundle_id);
  CHECK(verdict(dir / "a.tar") == "");
  Bundle bundle(dir / "a.tar");
  CHECK(bundle.ids().bundle_id == a.bundle_id);
  CHECK(bundle.ids().result_digest == a.result_digest);
  CHECK(bundle.segment_count() == 3);
  CHECK(bundle.statuses() == std::map<std::string, uint64_t>{{"ok", 18000}, {"truncated", 2000}});
  CHECK(bundle.side_files() == std::map<std::string, std::string>{{"criteria", "be strict\n"}});
  for (const char* id : {"r0", "r8191", "r8192", "r19999"}) {
    std::optional<Bundle::Found> found = bundle.find(id);
    REQUIRE(found);
    CHECK("r" + std::to_string(found->number) == id);
    CHECK(leaf_id(Json::parse(found->outcome_leaf, "t"), "t") == id);
  }
  CHECK_FALSE(bundle.find("r20000"));
  CHECK(write_bundle(dir / "c.tar", 20000, "no").result_digest != a.result_digest);
  CHECK(write_bundle(dir / "c.tar", 20000, "no").step_id == a.step_id);
  CHECK(write_bundle(dir / "d.tar", 0).records == 0);
  CHECK(verdict(dir / "d.tar") == "");
}

TEST_CASE("an archive that is given up, in the middle of an entry or on a full disk, completes nothing and frees its memory") {
  Scratch dir;
  const auto give_up = [&](const std::string& path, uint64_t size) {
    OutputFile out(path);
    TarWriter writer(out);
    writer.begin("entry", size + 100000);
    try {
      for (uint64_t i = 0; i < size; i += 100) writer.data(std::string(100, 'x'));
    } catch (const Error& e) {
      CHECK(e.kind == ErrorKind::io);
      return false;
    }
    return true;
  };
  CHECK(give_up(dir / "a.tar", 200000));
  CHECK_FALSE(give_up("/dev/full", 200000));
  CHECK_FALSE(fs::exists(dir / "a.tar"));
  const size_t before = mallinfo2().uordblks;
  for (int i = 0; i < 100; ++i) {
    give_up(dir / "a.tar", 1000);
    give_up("/dev/full", 200000);
  }
  CHECK(mallinfo2().uordblks < before + 100000);       // the buffer alone has 10240 bytes
  // In a pipe one would see it: the rest of the entry is more than OutputFile holds back.
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  const int reader = open((dir / "pipe").c_str(), O_RDONLY | O_NONBLOCK);
  REQUIRE(fcntl(reader, F_SETPIPE_SZ, 1 << 20) > 0);
  CHECK(give_up(dir / "pipe", 1000));
  char piece[1];
  CHECK(read(reader, piece, 1) == 0);
  close(reader);
}

TEST_CASE("without a file the same ids come out") {
  Scratch dir;
  BundleIds with = write_bundle(dir / "a.tar", 9000);
  BundleHead head;
  head.config = config_with(digest_of("be strict\n"));
  BundleWriter none(nullptr, head);
  for (uint64_t i = 0; i < 9000; ++i) {
    std::string id = "r" + std::to_string(i), fields = R"([["text","string","value )" + std::to_string(i * 7) + R"("]])";
    AnswerRecord a{i % 10 == 9 ? "truncated" : "ok", "yes" + std::to_string(i), {}, ""};
    none.add(id, fields, record_leaf(id, fields, "prompt " + id, {1, 2, 3}, Json()), outcome_leaf(id, {a}, false), a.status);
  }
  CHECK(none.finish().bundle_id == with.bundle_id);
}

TEST_CASE("a flipped byte in any blob is found, and the blob is named") {
  Scratch dir;
  write_bundle(dir / "a.tar", 50);
  std::string good = slurp(dir / "a.tar");
  std::vector<TarEntry> entries = TarFile(dir / "a.tar").entries();
  CHECK(entries.size() == 8);                          // 2 segments, side file, step, config, manifest, index, layout
  for (const TarEntry& e : entries)
    for (uint64_t at : {uint64_t{0}, e.size / 3, e.size / 2, e.size - 1}) {
      std::string bad = good;
      bad[e.offset + at] = static_cast<char>(bad[e.offset + at] ^ 1);
      spit(dir / "bad.tar", bad);
      std::string said = verdict(dir / "bad.tar");
      INFO(e.name << " at " << at << ": " << said);
      CHECK(said != "");
      // index.json is damaged in meaning only; a blob is named by its digest.
      if (e.name == "oci-layout") CHECK(said.find(e.name) != std::string::npos);
      if (e.name.rfind("blobs/", 0) == 0) CHECK(said.find(e.name.substr(13, 20)) != std::string::npos);
    }
}

TEST_CASE("removed, added, swapped and renamed blobs are found and named") {
  Scratch dir;
  write_bundle(dir / "a.tar", 9000);
  size_t blobs = TarFile(dir / "a.tar").entries().size();
  for (size_t i = 0; i < blobs; ++i) {
    std::string name;
    rewrite(dir / "a.tar", dir / "bad.tar", [&](auto& entries) {
      name = entries[i].first;
      entries.erase(entries.begin() + static_cast<long>(i));
    });
    std::string said = verdict(dir / "bad.tar");
    INFO(name << ": " << said);
    CHECK(said.find(name) != std::string::npos);
  }
  rewrite(dir / "a.tar", dir / "bad.tar",
          [&](auto& entries) { entries.insert(entries.begin() + 2, {"blobs/sha256/" + sha256_hex("extra"), "extra"}); });
  CHECK(verdict(dir / "bad.tar") == "an entry that the manifest does not name: blobs/sha256/" + sha256_hex("extra") + "\n");
  rewrite(dir / "a.tar", dir / "bad.tar", [&](auto& entries) { std::swap(entries[0].second, entries[2].second); });
  CHECK(verdict(dir / "bad.tar").find("records segment 0") != std::string::npos);
  CHECK(verdict(dir / "bad.tar").find("records segment 1") != std::string::npos);
  rewrite(dir / "a.tar", dir / "same.tar", [](auto&) {});
  CHECK(slurp(dir / "same.tar") == slurp(dir / "a.tar"));   // the control: rewriting alone changes nothing
}

TEST_CASE("a tar cut at any place, or with something behind its end, is refused") {
  Scratch dir;
  write_bundle(dir / "a.tar", 20);
  std::string good = slurp(dir / "a.tar");
  for (size_t n = 0; n < good.size(); n += 97) {
    spit(dir / "cut.tar", good.substr(0, n));
    INFO(n);
    CHECK(verdict(dir / "cut.tar") != "");
  }
  spit(dir / "long.tar", good + std::string(512, '\0') + "x");
  CHECK(verdict(dir / "long.tar").find("after the end") != std::string::npos);
}

TEST_CASE("an index or manifest with other keys or types than ibid's is refused, though every digest holds") {
  Scratch dir;
  write_bundle(dir / "a.tar", 3);
  const auto with_index = [&](const std::string& from, const std::string& to) {
    rewrite(dir / "a.tar", dir / "bad.tar", [&](auto& entries) {
      for (auto& [name, bytes] : entries)
        if (name == "index.json") bytes = replaced(bytes, from, to);
    });
    return verdict(dir / "bad.tar");
  };
  const auto descriptor = [](const std::string& bytes) {
    return "\"digest\":\"sha256:" + sha256_hex(bytes) +
           "\",\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\"size\":" + std::to_string(bytes.size());
  };
  const auto with_manifest = [&](const std::string& from, const std::string& to) {
    rewrite(dir / "a.tar", dir / "bad.tar", [&](auto& entries) {
      std::string *index = nullptr, was, is;
      for (auto& [name, bytes] : entries) {
        if (name == "index.json") index = &bytes;
        if (bytes.find("\"layers\":[") == std::string::npos) continue;
        was = descriptor(bytes);
        bytes = replaced(bytes, from, to);
        name = "blobs/sha256/" + sha256_hex(bytes);
        is = descriptor(bytes);
      }
      *index = replaced(*index, was, is);
    });
    return verdict(dir / "bad.tar");
  };
  const std::string version = "\"schemaVersion\":2";
  CHECK(with_index(version, version + " ") == "");                          // the controls
  CHECK(with_manifest(version, version + " ") == "");
  CHECK(with_index(version, "\"annotations\":{\"a\":\"b\"}," + version) == "");
  CHECK(with_manifest("{", "{\"annotations\":{\"a\":\"b\"},") == "");
  CHECK(with_index(version, version + ",\"subject\":1").find("index.json is damaged") != std::string::npos);
  CHECK(with_index(version, "\"schemaVersion\":3").find("index.json is damaged") != std::string::npos);
  for (const auto& [from, to] : {std::pair(version, version + ",\"subject\":1"), {version, std::string("\"schemaVersion\":3")},
                                 {std::string("config.v1+json"), std::string("config.v2+json")}})
    CHECK(with_manifest(from, to).find("its OCI manifest is not one that ibid writes") != std::string::npos);
}

TEST_CASE("entries that lie in each other are refused, and folders that lead out") {
  Scratch dir;
  write_bundle(dir / "a.tar", 3);
  const std::string good = slurp(dir / "a.tar");
  const auto with_entry = [&](const std::string& header) {
    spit(dir / "bad.tar", header + good);
    return verdict(dir / "bad.tar");
  };
  // 512 bytes, none of them stored
  CHECK(with_entry(tar_header("x", 'S', "00000000000", "00000001000")).find("a header that ibid does not write") != std::string::npos);
  CHECK(with_entry(tar_header("blobs/../../etc/", '5', "00000000000")).find("leads out of the tar") != std::string::npos);
  CHECK(with_entry(tar_header("/etc/", '5', "00000000000")).find("leads out of the tar") != std::string::npos);
  CHECK(with_entry(tar_header("x", '1', "00000000000")) == "entry x is not a regular file");
  CHECK(with_entry(tar_header("blobs/", '5', "00000000000") + tar_header("blobs/", '5', "00000000000")) == "entry blobs/ stands twice");
  CHECK(with_entry(tar_header("blobs/", '5', "00000000000")) == "");      // the control
  rewrite(dir / "a.tar", dir / "twice.tar", [](auto& entries) { entries.push_back(entries.front()); });
  CHECK(verdict(dir / "twice.tar").ends_with(" stands twice"));
}

TEST_CASE("an entry of 8 GiB has a pax header") {
  Scratch dir;
  constexpr uint64_t kSize = uint64_t{1} << 33;
  OutputFile out(dir / "big.tar");
  TarWriter writer(out);
  writer.begin("big", kSize);
  writer.data(std::string(1 << 16, 'b'));
  out.commit();
  const std::string head = slurp(dir / "big.tar").substr(0, 1536);
  CHECK(head[156] == 'x');
  CHECK(head.substr(1024, 4) == std::string("big\0", 4));
  std::signal(SIGXFSZ, SIG_IGN);
  std::error_code no_room;
  fs::resize_file(dir / "big.tar", 1536 + kSize + 1024, no_room);          // of which the disk holds what was written
  if (no_room) {
    WARN("skipped: a file of 8 GiB, which cannot be made here: " << no_room.message());
    return;
  }
  const TarFile tar(dir / "big.tar");
  REQUIRE(tar.entries().size() == 1);
  CHECK(tar.entries()[0].size == kSize);
  CHECK(tar.read(tar.entries()[0], 0, 3) == "bbb");
  CHECK(tar.read(tar.entries()[0], kSize - 1, 1) == std::string(1, '\0'));
  for (const auto& [from, size] : {std::pair(kSize, uint64_t{1}), {kSize + 1, uint64_t{0}}, {uint64_t{0}, kSize + 1},
                                   {uint64_t{1}, UINT64_MAX}})
    CHECK(damage([&, from = from, size = size] { (void)tar.read(tar.entries()[0], from, size); }) ==
          "big is shorter than its own table says");
}

TEST_CASE("a smaller entry that has a pax header is refused") {
  Scratch dir;
  write_bundle(dir / "a.tar", 3);
  const std::string pax = "12 size=512\n";
  spit(dir / "small.tar", tar_header("pax", 'x', "00000000014") + pax + std::string(512 - pax.size(), '\0') +
                              tar_header("small", '0', "00000000000") + std::string(512, 's') + slurp(dir / "a.tar"));
  CHECK(verdict(dir / "small.tar").find("entry small has a header that ibid does not write") != std::string::npos);
}

TEST_CASE("leaves hold what ibid writes and nothing else") {
  auto answer = [](const std::string& ids, const std::string& logprobs, const std::string& margins, const std::string& top) {
    return damage([&] {
      (void)answer_of(Json::parse(R"({"status":"ok","text":"x","ids":)" + ids + ",\"logprobs\":" + logprobs + ",\"margins\":" + margins +
                                  ",\"top\":" + top + "}", "t"), "t");
    });
  };
  CHECK(answer("[0]", "[-0.5]", "[1]", "[[[7,-0.5]]]") == "");
  CHECK(answer("[-1]", "[-0.5]", "[1]", "[[]]") == "a token id that is none");
  CHECK(answer("[2147483648]", "[-0.5]", "[1]", "[[]]") == "a token id that is none");
  for (const char* number : {"-0.50", "-5e-1", "1e99", "0.1000000000000000055", "null"})
    CHECK(answer("[0]", std::string("[") + number + "]", "[1]", "[[]]") == "a number that ibid does not write");
  CHECK(answer("[0]", "[-0.5]", "[1]", "[]") == "an answer whose lists differ in length");
  CHECK(answer("[0]", "[-0.5]", "[1]", "[[],[]]") == "an answer whose lists differ in length");
  CHECK(answer("[0]", "[-0.5]", "[1]", "[[[7]]]") == "an alternative that is not [id, log-probability]");
  auto record = [](const std::string& prompt, const std::string& ids) {
    const Json leaf = Json::parse(R"({"id":"a","fields":[["n","null",""]],"prompt":)" + prompt + ",\"prompt_ids\":" + ids + "}", "t");
    return damage([&] { require_leaves(leaf, Json::parse(outcome_leaf("a", {{"ok", "", {}, ""}}, false), "t"), "t"); });
  };
  CHECK(record("null", "null") == "");
  CHECK(record("\"x\"", "[1]") == "");
  CHECK(record("null", "[1]") == "a leaf with something else where a text belongs");
  CHECK(record("\"x\"", "null") == "prompt_ids is not a list");
  CHECK(record("\"x\"", "[-1]") == "a token id that is none");
  CHECK(shown_field(Json::parse(R"(["n","null",""])", "t")) == "null");
  CHECK(shown_field(Json::parse(R"(["n","string",""])", "t")) == "");
}

TEST_CASE("token texts are pairs of a token and a text") {
  auto read = [](const std::string& json) { return damage([&] { (void)ShownTokens(json, "t"); }); };
  CHECK(read(R"([[2147483647,"x"],[0,""]])") == "");
  CHECK(ShownTokens(R"([[2147483647,"x"],[0,""]])", "t").text(2147483647, "t") == "x");
  for (const char* bad : {R"([[2147483648,"x"]])", R"([[-1,"x"]])", R"([[1,"x",2]])"})
    CHECK(read(bad) == "damaged token texts: an entry that is not [id, text]");
}

TEST_CASE("a sparse entry that claims more than a file can hold is damage") {
  Scratch dir;
  write_bundle(dir / "a.tar", 3);
  spit(dir / "sparse.tar",
       tar_header("x", 'S', std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xfd", 11), "00000000000") + slurp(dir / "a.tar"));
  CHECK(verdict(dir / "sparse.tar").find("a header that ibid does not write") != std::string::npos);
}

TEST_CASE("what cannot be read is not damage") {
  Scratch dir;
  write_bundle(dir / "b", 30);
  Bundle bundle(dir / "b");
  fs::resize_file(dir / "b", 700);
  try {
    (void)bundle.verify();
    FAIL("nothing was said");
  } catch (const Error& e) {
    CHECK(e.kind == ErrorKind::io);
  }
}

TEST_CASE("a model's file that grows while it is embedded is no bug") {
  Scratch dir;
  spit(dir / "model", std::string(16 << 20, 'm'));
  std::atomic<bool> done = false;
  std::thread grows([&] {
    for (std::ofstream file(dir / "model", std::ios::binary | std::ios::app); !done;
         std::this_thread::sleep_for(std::chrono::microseconds(100)))
      file << 'm' << std::flush;
  });
  std::vector<ErrorKind> kinds;
  for (int i = 0; i < 5; ++i) {
    try {
      OutputFile out(dir / "bundle");
      BundleHead head;
      head.config = config_with(digest_of("be strict\n"));
      head.model = {{"model", dir / "model"}};
      BundleWriter(&out, head).finish();
    } catch (const Error& e) {
      kinds.push_back(e.kind);
    }
  }
  done = true;
  grows.join();
  REQUIRE(fs::file_size(dir / "model") > (16u << 20));      // it did grow
  CHECK(kinds == std::vector<ErrorKind>(5, ErrorKind::io)); // the configuration names another digest, which is found at the end
}

TEST_CASE("a tar of many entries is no more work for each of them") {
  Scratch dir;
  constexpr int kMany = 20'000;
  OutputFile out(dir / "many.tar");
  TarWriter writer(out);
  for (int i = 0; i < kMany; ++i) writer.add("e" + std::to_string(i), "x");
  writer.finish();
  out.commit();
  TarFile tar(dir / "many.tar");
  const double before = seconds();
  size_t found = 0;
  for (int i = 0; i < 20 * kMany; ++i) found += tar.find("e" + std::to_string(kMany - 1 - i % 10))->size;
  CHECK(found == 20 * kMany);
  CHECK(seconds() - before < 5);                       // one after the other they are eight thousand million names
}

TEST_CASE("a consistent forgery has another id") {
  Scratch dir;
  BundleIds a = write_bundle(dir / "a.tar", 50), b = write_bundle(dir / "b.tar", 50, "forged");
  CHECK(verdict(dir / "b.tar") == "");
  CHECK(a.bundle_id != b.bundle_id);
}

TEST_CASE("200,000 records are bundled in bounded memory, and one of them is proved from a small part of the file") {
  Scratch dir;
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  write_bundle(dir / "big.tar", 200000);
  getrusage(RUSAGE_SELF, &after);
  if (!kKeepsFreed) CHECK((after.ru_maxrss - before.ru_maxrss) / 1024 < 32);   // MiB; the file has more than 50
  CHECK(fs::file_size(dir / "big.tar") > (50u << 20));
  Bundle bundle(dir / "big.tar");
  CHECK(bundle.segment_count() == 25);
  std::optional<Bundle::Found> found = bundle.find("r123456");
  REQUIRE(found);
  CHECK(found->number == 123456);
  CHECK(found->outcome_leaf == outcome_leaf("r123456", {{"ok", "yes123456", {}, ""}}, false));
}

// The digests of the blobs would find all of this; they are not taken for one record.
TEST_CASE("one record is proved by its own leaves, their digests and the root") {
  Scratch dir;
  write_bundle(dir / "a.tar", 50);
  const auto check = [&](const std::string& bytes, const std::string& says) {
    spit(dir / "bad.tar", bytes);
    const Bundle bundle(dir / "bad.tar");
    const std::string found = damage([&] { (void)bundle.find("r7"); }), proved = damage([&] { (void)BundleCursor(bundle).at(7); });
    INFO(found << " / " << proved);
    CHECK((found.empty() == says.empty() && found.find(says) != std::string::npos));
    CHECK((proved.empty() == says.empty() && proved.find(says) != std::string::npos));
  };
  const std::string good = slurp(dir / "a.tar"), leaf = outcome_leaf("r7", {{"ok", "yes7", {}, ""}}, false);
  const std::string forged = replaced(leaf, "yes7", "yes6");
  const auto digest = [](const std::string& of) { return std::string(bytes_of(leaf_digest("r7", of))); };
  check(good, "");                                     // the control
  check(replaced(good, "\"prompt r7\"", "\"prompt r6\""), "does not have the digest that its table commits to");
  check(replaced(good, leaf, forged), "does not have the digest that its table commits to");
  check(replaced(replaced(good, leaf, forged), digest(leaf), digest(forged)), "does not give the Merkle root");
}

TEST_CASE("a shard may say that an id stood in an earlier one, and holds none twice itself") {
  auto proved = [](uint64_t number, const std::string& name, const std::string& id, const std::string& problem) {
    ProvedRecord p;
    p.number = number;
    p.id = id;
    p.record = Json::Object{{"id", id}, {"fields", Json::Array{Json(Json::Array{"name", "string", name})}}, {"prompt", Json()},
                            {"prompt_ids", Json()}};
    p.outcome = Json::parse(
        outcome_leaf(id, {{problem.empty() ? "template_error" : "bad_record", "", {}, problem.empty() ? "x" : problem}}, false), "outcome");
    return p;
  };
  const InputSpec spec{InputFormat::jsonl, "name"};
  const std::string doubled = "the field 'name', which names the record, names an earlier record too: ";
  for (bool whole : {true, false}) {
    ArchivedRecords records(spec, whole);
    const uint64_t first = whole ? 0 : 8192;
    const std::string mark = "#" + std::to_string(first + 2);
    CHECK_FALSE(records.take(proved(first, "a", "a", ""), "a").problem);
    const Record again = records.take(proved(first + 1, "a", "a", ""), "answered twice");
    CHECK(again.problem == doubled + "a");
    CHECK(again.id == mark);
    const Record elsewhere = records.take(proved(first + 2, "b", "#" + std::to_string(first + 3), doubled + "b"), "of an earlier shard");
    CHECK(elsewhere.problem.has_value() == !whole);
  }
}
