// Hostile bytes for everything that reads a file. One libFuzzer program:  fuzz --format=NAME CORPUS  (run.sh runs all of them).
//
// The rule: a reader takes what it is given or throws Error, of a kind that its callers expect. Anything else is a finding: another
// exception (a bad_alloc from a length in the file), IBID_CHECK, a sanitizer's report, more time or memory than run.sh allows; and
// a property below that does not hold. An input of several parts has them one behind another, with kCut between them.
// --plant=exception and --plant=overflow add a bug to the format "json": run.sh must find it, or it finds nothing.
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>

#include "runtime/error.h"
#include "runtime/gguf.h"
#include "runtime/model_files.h"
#include "runtime/template.h"
#include "runtime/tokenizer.h"
#include "runtime/weights.h"
#include "step/bundle.h"
#include "step/bundle_format.h"
#include "step/canon.h"
#include "step/commands.h"
#include "step/digest.h"
#include "step/manifest.h"
#include "step/records.h"
#include "step/yaml_tree.h"

namespace {

using namespace ibid;
using namespace ibid::runtime;
using namespace ibid::step;

constexpr std::string_view kCut = "\n%%%%\n";
std::string plant;

[[noreturn]] void finding(const std::string& what) {
  std::fprintf(stderr, "finding: %s\n", what.c_str());
  std::abort();
}
void require(bool holds, const char* property) { if (!holds) finding(std::string("does not hold: ") + property); }

std::vector<std::string_view> parts_of(std::string_view in) {
  std::vector<std::string_view> parts;
  for (size_t cut; (cut = in.find(kCut)) != in.npos; in.remove_prefix(cut + kCut.size())) parts.push_back(in.substr(0, cut));
  parts.push_back(in);
  return parts;
}

// A path under which a reader finds these bytes, until the next call for this place.
std::string as_file(std::string_view bytes, size_t place = 0) {
  static const int fds[] = {::memfd_create("input", MFD_CLOEXEC), ::memfd_create("input", MFD_CLOEXEC),
                            ::memfd_create("input", MFD_CLOEXEC)};
  const int fd = fds[place];
  if (fd < 0 || ::ftruncate(fd, 0) != 0 || ::pwrite(fd, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    finding("no scratch file");
  return "/proc/self/fd/" + std::to_string(fd);
}

// --- texts ---------------------------------------------------------------------------------------------------------------

bool same_tree(const YamlNode& a, const YamlNode& b) {
  if (a.kind != b.kind || (a.kind != YamlNode::Kind::null && a.text != b.text) || a.items.size() != b.items.size() ||
      a.entries.size() != b.entries.size())
    return false;
  for (size_t i = 0; i < a.items.size(); ++i)
    if (!same_tree(a.items[i], b.items[i])) return false;
  for (size_t i = 0; i < a.entries.size(); ++i)
    if (a.entries[i].key != b.entries[i].key || !same_tree(a.entries[i].value, b.entries[i].value)) return false;
  return true;
}

int depth_of(const Json& value) {
  int deepest = 0;
  if (value.is_array())
    for (const Json& item : value.items()) deepest = std::max(deepest, depth_of(item));
  if (value.is_object())
    for (const auto& [key, member] : value.members()) deepest = std::max(deepest, depth_of(member));
  return deepest + 1;
}

// Found only by whoever is led by coverage: a number in two lists.
void planted_bug(const Json& value) {
  if (plant.empty() || !value.is_array() || value.items().empty()) return;
  const Json& inner = value.items()[0];
  if (!inner.is_array() || inner.items().empty() || !inner.items()[0].is_number()) return;
  if (plant == "exception") throw std::length_error("planted");
  std::vector<char> bytes(inner.items()[0].lexeme().size());
  volatile char behind = bytes.data()[bytes.size()];
  (void)behind;
}

void try_json(std::string_view in) {
  const Json value = Json::parse(in, "in");
  planted_bug(value);
  const std::string text = value.dump();
  require(Json::parse(text, "in").dump() == text, "JSON that is written is read as itself");
  if (depth_of(value) < kMaxYamlDepth) {
    const Json map = Json::Object{{"v", value}};         // a step is one
    auto yaml = std::make_shared<const SourceText>("in", write_yaml(map));
    std::vector<Problem> problems;
    std::optional<YamlNode> tree = parse_yaml(yaml, problems);
    if (!problems.empty()) finding("YAML that is written is refused: " + problems[0].what + "\n" + yaml->text);
    require(tree && same_tree(*tree, yaml_from_json(map, {})), "JSON that is written as YAML is read as itself");
  }
  const std::string form = canonical(value);
  require(canonical(Json::parse(form, "in")) == form, "the canonical form is that of itself");
}

void try_manifest(std::string_view in) {
  const Manifest manifest = parse_manifest(in, "step.yaml");
  const Json config = effective_config(manifest);
  const std::string form = canonical(config);
  require(canonical(effective_config(parse_manifest(in, "step.yaml"))) == form, "a step read twice is one step");
  require(canonical(effective_config(parse_manifest(freeze(manifest), "frozen.yaml"))) == form, "a frozen step is the step");
  std::map<std::string, std::string> texts;
  for (const auto& [name, file] : manifest.prompt.files) texts[name] = file.text;
  require(canonical(effective_config(Manifest::from_config(config, texts, "config"))) == form, "a configuration is that of its step");
}

// The template, the variables as JSON (a conversation when there are none).
void try_template(std::string_view in) {
  static const Json talk = Json::parse(R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"u\n<v>"}],"tools":null,
    "add_generation_prompt":true,"bos_token":"<s>","eos_token":"</s>","x":[1,2.5,"a",{"b":null}]})", "talk");
  const std::vector<std::string_view> parts = parts_of(in);
  const std::map<std::string, std::string> files{{"f", "text"}};
  RenderContext context;
  context.variables = parts.size() > 1 ? Json::parse(parts[1], "variables") : talk;
  if (!context.variables.is_object()) return;
  context.date = "2026-11-22";
  context.files = &files;
  for (UndefinedIs undefined : {UndefinedIs::an_error, UndefinedIs::empty}) {
    const Template t(std::string(parts[0]), "in", undefined, {20'000, 1 << 18, 50});
    try {
      require(t.render(context) == t.render(context), "a template gives one text");
    } catch (const Error& e) {
      if (e.kind != ErrorKind::bad_data || undefined == UndefinedIs::empty) throw;
    }
  }
}

// A line "FORMAT ID", then the bytes, perhaps compressed.
void try_records(std::string_view in) {
  const size_t end = std::min(in.find('\n'), in.size()), space = std::min(in.find(' '), end);
  InputSpec spec;
  bool known = false;
  for (InputFormat f : {InputFormat::jsonl, InputFormat::csv, InputFormat::tsv, InputFormat::text, InputFormat::fasta, InputFormat::files})
    if (in.substr(0, space) == name_of(f)) { spec.format = f; known = true; }
  if (!known || end == in.size()) return;
  if (space < end) spec.id = in.substr(space + 1, end - space - 1);
  const std::string path = as_file(in.substr(end + 1));

  std::string bytes, read_at_once, one_by_one, looked_at;
  ByteSource source = open_input(path);
  char piece[4096];
  while (size_t n = source(piece, sizeof piece)) {
    bytes.append(piece, n);
    if (bytes.size() > size_t{1} << 20) return;       // compressed well: the readers are not the ones to try with that
  }
  auto read = [&](size_t step, bool look, std::string& out) {
    auto drip = [&bytes, step, at = size_t{0}](char* to, size_t n) mutable {
      const size_t got = bytes.copy(to, std::min(n, step), at);
      at += got;
      return got;
    };
    auto third = [n = 0]() mutable { return ++n % 3 == 0; };
    RecordReader reader(spec, {{"in", [&] { return ByteSource(drip, third); }}});
    for (Record r; (void)(look && reader.quiet()), reader.next(r);)
      out += r.id + "\n" + r.problem.value_or("") + "\n" + record_canonical(r) + "\n";
  };
  read(bytes.size() + 1, false, read_at_once);
  read(1, false, one_by_one);
  read(7, true, looked_at);
  require(read_at_once == one_by_one && read_at_once == looked_at, "records do not depend on how their bytes come in");
}

// --- models --------------------------------------------------------------------------------------------------------------

void try_text(const Tokenizer& tokenizer, std::string_view text, bool bytes) {
  for (auto specials : {Tokenizer::Specials::recognise, Tokenizer::Specials::as_text}) {
    const std::vector<int32_t> ids = tokenizer.encode(text, specials, Tokenizer::AddBos::as_model_says);
    for (int32_t id : ids) require(id >= 0 && id < tokenizer.size(), "a text has ids of the vocabulary");
    (void)tokenizer.decode(ids, true);
  }
  if (bytes)
    require(tokenizer.decode(tokenizer.encode(text, Tokenizer::Specials::as_text, Tokenizer::AddBos::no), false) == text,
            "a byte-level vocabulary gives a text back");
}

// No added token, nothing changed before or behind the bytes, and a token for each of them.
bool keeps_every_byte(const Json& t, const Tokenizer& tokenizer) {
  auto has_type = [](const Json* part, const char* type) { return part && part->find("type") && part->at("type").dump() == type; };
  const Json *added = t.find("added_tokens"), *pre = t.find("pre_tokenizer"), *normalizer = t.find("normalizer");
  if ((added && !added->is_null() && !added->items().empty()) || (normalizer && !normalizer->is_null())) return false;
  if (!has_type(pre, "\"ByteLevel\"") || !pre->find("add_prefix_space") || pre->at("add_prefix_space").dump() != "false" ||
      !has_type(t.find("decoder"), "\"ByteLevel\""))
    return false;
  for (char32_t c = 0, behind = 0x100; c < 256; ++c) {
    std::string letter;
    append_utf8(letter, (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || c >= 0xAE ? c : behind++);
    if (tokenizer.id_of(letter) < 0) return false;
  }
  return true;
}

// tokenizer.json, tokenizer_config.json, a text.
void try_tokenizer(std::string_view in) {
  const std::vector<std::string_view> parts = parts_of(in);
  if (parts.size() < 3) return;
  const Json json = Json::parse(parts[0], "tokenizer.json");
  if (!is_utf8(parts[2])) return;
  const Tokenizer tokenizer = Tokenizer::from_huggingface(json, Json::parse(parts[1], "tokenizer_config.json"));
  try_text(tokenizer, parts[2], keeps_every_byte(json, tokenizer));
}

void try_weights(const ModelFiles& files) {
  static const std::unique_ptr<kernels::Device> device = kernels::make_cpu_device(kernels::Isa::scalar, 1);
  (void)load_weights(*device, files, kernels::Profile::w8a16, 16);
}

void try_gguf(std::string_view in) {
  const Json metadata = parse_gguf(in, "in").metadata;
  std::exception_ptr refused;                          // of the tokenizer; the model is tried all the same
  try {
    try_text(Tokenizer::from_gguf(metadata), "Liver biopsy, 54yo\n\xC3\xA9 <s>", false);
  } catch (const Error&) {
    refused = std::current_exception();
  }
  try_weights(open_model(as_file(in)));
  if (refused) std::rethrow_exception(refused);
}

// A folder of links to such files.
struct ScratchFolder {
  std::string path = std::filesystem::temp_directory_path() / ("ibid-fuzz-" + std::to_string(::getpid()));
  ScratchFolder() {
    std::filesystem::create_directories(path);
    size_t place = 0;
    for (const char* name : {"config.json", "generation_config.json", "model.safetensors"})
      std::filesystem::create_symlink(as_file("", place++), path + "/" + name);
    std::ofstream(path + "/tokenizer.json") << "{}";
  }
  ~ScratchFolder() { std::filesystem::remove_all(path); }
};

// config.json, generation_config.json, model.safetensors.
void try_folder(std::string_view in) {
  static const ScratchFolder folder;
  const std::vector<std::string_view> parts = parts_of(in);
  if (parts.size() < 3) return;
  for (size_t i = 0; i < 3; ++i) as_file(parts[i], i);
  try_weights(open_model(folder.path));
}

// --- bundles -------------------------------------------------------------------------------------------------------------

void try_commands(const std::string& bundle) {
  auto run = [](const char* name, std::vector<std::string> words) { return find_command(name)->run(Args(*find_command(name), words)); };
  std::exception_ptr damaged;
  for (const char* name : {"verify", "show", "page", "record", "diff", "merge"}) {
    try {
      if (name == std::string("page")) run("show", {bundle, "--html", "/dev/null"});
      else if (name == std::string("record")) run("show", {bundle, "a"});
      else if (name == std::string("diff")) run("diff", {bundle, bundle});
      else if (name == std::string("merge")) run("merge", {bundle, "-o", "/dev/null", "--quiet"});
      else run(name, {bundle});
    } catch (const Error& e) {
      // no record "a"; not a shard
      const bool of_asking = e.kind == ErrorKind::bad_data && name != std::string("verify") && !e.where.empty();
      if (e.kind != ErrorKind::corrupt && e.kind != ErrorKind::incomparable && !of_asking) throw;
      damaged = std::current_exception();
    }
  }
  if (damaged) throw Error(ErrorKind::corrupt, "", "damaged");
}

void try_tar(std::string_view in) { try_commands(as_file(in)); }

struct Blob { std::string bytes, root; };              // root: of a segment

// A part "segment FIRST" and lines, which are its leaves; anything else is what it is.
Blob blob_of(std::string_view part) {
  const size_t end = part.find('\n');
  if (!part.starts_with("segment ") || end == part.npos) return {std::string(part), ""};
  SegmentWriter segment(std::filesystem::temp_directory_path().string(),
                        std::strtoull(std::string(part.substr(8, end - 8)).c_str(), nullptr, 10));
  for (part.remove_prefix(end + 1); !part.empty();) {
    const std::string_view leaf = part.substr(0, part.find('\n'));
    part.remove_prefix(std::min(part.size(), leaf.size() + 1));
    std::string id;
    try {
      id = Json::parse(leaf, "leaf").at("id").as_string();
    } catch (const Error&) {}
    segment.add(id, leaf);
  }
  Blob blob;
  const Digest root = segment.close().root;
  segment.content().replay([&](std::string_view piece) { blob.bytes += piece; });
  blob.root = digest_text(root);
  return blob;
}

// Strings like "@digest 2" in their place, "@size 2" as the number; the first character is what an input hardly has by chance.
Json filled(const Json& value, const std::map<std::string, Json>& known) {
  if (value.is_string() && known.count(value.as_string())) return known.at(value.as_string());
  Json out = value;
  if (out.is_array())
    for (Json& item : out.items()) item = filled(item, known);
  if (out.is_object())
    for (auto& [key, member] : out.members()) member = filled(member, known);
  return out;
}

std::string tar_entry(const std::string& name, std::string_view bytes) {
  std::string head(512, '\0');
  auto put = [&](size_t at, const std::string& text) { head.replace(at, text.size(), text); };
  char octal[16];
  std::snprintf(octal, sizeof octal, "%011zo", bytes.size());
  put(0, name);
  put(100, "0000644");
  put(124, octal);
  put(148, "        0");
  put(257, std::string("ustar\00000", 8));
  unsigned sum = 0;
  for (char c : head) sum += static_cast<unsigned char>(c);
  std::snprintf(octal, sizeof octal, "%06o", sum);
  put(148, std::string(octal) + '\0');
  return head + std::string(bytes) + std::string((512 - bytes.size() % 512) % 512, '\0');
}

// A bundle in which every digest is right, as only a forger makes one: its configuration, its manifest, its blobs (seeds.py).
void try_bundle(std::string_view in) {
  const std::vector<std::string_view> parts = parts_of(in);
  if (parts.size() < 4) return;
  std::map<std::string, Json> known;
  std::map<std::string, std::string> entries;
  auto add = [&](size_t part, const Blob& blob) {
    const std::string n = std::to_string(part), digest = digest_of(blob.bytes);
    known["@digest " + n] = digest;
    known["@size " + n] = static_cast<uint64_t>(blob.bytes.size());
    if (!blob.root.empty()) {
      known["@root " + n] = blob.root;
      known["@roots " + n] = digest_text(merkle_root({parse_digest(blob.root)}));
    }
    entries[blob_path(digest)] = blob.bytes;
  };
  for (size_t i = 2; i < parts.size(); ++i) add(i, blob_of(parts[i]));
  std::string config, manifest;
  try {
    Json blob = filled(Json::parse(parts[0], "config"), known);
    Sha256 input;
    std::string_view lines = parts[2];
    for (lines.remove_prefix(std::min(lines.size(), lines.find('\n') + 1)); !lines.empty();) {
      const std::string_view leaf = lines.substr(0, lines.find('\n'));
      lines.remove_prefix(std::min(lines.size(), leaf.size() + 1));
      const Digest of_record = sha256(canonical(Json::parse(leaf, "leaf").at("fields")));
      input.update({reinterpret_cast<const char*>(of_record.data()), of_record.size()});
    }
    known["@input"] = digest_text(input.finish());
    known["@config"] = config_id_of(blob.at("config"));
    known["@step"] = step_id_of(known["@config"].as_string(), known["@input"].as_string());
    config = canonical(filled(blob, known));
    add(0, {config, ""});
    manifest = filled(Json::parse(parts[1], "manifest"), known).dump();
  } catch (const Error&) {
    return;                                            // whoever forges can make no blob of this
  }
  add(1, {manifest, ""});
  entries["index.json"] =
      Json(Json::Object{{"manifests", Json::Array{Json::Object{{"digest", known["@digest 1"]}, {"size", known["@size 1"]}}}}}).dump();
  entries["oci-layout"] = kLayoutText;
  std::string tar;
  for (const auto& [name, bytes] : entries) tar += tar_entry(name, bytes);
  try_commands(as_file(tar + std::string(1024, '\0')));
}

struct Format {
  const char* name;
  void (*run)(std::string_view in);
  std::initializer_list<ErrorKind> expected;
};
constexpr std::initializer_list<ErrorKind> kBad{ErrorKind::bad_data}, kStep{ErrorKind::bad_data, ErrorKind::not_found};
constexpr std::initializer_list<ErrorKind> kDamaged{ErrorKind::corrupt};
const Format kFormats[] = {{"json", try_json, kBad}, {"manifest", try_manifest, kStep}, {"template", try_template, kBad},
                           {"records", try_records, kBad}, {"tokenizer", try_tokenizer, kBad}, {"gguf", try_gguf, kBad},
                           {"folder", try_folder, kBad}, {"bundle", try_bundle, kDamaged}, {"tar", try_tar, kDamaged}};
const Format* format = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* count, char*** words) {
  set_log({LogFormat::text, true, false});
  for (int i = 1; i < *count; ++i) {
    const std::string_view word = (*words)[i];
    if (word.starts_with("--plant=")) plant = word.substr(8);
    for (const Format& f : kFormats)
      if (word == std::string("--format=") + f.name) format = &f;
  }
  if (format) return 0;
  std::fputs("usage: fuzz --format=NAME [libFuzzer's options] CORPUS; NAME:", stderr);
  for (const Format& f : kFormats) std::fprintf(stderr, " %s", f.name);
  std::fputc('\n', stderr);
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    format->run({reinterpret_cast<const char*>(data), size});
  } catch (const Error& e) {
    if (std::find(format->expected.begin(), format->expected.end(), e.kind) == format->expected.end())
      finding("an error of another kind (" + std::to_string(exit_code(e.kind)) + "): " + e.where + ": " + e.what());
    // Of a variable that is no double there is no place in the template, and its words are bytes of results.
    const bool placeless = format->run == try_json || format->run == try_bundle || format->run == try_tar ||
                           (format->run == try_template && std::string_view(e.what()).starts_with("number out of range: "));
    if (e.where.empty() && !placeless) finding(std::string("an error that does not say where: ") + e.what());
  } catch (const std::exception& e) {
    finding(std::string("not ibid's own error: ") + e.what());
  }
  return 0;
}
