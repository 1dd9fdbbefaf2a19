// `ibid rerun`: an archived step again, from the bundle and the weights alone, compared byte by byte.
//
// 1. Nothing but the bundle and the model is read: no manifest, no side file, no input, no cache.
// 2. Of the archived records only their fields are taken: ids, and that a record is bad, are found again (archived.h).
// 3. A subset (--records, --sample) is as good a proof as the whole for the records in it: no answer depends on another.
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <filesystem>
#include <set>

#include "step/archived.h"
#include "step/commands.h"
#include "step/comparison.h"
#include "step/rows.h"
#include "step/session.h"

namespace ibid::step {
namespace {

constexpr size_t kListedDifferences = 10;

// A folder for an embedded model until that is mapped: below TMPDIR, else where POSIX puts temporary files.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const char* base = std::getenv("TMPDIR");
    path_ = std::string(base && *base ? base : "/tmp") + "/ibid-model-XXXXXX";   // the X are mkdtemp's to fill
    if (!mkdtemp(path_.data()))
      throw Error(ErrorKind::cannot_create, path_, "cannot create a folder for the embedded model",
                  "set TMPDIR to a folder with room for it");
  }
  ~TemporaryFolder() { clear(); }
  void clear() const {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Walks the records of a bundle that are to be rerun, in order, and remembers what was archived for them.
class Archive {
 public:
  Archive(const Bundle& bundle, const InputSpec& spec, std::optional<std::set<uint64_t>> chosen)
      : bundle_(bundle), cursor_(bundle), chosen_(std::move(chosen)), records_(spec, !chosen_ && bundle.first() == 0),
        number_(bundle.first()) {}

  bool next(Record& record) {
    for (; number_ < bundle_.end(); ++number_) {
      if (chosen_ && !chosen_->count(number_)) continue;
      ProvedRecord proved = cursor_.at(number_);
      record = records_.take(proved, bundle_.path() + ": record " + std::to_string(number_ + 1));
      archived_.emplace_back(std::move(proved.record_text), std::move(proved.outcome_text));
      ++number_;
      return true;
    }
    return false;
  }

  std::pair<std::string, std::string> take() {         // leaves of the oldest record not yet taken
    auto front = std::move(archived_.front());
    archived_.pop_front();
    return front;
  }

 private:
  const Bundle& bundle_;
  BundleCursor cursor_;
  std::optional<std::set<uint64_t>> chosen_;
  ArchivedRecords records_;
  uint64_t number_;
  std::deque<std::pair<std::string, std::string>> archived_;
};

std::string trimmed(const std::string& text) {
  size_t begin = text.find_first_not_of(" \t\r\n"), end = text.find_last_not_of(" \t\r\n");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

// The records that --records names. An id may hold commas and blanks: the whole text is an id before it is a list, and blanks around a
// comma are the id's own before they are the list's.
std::set<uint64_t> named_records(const Bundle& bundle, const std::string& text) {
  std::optional<Bundle::Found> found = text.empty() ? std::nullopt : bundle.find(text);
  if (found) return {found->number};
  std::set<uint64_t> named;
  const std::string list = text + ",";
  for (size_t at = 0, comma; (comma = list.find(',', at)) != std::string::npos; at = comma + 1) {
    const std::string id = list.substr(at, comma - at), bare = trimmed(id);
    if (id.empty()) continue;
    found = bundle.find(id);
    if (!found && bare.empty()) continue;
    if (!found && bare != id) found = bundle.find(bare);
    if (!found) throw no_record(bundle, bare);
    named.insert(found->number);
  }
  // Nothing compared is nothing different: it would pass for a check.
  if (named.empty())
    throw Error(ErrorKind::usage, "--records", "names no record: is a variable empty?",
                "--records ID,ID,...; without it all records are compared");
  return named;
}

std::optional<std::set<uint64_t>> chosen_records(const Bundle& bundle, const Args& args) {
  if (args.has("--records") && args.has("--sample")) throw Error(ErrorKind::usage, "--sample", "does not go with --records");
  std::set<uint64_t> chosen;
  for (const std::string& list : args.all("--records")) chosen.merge(named_records(bundle, list));
  if (args.has("--records")) return chosen;
  if (!args.has("--sample")) return std::nullopt;
  auto k = static_cast<uint64_t>(args.number("--sample", 1, 1, INT64_MAX));
  if (k >= bundle.ids().records) return std::nullopt;
  // Ranks every record by a digest that nobody could steer when the bundle was made, and takes the first K.
  std::vector<std::pair<Digest, uint64_t>> ranks;
  for (uint64_t i = bundle.first(); i < bundle.end(); ++i)
    ranks.emplace_back(sha256("ibid sample v1\n" + bundle.ids().bundle_id + "\n" + std::to_string(i)), i);
  std::nth_element(ranks.begin(), ranks.begin() + static_cast<long>(k), ranks.end());
  for (uint64_t i = 0; i < k; ++i) chosen.insert(ranks[i].second);
  return chosen;
}

std::string describe_difference(const std::string& number_and_id, const std::pair<std::string, std::string>& archived, const Answered& now,
                                const Session& session, bool with_top) {
  std::string record = now.record_leaf_text();
  if (record != archived.first) {
    Json before = Json::parse(archived.first, number_and_id), after = Json::parse(record, number_and_id);
    std::string first;
    list_record_differences(before, after, [&](const std::string& line) { if (first.empty()) first = line; });
    return number_and_id + ": " + first;
  }
  auto text = [&](int32_t id) { return id >= 0 && id < session.tokenizer().size() ? std::string(session.tokenizer().token_text(id)) : ""; };
  return number_and_id + ": " +
         first_difference(Json::parse(archived.second, number_and_id), Json::parse(now.outcome_leaf_text(with_top), number_and_id),
                          "archived", "now", text);
}

std::string model_for(const Bundle& bundle, const Args& args, const std::string& digest, std::optional<TemporaryFolder>& extracted) {
  if (args.has("--model")) {
    try {
      return locate_model(*args.get("--model"), digest);
    } catch (const Error& e) {
      throw Error(e.kind == ErrorKind::not_found ? ErrorKind::incomparable : e.kind, e.where, e.what(), e.hint);
    }
  }
  if (bundle.has_model()) return bundle.extract_model(extracted.emplace().path());
  throw Error(ErrorKind::incomparable, bundle.path(), "the weights are not in the bundle, and --model is missing: " + digest,
              "name the model's file or folder, or a folder of models");
}

// One-sided 95 % bound of Clopper and Pearson on the share of differing records, when none of k differed.
std::string bound_text(uint64_t k) {
  char text[160];
  std::snprintf(text, sizeof text, "%llu of %llu equal: with 95 %% confidence at most %.3g %% of the records differ",
                static_cast<unsigned long long>(k), static_cast<unsigned long long>(k),
                -100 * std::expm1(std::log(0.05) / static_cast<double>(k)));
  return text;
}

// What a shard says of its tokens' texts becomes rows of a merge, and no id covers it.
void require_token_texts(const Bundle& bundle, const runtime::Tokenizer& tokenizer) {
  if (!bundle.shard()) return;
  const ShownTokens said(bundle.token_texts(), bundle.path());
  for (const auto& [id, text] : said.texts())
    if (id < 0 || id >= tokenizer.size() || text != shown_token(tokenizer.token_text(id)))
      throw Error(ErrorKind::corrupt, bundle.path(), "the text that it shows for token " + std::to_string(id) + " is not the model's");
}

// What came of a comparison: how much was compared, and how many records differ, the first of them in words.
struct Compared {
  uint64_t records = 0, tokens = 0, differing = 0;
  std::vector<std::string> differences;                // at most kListedDifferences
};

// Answers the archived records again and compares their leaves, byte by byte. The new leaves go into `digests`.
Compared compare_all(Session& session, Archive& archive, uint64_t expected, BundleWriter& digests) {
  const bool with_top = session.manifest().output.logprobs > 0;
  Compared all;
  Progress progress(expected);
  answer_all(session, {[&](Record& r) { return archive.next(r); }, [] { return false; }},
             [&](Answered&& a) {
               const std::pair<std::string, std::string> before = archive.take();
               const std::string record = a.record_leaf_text(), outcome = a.outcome_leaf_text(with_top);
               digests.add(a.record.id, a.fields_canonical(), record, outcome, a.status());
               all.tokens += a.answer_tokens();
               progress.update(++all.records, all.tokens);
               if (record == before.first && outcome == before.second) return;
               if (++all.differing <= kListedDifferences)
                 all.differences.push_back(describe_difference(
                     "record " + a.record.id + " (number " + std::to_string(a.record.index + 1) + ")", before, a, session, with_top));
             });
  return all;
}

// result: the digest of the new answers; "" when only some records were compared.
void print_comparison(const Bundle& bundle, const Compared& compared, const std::string& result) {
  std::printf("%s\nstep    %s\n", compared.differing == 0 ? "identical" : "differs", bundle.ids().step_id.c_str());
  if (bundle.shard()) std::printf("part    %s\n", bundle.shard()->name().c_str());
  if (!result.empty()) std::printf("result  %s\n", result.c_str());
  if (!result.empty() && compared.differing > 0) std::printf("archive %s\n", bundle.ids().result_digest.c_str());
  std::printf("records %llu of %llu compared, %llu differ\n", static_cast<unsigned long long>(compared.records),
              static_cast<unsigned long long>(bundle.ids().records), static_cast<unsigned long long>(compared.differing));
  for (const std::string& d : compared.differences) std::printf("%s\n", printable(d).c_str());
  if (const uint64_t more = compared.differing - compared.differences.size(); more > 0)
    std::printf("and %llu more\n", static_cast<unsigned long long>(more));
}

}  // namespace

int command_rerun(const Args& args) {
  Bundle bundle(args.operands()[0]);
  Manifest manifest = Manifest::from_config(bundle.config(), bundle.side_files(), bundle.path());
  std::optional<std::set<uint64_t>> chosen = chosen_records(bundle, args);
  std::optional<TemporaryFolder> extracted;
  const bool any_model = args.has("--other-model");
  Session session(manifest, model_for(bundle, args, manifest.model.digest, extracted), args,
                  any_model ? std::nullopt : std::optional(ErrorKind::incomparable), Loading::when_needed);
  // it is mapped: nothing of it stays, whatever ends this process (on NFS until its end)
  if (extracted) extracted->clear();
  std::string device = session.engine().device().describe();
  if (!any_model) require_token_texts(bundle, session.tokenizer());
  note("rerun of " + bundle.ids().step_id + " on " + device);

  Archive archive(bundle, manifest.input, chosen);
  BundleWriter digests(nullptr, {bundle.config(), {}, "", {}, bundle.shard()});
  const Compared compared = compare_all(session, archive, chosen ? chosen->size() : bundle.ids().records, digests);
  BundleIds ids = digests.finish();
  if (!chosen && compared.differing == 0)
    IBID_CHECK(ids.result_digest == bundle.ids().result_digest && ids.step_id == bundle.ids().step_id);
  print_comparison(bundle, compared, chosen ? "" : ids.result_digest);
  if (compared.differing == 0) {
    if (args.has("--sample") && chosen) std::printf("%s\n", bound_text(compared.records).c_str());
    return kDone;
  }
  std::printf("this machine: %s\n", device.c_str());
  if (any_model) std::printf("model   %s instead of %s\n", session.digest().found().c_str(), manifest.model.digest.c_str());
  else note("one step id with two results: 'ibid selftest' tests this machine, 'ibid verify' the bundle; please report it when both pass");
  return kDiffers;
}

}  // namespace ibid::step
