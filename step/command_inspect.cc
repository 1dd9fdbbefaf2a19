// `ibid verify` and `ibid show`: what a bundle holds, proved, without model or device.
#include <cstdio>

#include "step/archived.h"
#include "step/canon.h"
#include "step/commands.h"
#include "step/html.h"
#include "step/leaves.h"
#include "step/outputs.h"
#include "step/record_check.h"
#include "step/session.h"

namespace ibid::step {
namespace {

void print_ids(const Bundle& b) {
  const BundleIds& ids = b.ids();
  std::printf("bundle  %s\nstep    %s\nresult  %s\nconfig  %s\ninput   %s\nmodel   %s\nrecords %llu", ids.bundle_id.c_str(),
              ids.step_id.c_str(), ids.result_digest.c_str(), ids.config_id.c_str(), ids.input_digest.c_str(),
              b.config().at("model").at("digest").as_string().c_str(), static_cast<unsigned long long>(ids.records));
  for (const auto& [status, count] : b.statuses()) std::printf(", %llu %s", static_cast<unsigned long long>(count), status.c_str());
  std::printf("\n");
  if (b.shard()) std::printf("part    %s\n", b.shard()->describe().c_str());
}

void print_block(const char* title, const std::string& text) { std::printf("--- %s\n%s\n", title, printable(text).c_str()); }

// Whether a step may leave a token without an alternative: its margin is 0 then (NUMERICS 11.8), which would look like the closest call.
bool leaves_one(const Json& config) {
  const DecodingSpec off;
  auto filters = [&](const char* key, double none) {
    const Json* decoding = config.find("decoding");
    const Json* set = decoding ? decoding->find(key) : nullptr;
    return set && set->is_number() && set->as_double() != none;
  };
  return filters("top_k", off.top_k) || filters("top_p", off.top_p) || filters("min_p", off.min_p);
}

void print_answer(const Json& answer, const std::string& title, bool zero_is_none) {
  const Json::Array &logprobs = answer.at("logprobs").items(), &margins = answer.at("margins").items();
  const Json* error = answer.find("error");
  if (error && logprobs.empty()) {
    std::printf("--- no answer, status %s: %s\n", answer.at("status").as_string().c_str(), printable(error->as_string()).c_str());
    return;
  }
  double sum = 0;
  std::optional<double> least;
  size_t chosen = 0;                                   // tokens that had an alternative
  for (size_t i = 0; i < logprobs.size(); ++i) {
    const double margin = margins[i].as_double();
    sum += logprobs[i].as_double();
    if (zero_is_none && margin == 0) continue;
    ++chosen;
    if (!least || margin < *least) least = margin;
  }
  print_block((title + ", status " + answer.at("status").as_string()).c_str(), answer.at("text").as_string());
  std::printf("--- %zu tokens, log-probability %.4f, ", logprobs.size(), sum);
  if (!least) std::printf("none had an alternative\n");
  else if (chosen == logprobs.size()) std::printf("smallest margin %.4f\n", *least);
  else std::printf("smallest margin %.4f among the %zu that had an alternative\n", *least, chosen);
  if (error) std::printf("--- error: %s\n", printable(error->as_string()).c_str());
}

int show_record(const Bundle& bundle, const std::string& id, bool as_json) {
  std::optional<Bundle::Found> found = bundle.find(id);
  if (!found) throw no_record(bundle, id);
  if (as_json) {
    std::printf("%s\n%s\n", found->record_leaf.c_str(), found->outcome_leaf.c_str());
    return kDone;
  }
  Json record = Json::parse(found->record_leaf, "record"), outcome = Json::parse(found->outcome_leaf, "outcome");
  require_leaves(record, outcome, bundle.path() + ": record " + std::to_string(found->number + 1));
  std::printf("record  %s (number %llu of %llu), proved against %s\n", printable(id).c_str(),
              static_cast<unsigned long long>(found->number + 1), static_cast<unsigned long long>(bundle.input_records()),
              bundle.ids().bundle_id.c_str());
  for (const Json& f : record.at("fields").items())
    std::printf("field   %s: %s\n", printable(f.items().at(0).as_string()).c_str(), printable(shown_field(f)).c_str());
  if (const Json* cut = record.find("truncated")) {
    const Json *kept = cut->find("kept_bytes"), *all = cut->find("total_bytes");
    if (kept && all) std::printf("cut     %s of %s bytes kept\n", printable(kept->dump()).c_str(), printable(all->dump()).c_str());
  }
  if (record.at("prompt").is_string())
    print_block(("prompt, " + std::to_string(record.at("prompt_ids").items().size()) + " tokens").c_str(), record.at("prompt").as_string());
  const Json::Array& answers = outcome.at("answers").items();
  const bool zero_is_none = leaves_one(bundle.config());
  for (size_t i = 0; i < answers.size(); ++i) print_answer(answers[i], answer_title(i, answers.size()), zero_is_none);
  return kDone;
}

// The rows that the run wrote, of records proved one by one.
void write_rows(const Bundle& bundle, const Args& args, OutputFile& out) {
  const Manifest manifest = Manifest::from_config(bundle.config(), bundle.side_files(), bundle.path());
  const ShownTokens shown(bundle.shard() ? bundle.token_texts() : "[]", bundle.path());
  RowWriter rows(out, manifest, bundle.shard() ? [&](int32_t id) { return shown.text(id, bundle.path()); } : token_texts(manifest, args));
  RecordCheck check(manifest, bundle.first() == 0);
  BundleCursor cursor(bundle);
  for (uint64_t n = bundle.first(); n < bundle.end(); ++n) {
    if (n % 256 == 0) stop_if_interrupted();
    const ProvedRecord r = cursor.at(n);
    check.check(r, bundle.path());
    const std::string where = bundle.path() + ": record " + std::to_string(n + 1);
    rows.write(record_of(r.record, r.outcome, n, where), answers_of(r.outcome, where));
  }
}

// What --rows and --html write.
int write_whole(const Bundle& bundle, const Args& args, const std::string& flag) {
  require_unread(flag, *args.get(flag), {{bundle.path(), "the bundle"}});
  OutputFile out(*args.get(flag));
  if (flag == "--rows") write_rows(bundle, args, out);
  else write_html(bundle, static_cast<uint64_t>(args.number("--limit", 1000, 1, INT64_MAX)), out);
  out.commit();
  return kDone;
}

std::vector<std::string> damage_of(const Bundle& bundle) {
  std::optional<RecordCheck> check;
  std::string foreign;
  try {
    check.emplace(Manifest::from_config(bundle.config(), bundle.side_files(), bundle.path()), bundle.first() == 0);
  } catch (const Error& e) {
    if (e.kind == ErrorKind::io) throw;
    foreign = std::string("the configuration is none that ibid writes: ") + e.what();
  }
  std::vector<std::string> damage = bundle.verify([&](const ProvedRecord& r) { if (check) check->check(r, bundle.path()); });
  if (damage.empty() && !check) damage.push_back(foreign);
  return damage;
}

// What --expect names, as ids are written: registries, sha256sum and people write digests without "sha256:", or in capitals.
std::optional<std::string> expected_id(const Args& args) {
  std::optional<std::string> given = args.get("--expect");
  if (!given) return std::nullopt;
  std::string id = lower_case(*given);
  if (id.find(':') == std::string::npos) id = "sha256:" + id;
  if (is_digest_text(id)) return id;
  throw Error(ErrorKind::usage, "--expect", "'" + *given + "' is not a digest",
              given->empty() ? "is a variable empty?" : "a bundle id is sha256: and 64 hexadecimal digits; 'ibid verify BUNDLE' prints it");
}

// A sound bundle is still the wrong one when it is not the one that was asked for.
void require_id(const Bundle& bundle, const std::string& expected) {
  const BundleIds& ids = bundle.ids();
  if (expected == ids.bundle_id) return;
  const std::string model = bundle.config().at("model").at("digest").as_string();
  for (const auto& [name, id] : {std::pair{"step id", ids.step_id}, {"result digest", ids.result_digest}, {"config id", ids.config_id},
                                 {"input digest", ids.input_digest}, {"model digest", model}})
    if (expected == id)
      throw Error(ErrorKind::corrupt, bundle.path(),
                  std::string("a sound bundle, but ") + expected + " is its " + name + "; its bundle id is " + ids.bundle_id,
                  "--expect takes a bundle id");
  throw Error(ErrorKind::corrupt, bundle.path(),
              "a sound bundle, but another one\n  expected " + expected + "\n  found    " + ids.bundle_id);
}

void require_sound(const Bundle& bundle) {
  const std::vector<std::string> damage = damage_of(bundle);
  if (damage.empty()) return;
  std::string all = std::to_string(damage.size()) + " part" + (damage.size() == 1 ? "" : "s") + " of the bundle " +
                    (damage.size() == 1 ? "is" : "are") + " damaged";
  for (const std::string& d : damage) all += "\n  " + d;
  throw Error(ErrorKind::corrupt, bundle.path(), all, "compare the file with its source, or fetch it again");
}

}  // namespace

// Of several bundles each is checked, whatever the others are, and the exit code is that of the first that fails.
int command_verify(const Args& args) {
  const std::vector<std::string>& paths = args.operands();
  const std::optional<std::string> expected = expected_id(args);
  if (expected && paths.size() > 1)
    throw Error(ErrorKind::usage, "--expect", "is the id of one bundle, but " + std::to_string(paths.size()) + " are named");
  int code = kDone;
  for (const std::string& path : paths) {
    try {
      const Bundle bundle(path);
      require_sound(bundle);
      if (expected) require_id(bundle, *expected);
      std::printf("sound%s\n", paths.size() > 1 ? printable("   " + path).c_str() : "");
      print_ids(bundle);
    } catch (const Error& e) {
      if (paths.size() == 1 || interrupted()) throw;
      print_error(e);
      if (code == kDone) code = exit_code(e.kind);
    }
  }
  return code;
}

int command_show(const Args& args) {
  if (args.has("--limit") && !args.has("--html"))
    throw Error(ErrorKind::usage, "--limit", "says how many records the page of --html shows");
  Bundle bundle(args.operands()[0]);
  const char* whole = args.has("--rows") ? "--rows" : args.has("--html") ? "--html" : nullptr;
  if (whole && args.operands().size() > 1)
    throw Error(ErrorKind::usage, whole, "writes what the whole bundle holds; it does not go with a RECORD");
  if (args.has("--rows") && (args.has("--html") || args.has("--json")))
    throw Error(ErrorKind::usage, "--rows", "does not go with --html or --json", "one at a time");
  if (args.has("--html") && args.has("--json")) throw Error(ErrorKind::usage, "--json", "does not go with --html", "one at a time");
  if (args.has("--model") && !args.has("--rows")) throw Error(ErrorKind::usage, "--model", "is for the log-probabilities of --rows");
  if (args.operands().size() > 1) return show_record(bundle, args.operands()[1], args.has("--json"));
  if (whole) return write_whole(bundle, args, whole);
  if (args.has("--json")) {
    std::printf("%s\n", canonical(bundle.config()).c_str());
    return kDone;
  }
  print_ids(bundle);
  std::printf("--- the step as written, which no id covers (--json prints the configuration that they cover)\n%s",
              printable(bundle.step_text()).c_str());
  const std::string changed = changed_from_written(bundle);
  if (!changed.empty()) std::printf("--- %s", printable(changed).c_str());
  return kDone;
}

}  // namespace ibid::step
