// The engine: one loop around the scheduler's step and the model's forward pass. See engine.h.
//
// Owns: the device and all memory on it, the requests under way, the answers not yet fetched.
// Must not know: how a page, a row or an op is laid out.
#include "runtime/engine.h"

#include <algorithm>
#include <deque>
#include <list>
#include <utility>

#include "runtime/answer.h"
#include "runtime/error.h"
#include "runtime/kv_cache.h"
#include "runtime/model.h"
#include "runtime/scheduler.h"
#include "runtime/weights.h"

namespace ibid::runtime {
namespace {

using kernels::SampleSpec;

// A request under way. Lives in one place, so that the scheduler can point at it.
struct Running : Sequence {
  Running(Request r, const Tokenizer& tokenizer, const std::vector<int32_t>& end_ids, int budget, int vocab)
      : request(std::move(r)), answer(tokenizer, end_ids, request.decoding.stop, budget),
        seen(request.decoding.repetition_penalty == 1 ? 0 : vocab), vocab(vocab) {
    tokens.reserve(request.prompt.size() + static_cast<size_t>(std::min(budget, kExpectedTokens)));
    tokens = request.prompt;
    prompt = static_cast<int>(tokens.size());
    limit = prompt + budget;
    for (int32_t id : tokens) note(id);
  }
  void note(int32_t id) {
    if (request.decoding.repetition_penalty != 1 && id < vocab) seen.add(id);
  }

  Request request;
  AnswerBuilder answer;
  SeenTokens seen;
  int vocab;                           // ids that can be chosen: below this
  std::list<Running>::iterator self;
};

EngineOptions checked(EngineOptions o, const ModelFiles& model, const kernels::Device& device) {
  const int most = model.config.max_positions;
  if (o.context == 0) o.context = most;
  if (o.chunk == 0) o.chunk = device.step_rows();
  if (o.context < 1 || o.context > most) {
    throw Error(ErrorKind::bad_data, model.path,
                "a context of " + std::to_string(o.context) + " positions was asked for, but the model was trained for " +
                    std::to_string(most),
                "set decoding.context to at most " + std::to_string(most));
  }
  IBID_CHECK(o.max_batch >= 1 && o.max_batch <= 1 << 16 && o.chunk >= 1 && o.chunk <= 1 << 20);
  return o;
}

constexpr size_t kDeviceMargin = size_t{256} << 20;       // left to the driver, and to graphs

// What the K/V cache may take. A device that cannot say what is free gets the default of EngineOptions.
size_t kv_budget(const kernels::Device& device, const EngineOptions& o) {
  if (o.kv_bytes > 0) return o.kv_bytes;
  const size_t free_now = device.free_bytes(), margin = std::min(kDeviceMargin, free_now / 16);
  return free_now > 0 ? free_now - margin : EngineOptions().kv_bytes;
}

// Pages that the budget holds; no more than all sequences and, where prefixes are cached, as many of those could fill.
int page_count(const kernels::Device& device, const EngineOptions& o, size_t page_bytes) {
  const size_t least = pages_for(o.context), budget = kv_budget(device, o);
  const size_t count = std::min(budget / page_bytes, (o.prefix_cache ? 2 : 1) * least * o.max_batch);
  if (count < least && o.kv_bytes == 0) {
    throw Error(ErrorKind::temporary, device.describe(),
                "one sequence of " + std::to_string(o.context) + " positions needs " + std::to_string(least * page_bytes) +
                    " bytes beside the model, but " + std::to_string(device.free_bytes()) + " are free",
                "lower decoding.context, or wait for the GPU");
  }
  if (count < least) {
    throw Error(ErrorKind::usage, "K/V cache",
                "a budget of " + std::to_string(budget) + " bytes cannot hold one sequence of " + std::to_string(o.context) +
                    " positions, which needs " + std::to_string(least * page_bytes),
                "raise --memory (on a GPU --gpu-memory) or lower decoding.context");
  }
  return static_cast<int>(std::min<size_t>(count, 1 << 24));
}

int widest_matrix(const ModelConfig& c) {
  return std::max({c.vocab, kernels::gated_rows(c.intermediate), (c.heads + 2 * c.kv_heads) * c.head_dim, c.hidden});
}

std::vector<int32_t> end_ids_of(const ModelConfig& config, const Tokenizer& tokenizer) {
  std::vector<int32_t> ids = config.eos_ids;
  if (ids.empty() && tokenizer.eos_id() >= 0) ids.push_back(tokenizer.eos_id());
  return ids;
}

}  // namespace

struct Engine::Impl {
  Impl(std::unique_ptr<kernels::Device> d, const ModelFiles& model, const Tokenizer& t, const EngineOptions& o);

  void submit(Request request);
  bool advance();
  std::optional<Answer> next();
  std::vector<float> logits(const std::vector<int32_t>& prompt);

  int reserve_then_count_pages();
  void run_step();
  void evaluate();
  void choose();
  void show_rows();
  void settle(const StepPart& part);
  void finish(Running& r);
  void check_ids(const std::vector<int32_t>& prompt) const;
  int max_rows() const { return std::max(options.chunk, options.max_batch); }

  std::unique_ptr<kernels::Device> device;
  const ModelConfig config;
  const std::string path;
  const Tokenizer& tokenizer;
  const EngineOptions options;
  const std::vector<int32_t> end_ids;
  const int vocab;                     // ids that may be chosen: [0, vocab)
  Weights weights;
  Work work;
  DeviceMemory memory;
  kernels::KvCache kv;
  KvPages pages;
  Scheduler scheduler;
  EngineStats stats;
  Engine::Observer observer;

  int32_t* ints = nullptr;             // (4 max_rows) on the device: token, position, slot, wanted of a step, back to back
  int32_t* page_table = nullptr;       // (max_batch, max_pages) on the device

  std::list<Running> live;
  std::deque<Answer> ready;
  Step step;
  std::vector<int32_t> staged;         // host side of ints
  std::vector<uint8_t> bad;            // host side of the flags: of the step's rows, then of its wanted rows
  std::vector<SampleSpec> specs;       // (max_batch), one for each wanted row
  std::vector<kernels::Sampled> chosen;
  std::vector<kernels::TokenLogprob> top;
  int max_top = 0;                     // columns of top
};

Engine::Impl::Impl(std::unique_ptr<kernels::Device> d, const ModelFiles& model, const Tokenizer& t, const EngineOptions& o)
    : device(std::move(d)), config(model.config), path(model.path), tokenizer(t), options(checked(o, model, *device)),
      end_ids(end_ids_of(config, t)), vocab(std::min(t.size(), config.vocab)),
      weights(load_weights(*device, model, options.profile, options.context)),
      work(*device, config, max_rows(), options.max_batch), memory(*device),
      kv{{config.layers, config.kv_heads, config.head_dim}, nullptr},
      pages(reserve_then_count_pages(), options.prefix_cache),
      scheduler(pages, {options.max_batch, options.chunk, pages_for(options.context)}),
      bad(static_cast<size_t>(max_rows()) + options.max_batch), specs(options.max_batch), chosen(options.max_batch) {
  IBID_CHECK(vocab > 0);
  stats.kv_bytes = device->kv_page_bytes(kv.shape) * pages.count();
  kv.pages = memory.bytes(stats.kv_bytes, "the K/V cache");
  ints = memory.array<int32_t>(4 * static_cast<size_t>(max_rows()), "the rows of a step");
  page_table = memory.array<int32_t>(scheduler.page_table().size(), "the page table");
  staged.reserve(4 * static_cast<size_t>(max_rows()));
  stats.weight_bytes = weights.memory->total();
  stats.work_bytes = work.memory.total() + memory.total() - stats.kv_bytes;
}

// Takes the scratch space of a step, then counts the pages that what is left can hold.
int Engine::Impl::reserve_then_count_pages() {
  if (!device->reserve({.rows = max_rows(), .wanted = options.max_batch, .heads = config.heads, .kv_heads = config.kv_heads,
                        .head_dim = config.head_dim, .max_pages = pages_for(options.context), .widest = widest_matrix(config),
                        .vocab = config.vocab})) {
    throw Error(ErrorKind::temporary, device->describe(),
                "no memory for the scratch space of a step: " + std::to_string(weights.memory->total() + work.memory.total()) +
                    " bytes are held already, " + std::to_string(device->free_bytes()) + " are free",
                "lower --batch or --chunk");
  }
  return page_count(*device, options, device->kv_page_bytes(kv.shape));
}

void Engine::Impl::check_ids(const std::vector<int32_t>& prompt) const {
  IBID_CHECK(!prompt.empty());
  for (int32_t id : prompt) {
    if (id < 0 || id >= config.vocab) {
      throw Error(ErrorKind::bad_data, path, "token id " + std::to_string(id) + " of a prompt has no row in the model's embedding of " +
                  std::to_string(config.vocab), "tokenizer and model do not belong together");
    }
  }
}

void Engine::Impl::submit(Request request) {
  check_ids(request.prompt);
  IBID_CHECK(request.decoding.max_tokens >= 1 && request.decoding.logprobs >= 0);
  if (request.prompt.size() + 1 > static_cast<size_t>(options.context)) {
    Answer answer;
    answer.id = request.id;
    answer.status = Status::overflow;
    answer.prompt_tokens = static_cast<int>(request.prompt.size());
    ready.push_back(std::move(answer));
    return;
  }
  const int budget = std::min(request.decoding.max_tokens, options.context - static_cast<int>(request.prompt.size()));
  live.emplace_back(std::move(request), tokenizer, end_ids, budget, vocab);
  live.back().self = std::prev(live.end());
  scheduler.submit(&live.back());
}

bool Engine::Impl::advance() {
  if (ready.empty() && !live.empty()) {
    if (options.between_steps) options.between_steps();
    run_step();
  }
  return !ready.empty();
}

std::optional<Answer> Engine::Impl::next() {
  while (!advance())
    if (live.empty()) return std::nullopt;
  Answer answer = std::move(ready.front());
  ready.pop_front();
  return answer;
}

void Engine::Impl::run_step() {
  IBID_CHECK(scheduler.plan(step));
  for (const PageCopy& copy : step.copies) device->copy_page(kv, copy.from, copy.to);
  if (scheduler.take_table_change())
    device->upload(page_table, scheduler.page_table().data(), scheduler.page_table().size() * sizeof(int32_t));
  evaluate();
  if (!step.wanted.empty()) {
    show_rows();
    choose();
  }
  device->download(bad.data(), work.bad, step.rows() + step.wanted.size());
  stats.steps++;
  for (const StepPart& part : step.parts) settle(part);
}

// The forward pass over the step's rows; their page table is already on the device.
void Engine::Impl::evaluate() {
  const size_t rows = step.rows(), wanted = step.wanted.size();
  staged.clear();
  for (const auto* part : {&step.token, &step.position, &step.slot, &step.wanted}) staged.insert(staged.end(), part->begin(), part->end());
  device->upload(ints, staged.data(), staged.size() * sizeof(int32_t));
  std::fill(bad.begin(), bad.begin() + rows + wanted, 0);
  device->upload(work.bad, bad.data(), rows + wanted);
  kernels::Batch batch{.rows = static_cast<int>(rows), .token = ints, .position = ints + rows, .sequence = ints + 2 * rows,
                       .page_table = page_table, .max_pages = pages_for(options.context),
                       .last_position = *std::max_element(step.position.begin(), step.position.end())};
  for (const StepPart& part : step.parts) {
    if (part.rows == 1 && batch.alone == part.first_row) batch.alone++;
    batch.longest_run = std::max(batch.longest_run, part.rows);
  }
  device->step(batch, static_cast<int>(wanted), [&] {
    forward(*device, config, weights, batch, ints + 3 * rows, static_cast<int>(wanted), kv, work, work.bad, work.bad + rows);
  });
}

void Engine::Impl::show_rows() {
  if (!observer) return;
  std::vector<float> row(config.vocab);
  for (const StepPart& part : step.parts) {
    if (part.wanted < 0) continue;
    device->download(row.data(), work.logits + static_cast<size_t>(part.wanted) * config.vocab, row.size() * sizeof(float));
    const Running& r = static_cast<const Running&>(*part.sequence);
    observer(r.request.id, static_cast<int>(r.tokens.size()), row.data(), config.vocab);
  }
}

void Engine::Impl::choose() {
  max_top = 0;
  for (const StepPart& part : step.parts) {
    if (part.wanted < 0) continue;
    const Running& r = static_cast<const Running&>(*part.sequence);
    const Decoding& d = r.request.decoding;
    const std::vector<int32_t>& seen = r.seen.ids();
    specs[part.wanted] = {.temperature = d.temperature, .top_k = d.top_k, .top_p = d.top_p, .min_p = d.min_p,
                          .repetition_penalty = d.repetition_penalty, .seen = seen.data(), .seen_count = static_cast<int>(seen.size()),
                          .noise_key = r.request.noise_key, .sample_index = r.request.sample_index,
                          .position = static_cast<uint32_t>(r.tokens.size()), .top_logprobs = std::min(d.logprobs, vocab)};
    max_top = std::max(max_top, specs[part.wanted].top_logprobs);
  }
  const int rows = static_cast<int>(step.wanted.size());
  if (top.size() < static_cast<size_t>(rows) * max_top) top.resize(static_cast<size_t>(rows) * max_top);
  device->sample(work.logits, rows, vocab, config.vocab, specs.data(), chosen.data(), max_top ? top.data() : nullptr, max_top);
}

// Takes in what a step did for one sequence.
void Engine::Impl::settle(const StepPart& part) {
  Running& r = static_cast<Running&>(*part.sequence);
  (r.computed < r.prompt ? stats.prompt_rows : stats.decode_rows) += part.rows;
  bool sound = std::none_of(bad.begin() + part.first_row, bad.begin() + part.first_row + part.rows, [](uint8_t b) { return b != 0; });
  if (sound && part.wanted >= 0) sound = !bad[step.rows() + part.wanted] && !chosen[part.wanted].bad && chosen[part.wanted].token >= 0;
  if (!sound) {
    r.answer.end(Status::numeric_error);
    return finish(r);
  }
  scheduler.complete(part);
  if (part.wanted < 0) return;
  const kernels::Sampled& c = chosen[part.wanted];
  AnswerToken token{c.token, c.logprob, c.runner_up, c.margin, {}};
  const auto alternatives = top.begin() + static_cast<size_t>(part.wanted) * max_top;
  token.top.assign(alternatives, alternatives + specs[part.wanted].top_logprobs);
  r.tokens.push_back(c.token);
  r.note(c.token);
  if (r.answer.push(std::move(token))) finish(r);
}

void Engine::Impl::finish(Running& r) {
  stats.cached_rows += r.cached;
  Answer& answer = r.answer.answer();
  answer.id = r.request.id;
  answer.prompt_tokens = r.prompt;
  ready.push_back(std::move(answer));
  scheduler.retire(&r);
  live.erase(r.self);
}

std::vector<float> Engine::Impl::logits(const std::vector<int32_t>& prompt) {
  IBID_CHECK(live.empty());
  check_ids(prompt);
  const int n = static_cast<int>(prompt.size()), stride = std::min(options.chunk, options.max_batch);
  if (n > options.context)
    throw Error(ErrorKind::bad_data, path,
                "a prompt of " + std::to_string(n) + " tokens exceeds the context of " + std::to_string(options.context));
  std::vector<int32_t> table(pages_for(n));
  for (int32_t& page : table) page = pages.acquire();
  device->upload(page_table, table.data(), table.size() * sizeof(int32_t));
  std::vector<float> all(static_cast<size_t>(n) * config.vocab);
  int first_bad = -1;
  for (int start = 0; start < n; start += stride) {
    step = Step();
    for (int i = start; i < std::min(n, start + stride); i++) {
      step.token.push_back(prompt[i]), step.position.push_back(i), step.slot.push_back(0), step.wanted.push_back(i - start);
    }
    step.parts.push_back({nullptr, 0, step.rows(), -1});
    evaluate();
    const size_t rows = step.rows();
    device->download(all.data() + static_cast<size_t>(start) * config.vocab, work.logits, rows * config.vocab * sizeof(float));
    device->download(bad.data(), work.bad, 2 * rows);
    for (size_t i = 0; i < rows && first_bad < 0; i++) if (bad[i] || bad[rows + i]) first_bad = start + static_cast<int>(i);
  }
  for (int32_t page : table) pages.release(page);
  device->upload(page_table, scheduler.page_table().data(), scheduler.page_table().size() * sizeof(int32_t));
  device->sync();
  if (first_bad >= 0) throw Error(ErrorKind::bad_data, path, "numeric error at position " + std::to_string(first_bad) + " of the prompt");
  return all;
}

Engine::Engine(std::unique_ptr<kernels::Device> device, const ModelFiles& model, const Tokenizer& tokenizer, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(std::move(device), model, tokenizer, options)) {}
Engine::~Engine() = default;
void Engine::submit(Request request) { impl_->submit(std::move(request)); }
int Engine::pending() const { return static_cast<int>(impl_->live.size() + impl_->ready.size()); }
int Engine::capacity() const { return 2 * impl_->options.max_batch; }
bool Engine::advance() { return impl_->advance(); }
std::optional<Answer> Engine::next() { return impl_->next(); }
std::vector<float> Engine::logits(const std::vector<int32_t>& prompt) { return impl_->logits(prompt); }
void Engine::observe(Observer observer) { impl_->observer = std::move(observer); }
const EngineStats& Engine::stats() const { return impl_->stats; }
kernels::Device& Engine::device() { return *impl_->device; }

}  // namespace ibid::runtime
