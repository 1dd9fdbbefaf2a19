// `ibid diff`: why two steps, or two bundles, differ; the cause before its consequences.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <tuple>

#include "step/archived.h"
#include "step/commands.h"
#include "step/comparison.h"
#include "step/manifest.h"

namespace ibid::step {
namespace {

bool is_tar(const std::string& path) {
  std::error_code ignored;
  // A pipe is none: the bytes read here would be missing later, and a bundle is read at several places.
  if (std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored)) return false;
  ByteSource in = open_input(path);
  char head[512];
  size_t n = 0, got;
  while (n < sizeof head && (got = in(head + n, sizeof head - n)) > 0) n += got;
  return n == sizeof head && std::string_view(head + 257, 5) == "ustar";
}

uint64_t diff_configs(const Json& a, const Json& b) {
  uint64_t lines = 0;
  list_differences(a, b, "", [&](const std::string& line) {
    ++lines;
    std::printf("config  %s\n", printable(line).c_str());
  });
  return lines;
}

// How many differing records are listed, and which: all, or those with another status or text.
struct Listed {
  uint64_t limit;
  bool answers;
};

// Records that both bundles have and that differ: the first of them in detail, the others counted.
class Pairs {
 public:
  explicit Pairs(const Listed& listed) : listed_(listed) {}
  void add(const ProvedRecord& a, const ProvedRecord& b) {
    const bool answers = texts_of(a.outcome) != texts_of(b.outcome);
    ++count_;
    texts_ += answers;
    if ((answers || !listed_.answers) && printed_++ < listed_.limit) print(a, b);
  }
  uint64_t count() const { return count_; }
  void print_count() const {
    if (count_ == 0) return;
    std::printf("records %llu differ, %llu of them in the status or text of an answer%s\n", static_cast<unsigned long long>(count_),
                static_cast<unsigned long long>(texts_),
                texts_ > 0 && texts_ < count_ && listed_.limit > 0 && listed_.limit < count_ && !listed_.answers
                    ? " (--answers lists these alone)"
                    : "");
  }

 private:
  static std::string texts_of(const Json& outcome) {
    std::string texts;
    for (const Json& answer : outcome.at("answers").items()) texts += shown_of(answer);
    return texts;
  }
  static void print(const ProvedRecord& a, const ProvedRecord& b) {
    std::string head = "record  " + std::to_string(a.number + 1) + (a.number == b.number ? "" : ", in B " + std::to_string(b.number + 1)) +
                       " (" + a.id + "): ";
    auto line = [&](const std::string& what) { std::printf("%s\n", printable(head + what).c_str()); };
    if (a.record_text != b.record_text) list_record_differences(a.record, b.record, line);
    if (a.outcome_text != b.outcome_text) line(first_difference(a.outcome, b.outcome, "A", "B", [](int32_t) { return std::string(); }));
  }
  Listed listed_;
  uint64_t count_ = 0, texts_ = 0, printed_ = 0;
};

// What differs: of the records that both have, and besides.
struct Differences { uint64_t records = 0, besides = 0; };

Differences diff_by_place(const Bundle& a, const Bundle& b, const Listed& listed) {
  if (a.first() != b.first())
    throw Error(ErrorKind::incomparable, b.path(), "begins at another record than " + a.path(),
                "compare whole bundles, or the same shard of two runs");
  BundleCursor left(a), right(b);
  Pairs differing(listed);
  for (uint64_t n = a.first(); n < std::min(a.end(), b.end()); ++n) {
    if (n % 256 == 0) stop_if_interrupted();
    ProvedRecord ra = left.at(n), rb = right.at(n);
    if (ra.record_text != rb.record_text || ra.outcome_text != rb.outcome_text) differing.add(ra, rb);
  }
  if (a.ids().records != b.ids().records)
    std::printf("records %llu in A, %llu in B\n", static_cast<unsigned long long>(a.ids().records),
                static_cast<unsigned long long>(b.ids().records));
  differing.print_count();
  return {differing.count(), a.ids().records != b.ids().records};
}

// The records of a bundle by id: 40 bytes and a bit for each, so that an inserted record does not make all that follow it differ.
class ById {
 public:
  explicit ById(const Bundle& bundle) : first_(bundle.first()) {
    BundleCursor cursor(bundle);
    for (uint64_t n = first_; n < bundle.end(); ++n) {
      if (n % 256 == 0) stop_if_interrupted();
      ProvedRecord r = cursor.at(n);
      rows_.push_back({head_of(r.id), content_of(r), n});
    }
    std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) { return std::tie(a.id, a.number) < std::tie(b.id, b.number); });
    paired_.resize(rows_.size());
  }

  // Its number, and whether it is the same in everything but its place.
  struct Partner { uint64_t number; bool same; };
  std::optional<Partner> pair(const ProvedRecord& r) {
    const Head id = head_of(r.id);
    auto row = std::lower_bound(rows_.begin(), rows_.end(), id, [](const Row& one, const Head& head) { return one.id < head; });
    if (row == rows_.end() || row->id != id) return std::nullopt;
    paired_[row->number - first_] = true;
    return Partner{row->number, row->content == content_of(r)};
  }
  bool is_paired(uint64_t number) const { return paired_[number - first_]; }

 private:
  using Head = std::array<uint8_t, 16>;                // of a SHA-256
  struct Row { Head id, content; uint64_t number; };
  static Head head_of(const std::string& text) {
    const Digest digest = sha256(text);
    Head head;
    std::copy_n(digest.begin(), head.size(), head.begin());
    return head;
  }
  static Head content_of(const ProvedRecord& r) { return head_of(r.record_text + "\n" + r.outcome_text); }
  uint64_t first_;
  std::vector<Row> rows_;
  std::vector<bool> paired_;
};

// Records that only one bundle has: the first of them by name, then how many more.
class Alone {
 public:
  Alone(const char* bundle, uint64_t limit) : bundle_(bundle), limit_(limit) {}
  // name: asked for while it will be printed.
  template <class Name>
  void add(Name&& name) {
    if (++count_ <= limit_) names_ += (count_ > 1 ? ", " : "") + name();
  }
  uint64_t print() const {
    const std::string more =
        count_ <= limit_ ? "" : (names_.empty() ? "" : " and ") + std::to_string(count_ - limit_) + (names_.empty() ? "" : " more");
    if (count_) std::printf("only in %s: %s%s\n", bundle_, printable(names_).c_str(), more.c_str());
    return count_;
  }

 private:
  const char* bundle_;
  uint64_t limit_, count_ = 0;
  std::string names_;
};

Differences diff_by_id(const Bundle& a, const Bundle& b, const Listed& listed) {
  ById in_b(b);
  BundleCursor left(a), right(b);
  Alone only_a("A", listed.limit), only_b("B", listed.limit);
  Pairs differing(listed);
  uint64_t next = 0;
  bool in_order = true;
  for (uint64_t n = a.first(); n < a.end(); ++n) {
    if (n % 256 == 0) stop_if_interrupted();
    ProvedRecord r = left.at(n);
    std::optional<ById::Partner> partner = in_b.pair(r);
    if (!partner) {
      only_a.add([&] { return r.id; });
      continue;
    }
    in_order = in_order && partner->number >= next;
    next = partner->number + 1;
    if (!partner->same) differing.add(r, right.at(partner->number));
  }
  for (uint64_t n = b.first(); n < b.end(); ++n)
    if (!in_b.is_paired(n)) only_b.add([&] { return right.at(n).id; });
  differing.print_count();
  uint64_t alone = only_a.print();
  alone += only_b.print();
  if (!in_order) std::printf("the order differs: records that both have stand in another one\n");
  return {differing.count(), alone + !in_order};
}

void print_part(const char* name, const Bundle& bundle) {
  if (const std::optional<ShardPart>& s = bundle.shard())
    std::printf("part    %s is %s, %s\n", name, s->name().c_str(), s->range().c_str());
}

Differences diff_records(const Bundle& a, const Bundle& b, const Listed& listed) {
  if (a.first() != b.first() || a.end() != b.end()) {
    print_part("A", a);
    print_part("B", b);
  }
  return has_ids(a) && has_ids(b) ? diff_by_id(a, b, listed) : diff_by_place(a, b, listed);
}

uint64_t diff_bundles(const Bundle& a, const Bundle& b, const Listed& listed) {
  const uint64_t configs = diff_configs(a.config(), b.config());
  const Differences found = diff_records(a, b, listed);
  const bool one_step = a.ids().step_id == b.ids().step_id;
  if (one_step && found.records) std::printf("step    one step id with two results: one of them is wrong, and 'ibid rerun' says which\n");
  const uint64_t differences = configs + found.records + found.besides;
  if (differences || one_step) return differences;
  std::printf("input   the whole inputs differ, beyond the records that are here\n");   // of shards whose own records agree
  return 1;
}

}  // namespace

int command_diff(const Args& args) {
  const std::string &a = args.operands()[0], &b = args.operands()[1];
  bool tar_a = is_tar(a), tar_b = is_tar(b);
  if (tar_a != tar_b)
    throw Error(ErrorKind::usage, tar_a ? b : a, "is not a bundle, but " + (tar_a ? a : b) + " is", "compare two bundles, or two steps");
  if (!tar_a && args.has("--answers")) throw Error(ErrorKind::usage, "--answers", "steps have none", "compare two bundles");
  const Listed listed{static_cast<uint64_t>(args.number("--limit", 10, 0, INT64_MAX)), args.has("--answers")};
  uint64_t differences = 0;
  if (tar_a) {
    Bundle left(a), right(b);
    differences = diff_bundles(left, right, listed);
  } else {
    differences = diff_configs(effective_config(read_manifest(a)), effective_config(read_manifest(b)));
  }
  if (differences == 0) std::printf("the same\n");
  return differences == 0 ? kDone : kDiffers;
}

}  // namespace ibid::step
