// The step manifest: YAML in, struct Manifest out, and the effective configuration that is its identity.
//
// Owns the schema of a step (manifests/step.schema.json is its published twin) and what every key means when it is absent.
// Must not know tensors, records, bundles or the command line beyond the two options that reach into a manifest.
//
// 1. Whatever could change a byte of the answer is in the effective configuration; `name`, `source`, the paths of side files
//    and the layout of the YAML are not.
// 2. Strict: an unknown or repeated key, a wrong type, an anchor, alias, merge key or tag, or a second document is an error.
//    All errors are reported at once, each with file:line:column, the source line, a caret and a hint.
// 3. A manifest stands for its effective configuration and nothing else: manifest -> config -> manifest -> config is a fixed
//    point, and the config as JSON is itself a manifest that this reader accepts.
// 4. A fractional number is the binary32 nearest to its decimal digits, and its canonical form is the shortest decimal that
//    reads back as that binary32: 0.7, 0.70 and 7e-1 are one configuration, and the form is also what RFC 8785 would write.
// 5. Side files are read once, verified against their digest, and from then on exist only as text.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/json.h"
#include "step/source_text.h"

namespace ibid::step {

enum class InputFormat { jsonl, csv, tsv, text, fasta, files };
enum class Escapes { none, backslash };
enum class Quotes { rfc4180, none };
enum class OutputFormat { jsonl, csv, tsv, text };
enum class Role { system, user, assistant };
enum class Method { greedy, sample };
enum class Keep { head, tail };
enum class SpecialTokens { recognise, refuse };
enum class OnError { fail, record };
enum class Semantics { v1_w16a16, v1_w8a16 };

const char* name_of(InputFormat format);
const char* name_of(Escapes escapes);
const char* name_of(Quotes quotes);
const char* name_of(OutputFormat format);
const char* name_of(Role role);
const char* name_of(Method method);
const char* name_of(Keep keep);
const char* name_of(SpecialTokens special_tokens);
const char* name_of(OnError on_error);
const char* name_of(Semantics semantics);            // "v1/w16a16"

// What an output row says besides the columns that `keep` carries along; a kept column may not take one of these names.
inline constexpr std::string_view kOutputNames[] = {"id", "sample_index", "status", "response", "error", "logprobs"};

struct SideFile {
  bool inlined = false;                // the manifest itself holds the text. Not identity
  std::string path;                    // as written, relative to the manifest's folder; may be "". Not identity
  std::string digest;                  // "sha256:" and 64 lower-case hexadecimal digits of the text's bytes
  std::string text;                    // valid UTF-8, as the file has it
  std::string read_from = {};          // the file that was read; "" when none was. Not identity
};

struct Message {
  Role role = Role::user;
  std::string content;                 // template text
};

struct ModelSpec {
  std::string digest;                  // "sha256:<hex>"
  std::string source;                  // where a person finds it again. Not identity
};

struct InputSpec {
  InputFormat format = InputFormat::jsonl;
  std::string id;                      // the field that names a record; "": records are numbered, or the format has its own id
  Escapes escapes = Escapes::none;     // with InputFormat::tsv only
  Quotes quotes = Quotes::rfc4180;     // none: with a table only
};

inline bool is_table(const InputSpec& input) { return input.format == InputFormat::csv || input.format == InputFormat::tsv; }
// Whether its records have fields that whoever made the input named.
inline bool has_columns(const InputSpec& input) { return is_table(input) || input.format == InputFormat::jsonl; }

struct PromptSpec {
  std::vector<Message> messages;       // empty when text is given
  std::optional<std::string> text;     // raw template text, without a chat template
  std::map<std::string, SideFile> files;
  std::string date;                    // ISO date; "": a template that asks for the clock fails
  SpecialTokens special_tokens = SpecialTokens::recognise;   // in the text of a message; refuse: with messages only
  Json template_args = Json::Object{}; // for the chat template; nested keys sorted, numbers in canonical form
};

struct TruncateSpec {
  std::string field;
  Keep keep = Keep::head;
  int tokens = 0;
};

struct DecodingSpec {
  Method method = Method::greedy;
  float temperature = 1;               // with Method::sample only, as are top_k, top_p, min_p, seed and samples
  int top_k = 0;                       // 0: off
  float top_p = 1, min_p = 0;          // 1 and 0: off
  uint64_t seed = 0;                   // below 2^53, so that its canonical JSON is exact
  int samples = 1;
  float repetition_penalty = 1;        // 1: off; with either method
  int max_tokens = 0;
  int context = 4096;                  // positions, prompt and answer together
  std::optional<TruncateSpec> truncate;
  std::vector<std::string> stop;
};

struct OutputSpec {
  OutputFormat format = OutputFormat::jsonl;
  std::vector<std::string> keep;       // input fields carried along, in this order
  int logprobs = 0;                    // alternatives reported for each token
};

struct Manifest {
  std::string name;                    // "" when not given. Not identity
  ModelSpec model;
  InputSpec input;
  PromptSpec prompt;
  DecodingSpec decoding;
  OutputSpec output;
  OnError on_error = OnError::fail;
  uint64_t max_errors = 0;             // with OnError::record only
  Semantics semantics = Semantics::v1_w16a16;
  std::string as_written;              // the bytes of the YAML file, before --set; carried beside a bundle. Not identity

  // The reverse of effective_config. Side files are named by `texts` (name -> text), whose digests must agree.
  // Errors: bad_data with `where` in front (a bundle is not trusted).
  static Manifest from_config(const Json& config, const std::map<std::string, std::string>& texts, const std::string& where);
  // What a step says whose side files are no longer beside it: as parse_manifest, with their texts by name. Errors: ManifestError.
  static Manifest from_written(std::string_view text, const std::map<std::string, std::string>& texts, const std::string& where);
};

struct ManifestOptions {
  std::vector<std::pair<std::string, std::string>> files;  // --file NAME=PATH: where a side file lies, instead of its path
  std::vector<std::string> sets;                            // --set key=value, applied in order before validation
};

// Everything that is wrong with a manifest. kind is not_found when only files are missing, else bad_data; what() is the
// whole text, ready to print.
struct ManifestError : Error {
  ManifestError(const std::string& name, std::vector<Problem> all);
  std::vector<Problem> problems;
};

// Reads the file at `path` ("-" is not a manifest). Errors: not_found, io, ManifestError, usage (a malformed option).
Manifest read_manifest(const std::string& path, const ManifestOptions& options = {});

// The same for bytes already at hand; `path` names them in messages and its folder is where side files lie.
Manifest parse_manifest(std::string_view text, const std::string& path, const ManifestOptions& options = {});

// True when a template of the prompt reads a field of the record. Without one the prompt is the same for all of them, which is sound, and
// mostly a slip: { annotation } for {{ annotation }}.
bool reads_fields(const Manifest& manifest);

// The effective configuration: defaults spelled out, name, source and paths left out, side files as digests. The config id
// is the digest of its canonical JSON (step/canon.h). An absent key always means "none".
Json effective_config(const Manifest& manifest);

// One self-contained manifest with the same effective configuration: side files inlined, defaults spelled out.
std::string freeze(const Manifest& manifest);

}  // namespace ibid::step
