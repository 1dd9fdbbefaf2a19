// `ibid diff`: why two steps, or two bundles, differ; the cause before its consequences.
#include <cstdio>

#include "step/bundle.h"
#include "step/canon.h"
#include "step/commands.h"
#include "step/comparison.h"
#include "step/manifest.h"

namespace ibid::step {
namespace {

bool is_tar(const std::string& path) {
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
    std::printf("config  %s\n", line.c_str());
  });
  return lines;
}

uint64_t diff_records(const Bundle& a, const Bundle& b, uint64_t limit) {
  if (a.first() != b.first()) throw Error(ErrorKind::incomparable, b.path(), "begins at another record than " + a.path(), "compare whole bundles, or the same shard of two runs");
  BundleCursor left(a), right(b);
  uint64_t differing = 0;
  for (uint64_t n = a.first(); n < std::min(a.end(), b.end()); ++n) {
    ProvedRecord ra = left.at(n), rb = right.at(n);
    if (ra.record_text == rb.record_text && ra.outcome_text == rb.outcome_text) continue;
    if (++differing > limit) continue;
    std::string head = "record  " + std::to_string(n + 1) + " (" + ra.id + ")";
    if (ra.record_text != rb.record_text) list_differences(ra.record, rb.record, "", [&](const std::string& line) { std::printf("%s: %s\n", head.c_str(), line.substr(0, 400).c_str()); });
    else std::printf("%s: %s\n", head.c_str(), first_difference(ra.outcome, rb.outcome, "A", "B", [](int32_t) { return std::string(); }).c_str());
  }
  if (a.ids().records != b.ids().records)
    std::printf("records %llu in A, %llu in B\n", static_cast<unsigned long long>(a.ids().records), static_cast<unsigned long long>(b.ids().records));
  if (differing) std::printf("records %llu differ\n", static_cast<unsigned long long>(differing));
  return differing + (a.ids().records != b.ids().records);
}

}  // namespace

int command_diff(const Args& args) {
  const std::string &a = args.operands()[0], &b = args.operands()[1];
  bool tar_a = is_tar(a), tar_b = is_tar(b);
  if (tar_a != tar_b) throw Error(ErrorKind::usage, "ibid diff", "one is a bundle, the other is not", "compare two bundles, or two steps");
  uint64_t differences = 0;
  if (tar_a) {
    Bundle left(a), right(b);
    differences = diff_configs(left.config(), right.config());
    differences += diff_records(left, right, static_cast<uint64_t>(args.number("--limit", 10, 1, INT64_MAX)));
  } else {
    differences = diff_configs(effective_config(read_manifest(a)), effective_config(read_manifest(b)));
  }
  if (differences == 0) std::printf("the same\n");
  return differences == 0 ? kDone : kDiffers;
}

}  // namespace ibid::step
