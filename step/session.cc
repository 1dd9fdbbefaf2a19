// See session.h.
#include "step/session.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <thread>

#include "runtime/error.h"
#include "step/bytes.h"
#include "step/rows.h"

namespace ibid::step {
namespace {

constexpr size_t kWindow = 4096;                       // records between the oldest unanswered one and the newest
constexpr size_t kWindowBytes = size_t{64} << 20;      // of their fields and prompts, from which on no more come in

runtime::EngineOptions engine_options(const Manifest& m, const Args& args, size_t kv_bytes) {
  runtime::EngineOptions o;
  o.profile = m.semantics == Semantics::v1_w8a16 ? kernels::Profile::w8a16 : kernels::Profile::w16a16;
  o.context = m.decoding.context;
  o.kv_bytes = kv_bytes;
  o.max_batch = static_cast<int>(args.number("--batch", o.max_batch, 1, 4096));
  o.chunk = static_cast<int>(args.number("--chunk", o.chunk, 1, 1 << 16));
  o.prefix_cache = !args.has("--no-prefix-cache");
  o.between_steps = stop_if_interrupted;
  return o;
}

runtime::Decoding decoding_of(const Manifest& m) {
  const DecodingSpec& d = m.decoding;
  runtime::Decoding out;
  out.max_tokens = d.max_tokens;
  out.repetition_penalty = d.repetition_penalty;
  out.stop = d.stop;
  out.logprobs = m.output.logprobs;
  if (d.method == Method::greedy) return out;
  out.temperature = d.temperature;
  out.top_k = d.top_k;
  out.top_p = d.top_p;
  out.min_p = d.min_p;
  return out;
}

std::string token_or_empty(const runtime::Tokenizer& t, int32_t id) { return id < 0 ? "" : std::string(t.token_text(id)); }

AnswerRecord no_answer(const char* status, const std::string& why) { return {status, "", {}, why}; }

AnswerRecord from_engine(runtime::Answer&& a, const Manifest& m) {
  AnswerRecord out{runtime::status_name(a.status), std::move(a.text), std::move(a.tokens), ""};
  if (a.status == runtime::Status::overflow)
    out.error = "the prompt has " + std::to_string(a.prompt_tokens) + " tokens, the step's context " + std::to_string(m.decoding.context);
  if (a.status == runtime::Status::numeric_error) out.error = "a value left the range of float32";
  return out;
}

size_t size_of(const Json& value) {
  size_t bytes = sizeof value;
  if (value.is_string()) bytes += value.as_string().size();
  if (value.is_array())
    for (const Json& item : value.items()) bytes += size_of(item);
  if (value.is_object())
    for (const auto& [name, member] : value.members()) bytes += sizeof name + name.size() + size_of(member);
  return bytes;
}

// About as much memory as it holds; each sample has the prompt's ids once more.
size_t size_of(const Answered& a) {
  size_t bytes = a.record.raw.size() + a.prompt.text.size() + a.prompt_ids.size() * sizeof(int32_t) * (1 + a.answers.size());
  for (const Field& field : a.record.fields) bytes += field.name.size() + size_of(field.value);
  return bytes;
}

// Records on their way: in order, each waiting for its answers.
class Window {
 public:
  Window(Session& session, const std::function<void(Answered&&)>& sink, AnswerStore* store)
      : session_(session), sink_(sink), store_(store), keys_(session.manifest()), decoding_(decoding_of(session.manifest())) {}
  bool has_room() const {
    return slots_.size() < kWindow && held_ < kWindowBytes &&
           (!session_.loaded() || session_.engine().pending() < session_.engine().capacity());
  }
  bool at_work() const { return session_.loaded() && session_.engine().pending() > 0; }
  bool empty() const { return slots_.empty(); }
  void admit(Record&& record);
  void take(runtime::Answer&& answer);
  void emit_ready();

 private:
  struct Slot {
    Answered answered;
    int missing = 0;
    size_t bytes = 0;
    std::vector<Digest> keys;                          // of its samples, with a store
  };
  void prepare(Slot& slot, uint64_t number);
  void submit(Slot& slot, uint64_t number);
  bool reuse(Slot& slot, const Digest& key, uint64_t sample);
  Session& session_;
  const std::function<void(Answered&&)>& sink_;
  AnswerStore* store_;
  AnswerKeys keys_;
  runtime::Decoding decoding_;
  std::deque<Slot> slots_;
  uint64_t first_slot_ = 0;                            // number of slots_.front()
  size_t held_ = 0;                                    // bytes of all slots
};

void Window::admit(Record&& record) {
  uint64_t number = first_slot_ + slots_.size();
  Slot& slot = slots_.emplace_back();
  slot.answered.record = std::move(record);
  prepare(slot, number);
  slot.bytes = size_of(slot.answered);
  held_ += slot.bytes;
}

void Window::prepare(Slot& slot, uint64_t number) {
  Answered& a = slot.answered;
  if (a.record.problem) {
    a.answers.push_back(no_answer("bad_record", *a.record.problem));
    return;
  }
  a.prompt = session_.prompts().build(a.record);
  if (!a.prompt.error.empty()) {
    a.answers.push_back(no_answer("template_error", a.prompt.error));
    return;
  }
  a.prompt_ids = session_.tokenizer().encode(a.prompt.text, runtime::Tokenizer::Specials::recognise,
                                             session_.prompts().wants_bos() ? runtime::Tokenizer::AddBos::as_model_says
                                                                            : runtime::Tokenizer::AddBos::no);
  if (a.prompt_ids.empty()) {
    a.answers.push_back(no_answer("template_error", "the prompt is empty"));
    return;
  }
  if (std::string why = session_.beyond_model(a.prompt_ids); !why.empty()) {
    a.prompt_ids.clear();
    a.answers.push_back(no_answer("template_error", why));
    return;
  }
  submit(slot, number);
}

void Window::submit(Slot& slot, uint64_t number) {
  const DecodingSpec& d = session_.manifest().decoding;
  Answered& a = slot.answered;
  auto samples = static_cast<uint64_t>(d.samples);
  uint64_t noise = noise_key(d.seed, a.record.id);
  a.answers.resize(samples);
  slot.missing = d.samples;
  if (store_) slot.keys.resize(samples);
  for (uint64_t s = 0; s < samples; ++s) {
    if (store_ && reuse(slot, keys_.key(a.prompt_ids, noise, static_cast<uint32_t>(s)), s)) continue;
    session_.engine().submit({number * samples + s, a.prompt_ids, decoding_, noise, static_cast<uint32_t>(s)});
  }
}

bool Window::reuse(Slot& slot, const Digest& key, uint64_t sample) {
  slot.keys[sample] = key;
  std::optional<AnswerRecord> found = store_->find(key);
  if (!found) return false;
  slot.answered.answers[sample] = std::move(*found);
  --slot.missing;
  ++store_->reused;
  return true;
}

void Window::take(runtime::Answer&& answer) {
  auto samples = static_cast<uint64_t>(session_.manifest().decoding.samples);
  uint64_t slot = answer.id / samples, sample = answer.id % samples;
  IBID_CHECK(slot >= first_slot_ && slot - first_slot_ < slots_.size());
  session_.require_unchanged();                        // before a store keeps the answer: another run would believe it
  Slot& s = slots_[slot - first_slot_];
  s.answered.answers[sample] = from_engine(std::move(answer), session_.manifest());
  if (store_) store_->keep(s.keys[sample], s.answered.answers[sample]);
  --s.missing;
}

void Window::emit_ready() {
  for (; !slots_.empty() && slots_.front().missing == 0; ++first_slot_) {
    Answered done = std::move(slots_.front().answered);
    held_ -= slots_.front().bytes;
    slots_.pop_front();
    sink_(std::move(done));
  }
}

}  // namespace

ManifestOptions manifest_options(const Args& args) {
  ManifestOptions o;
  for (const std::string& pair : args.all("--file")) {
    size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) throw Error(ErrorKind::usage, "--file", "'" + pair + "' is not NAME=PATH");
    o.files.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  o.sets = args.all("--set");
  return o;
}

void note_constant_prompt(const Manifest& manifest) {
  if (!reads_fields(manifest))
    note("no template of the prompt uses a field: every record has the same prompt; a field is written {{ NAME }}");
}

std::vector<Flag> device_flags() {
  return {{"--device", "auto|cpu|cuda[:N]", "where to compute (default auto); never changes a byte of the answer"},
          {"--isa", "scalar|avx2|avxvnni|avx512|amx|neon", "instruction set (default: the best here)"},
          {"--threads", "N", "CPU threads (default: what this process may use)"},
          {"--memory", "BYTES", "size of the K/V cache on the CPU, for instance 2G (default 1G)"},
          {"--gpu-memory", "BYTES", "the same on a GPU (default: what is free beside the model)"},
          {"--wait-gpu", "S", "wait up to S seconds for a GPU that is busy (default 0)"},
          {"--batch", "N", "largest number of sequences at once (default 64)"},
          {"--chunk", "N", "largest number of rows in one step (default 512, on a GPU 2048)"},
          {"--no-prefix-cache", nullptr, "compute shared prompt prefixes each time"}};
}

runtime::Tokenizer make_tokenizer(const runtime::ModelFiles& files) {
  return files.gguf ? runtime::Tokenizer::from_gguf(files.tokenizer)
                    : runtime::Tokenizer::from_huggingface(files.tokenizer, files.tokenizer_config);
}

runtime::ModelSource model_of_runs(const Args& args, const Manifest& manifest) {
  runtime::ModelSource model = runtime::map_model(locate_model(*args.get("--model"), manifest.model.digest));
  DigestCheck(model, manifest.model.digest).require(ErrorKind::bad_data, "name the model that the runs had");
  return model;
}

TokenText token_texts(const Manifest& manifest, const Args& args) {
  if (manifest.output.logprobs == 0) return [](int32_t) { return std::string(); };
  if (!args.has("--model"))
    throw Error(ErrorKind::usage, "", "rows with log-probabilities show tokens, whose texts no whole bundle holds",
                "name the model with --model");
  auto tokenizer = std::make_shared<runtime::Tokenizer>(make_tokenizer(runtime::open_model(model_of_runs(args, manifest))));
  return [tokenizer](int32_t id) { return shown_token(tokenizer->token_text(id)); };
}

namespace {

// The ordinal that "--device cuda[:N]" names.
int gpu_ordinal(const std::string& device) {
  if (device == "cuda") return 0;
  std::string number = device.substr(5);
  if (number.empty() || number.size() > 3 || number.find_first_not_of("0123456789") != std::string::npos)
    throw Error(ErrorKind::usage, "--device", "'" + device + "' is not one of auto, cpu, cuda, cuda:N");
  return std::stoi(number);
}

// Looks for the GPU, and again every second while it is busy and --wait-gpu allows.
kernels::GpuProbe find_gpu(int ordinal, const Args& args) {
  kernels::GpuProbe probe = kernels::probe_cuda(ordinal);
  for (int64_t left = args.number("--wait-gpu", 0, 0, 1 << 20); probe.state == kernels::GpuState::busy && left > 0; --left) {
    stop_if_interrupted();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    probe = kernels::probe_cuda(ordinal);
  }
  return probe;
}

std::unique_ptr<kernels::Device> open_cpu(const Args& args) {
  return kernels::make_cpu_device(asked_isa(args).value_or(kernels::best_isa()),
                                  static_cast<int>(args.number("--threads", kernels::default_threads(), 1, 1024)));
}

}  // namespace

std::optional<kernels::Isa> asked_isa(const Args& args) {
  if (!args.has("--isa")) return std::nullopt;
  std::vector<std::string> names;
  for (kernels::Isa isa : kernels::kIsas) names.push_back(kernels::isa_name(isa));
  const std::string name = args.choice("--isa", "", names);
  const kernels::Isa asked = kernels::kIsas[std::find(names.begin(), names.end(), name) - names.begin()];
  if (!kernels::isa_available(asked))
    throw Error(ErrorKind::unavailable, "--isa", "this machine does not have " + name,
                std::string("its best is ") + kernels::isa_name(kernels::best_isa()));
  return asked;
}

std::unique_ptr<kernels::Device> open_gpu(const Args& args) {
  using kernels::GpuState;
  std::string device = args.text("--device", "auto");
  if (device == "cpu" || (device == "auto" && args.has("--isa"))) return nullptr;      // an instruction set is a CPU's
  bool asked = device == "cuda" || device.rfind("cuda:", 0) == 0;
  if (!asked && device != "auto") throw Error(ErrorKind::usage, "--device", "'" + device + "' is not one of auto, cpu, cuda, cuda:N");
  int ordinal = asked ? gpu_ordinal(device) : 0;
  kernels::GpuProbe gpu = find_gpu(ordinal, args);
  if (gpu.state == GpuState::ready) return kernels::make_cuda_device(ordinal, {});
  if (asked && gpu.state == GpuState::busy)
    throw Error(ErrorKind::temporary, device, gpu.why, "wait with --wait-gpu S, or leave --device out: the CPU gives the same bytes");
  if (asked) throw Error(ErrorKind::unavailable, device, gpu.why, "leave --device out: the CPU gives the same bytes");
  if (gpu.state != GpuState::not_built) note("on the CPU: " + gpu.why);
  return nullptr;
}

OpenedDevice open_device(const Args& args) {
  if (std::unique_ptr<kernels::Device> gpu = open_gpu(args)) return {std::move(gpu), args.bytes("--gpu-memory", 0)};
  return {open_cpu(args), args.bytes("--memory", runtime::EngineOptions().kv_bytes)};
}

Session::Session(const Manifest& manifest, const std::string& model_path, const Args& args, std::optional<ErrorKind> when_other,
                 Loading when)
    : manifest_(manifest), when_other_(when_other), source_(runtime::map_model(model_path)), digest_(source_, manifest.model.digest) {
  guarded([&] {
    open(args);
    if (when == Loading::now) load();
  });
  if (when == Loading::now) require_pinned();
}

void Session::guarded(const std::function<void()>& open) {
  try {
    open();
  } catch (const Error&) {
    require_pinned();                                  // that it is the wrong file says more than where reading it failed
    throw;
  }
}

void Session::require_pinned() {
  digest_.found();                                     // here at the latest: later a file may be touched
  if (!when_other_) return;
  bool archived = *when_other_ == ErrorKind::incomparable;               // then nobody can pin another one
  digest_.require(*when_other_, archived ? "name the model of the archived run; --other-model compares with this one all the same"
                                         : "'ibid pin " + source_.path + "' prints the stanza for this model; to use it, pin it");
}

// A file with the right bytes may have had others while answers were computed from it, so a touch alone is enough.
void Session::require_unchanged() {
  for (const auto& map : files_.maps)
    if (map->touched())
      throw Error(ErrorKind::io, map->path(), "was written to, or touched, while it was read",
                  "put the pinned model back and run again; "
                  "a new model that is moved into place (mv) does not disturb runs that read the old one");
}

runtime::Engine& Session::engine() {
  if (!engine_) {
    guarded([&] { load(); });
    require_pinned();
  }
  return *engine_;
}

void Session::open(const Args& args) {
  detail("model " + source_.path);
  files_ = runtime::open_model(source_);
  tokenizer_ = std::make_unique<runtime::Tokenizer>(make_tokenizer(files_));
  int32_t bos = files_.config.bos_id >= 0 ? files_.config.bos_id : tokenizer_->bos_id();
  ChatSetup chat{files_.chat_template, token_or_empty(*tokenizer_, bos), token_or_empty(*tokenizer_, tokenizer_->eos_id())};
  prompts_ = std::make_unique<PromptBuilder>(manifest_, chat, PromptBuilder::TokenizerView{
      [this](std::string_view text) {
        return tokenizer_->encode(text, runtime::Tokenizer::Specials::recognise, runtime::Tokenizer::AddBos::no).size();
      },
      [this](std::string_view text) { return token_or_empty(*tokenizer_, tokenizer_->find_special(text)); }});
  OpenedDevice opened = open_device(args);
  opened_ = std::move(opened.device);
  device_ = opened_->describe();
  options_ = engine_options(manifest_, args, opened.kv_bytes);
}

std::string Session::beyond_model(const std::vector<int32_t>& ids) const {
  int32_t largest = *std::max_element(ids.begin(), ids.end());
  if (largest < files_.config.vocab) return "";
  return "the prompt has token " + std::to_string(largest) + ", for which the model's embedding of " + std::to_string(files_.config.vocab) +
         " rows has none";
}

void Session::load() {
  engine_ = std::make_unique<runtime::Engine>(std::move(opened_), files_, *tokenizer_, options_);
  for (const auto& map : files_.maps)                  // put back meanwhile, it has the right digest, and the weights may be a mixture
    if (map->touched()) throw Error(ErrorKind::io, map->path(), "was written to while it was loaded", "run again when nobody writes to it");
  auto mib = [](size_t bytes) { return std::to_string((bytes + (1 << 19)) >> 20) + " MiB"; };
  const runtime::EngineStats& stats = engine_->stats();
  detail("weights " + mib(stats.weight_bytes) + ", K/V cache " + mib(stats.kv_bytes) + ", work space " + mib(stats.work_bytes));
}

void Session::say_work() const {
  if (!loaded()) return;
  const runtime::EngineStats& stats = engine_->stats();
  detail(std::to_string(stats.steps) + " steps; " + std::to_string(stats.prompt_rows) + " prompt tokens computed, " +
         std::to_string(stats.cached_rows) + " shared with another prompt");
}

uint64_t noise_key(uint64_t seed, const std::string& record_id) {
  const Digest d = sha256("ibid noise v1\n" + std::to_string(seed) + "\n" + record_id);
  return get_le(bytes_of(d).data(), 8);
}

std::string Answered::record_leaf_text() const {
  Json cut;
  if (prompt.truncation.cut)
    cut = Json::Object{{"kept_bytes", prompt.truncation.kept_bytes}, {"total_bytes", prompt.truncation.total_bytes}};
  std::optional<std::string> text;
  if (!prompt_ids.empty()) text = prompt.text;
  return record_leaf(record.id, fields_canonical(), text, prompt_ids, cut);
}

uint64_t Answered::answer_tokens() const {
  uint64_t n = 0;
  for (const AnswerRecord& a : answers) n += a.tokens.size();
  return n;
}

void answer_all(Session& session, const RecordSource& source, const std::function<void(Answered&&)>& sink, AnswerStore* store) {
  Window window(session, sink, store);
  bool more = true;
  while (more || !window.empty()) {
    while (more && window.has_room() && !(window.at_work() && source.quiet())) {
      stop_if_interrupted();                           // a store may have every answer: then no step of the engine asks
      Record record;
      more = source.next(record);
      if (more) window.admit(std::move(record));
      window.emit_ready();                             // from a store: answers wait for nobody, and there is no room for all
    }
    window.emit_ready();
    stop_if_interrupted();
    if (!session.loaded()) continue;                   // every answer so far was there
    if (session.engine().advance()) window.take(std::move(*session.engine().next()));
    window.emit_ready();
  }
  session.say_work();
}

}  // namespace ibid::step
