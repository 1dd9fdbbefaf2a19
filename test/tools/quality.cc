// How far ibid's arithmetic is from the exact model: KL divergence and changed top tokens over real text, and greedy answers.
//   quality MODEL [--positions N] [--prompts N] [--tokens N] [--threads N] [--margin LOGITS] [--text FILE] [--prompt-file FILE]
// Prints a Markdown report on stdout; exits 1 when w16a16 misses a bar or a greedy answer differs where it must not.
//
// 1. The truth is a float64 forward pass on the same stored weights (oracle64.h).
// 2. Text is cut into windows of kWindow tokens; every position of a window is compared, the first ones too.
// 3. Greedy answers are checked by feeding prompt and answer to the float64 pass: if at each position its best token, given
//    ibid's tokens so far, is ibid's token, then by induction its own greedy answer is the same.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>

#include "runtime/engine.h"
#include "runtime/template.h"
#include "test/tools/oracle64.h"

using namespace ibid;
using namespace ibid::runtime;
using kernels::Profile;
using oracle::Oracle;

namespace {

constexpr int kWindow = 256;
constexpr int kLogitRows = 64;            // rows of logits that are compared at a time: they are the large thing
constexpr double kMaxKl = 5e-6;           // bars of w16a16
constexpr double kMaxChangedShare = 0.003;

struct Options {
  std::string model;
  std::string text = IBID_TEST_DATA_DIR "/quality.txt", prompts_file = IBID_TEST_DATA_DIR "/quality_prompts.txt";
  int positions = 1536, prompts = 20, tokens = 64, threads = kernels::default_threads();
  double margin = 1e-3;                   // logits; below it two tokens are as good as equal
};

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(ErrorKind::not_found, path, "no such file");
  return std::string(std::istreambuf_iterator<char>(in), {});
}

struct Score {
  double kl = 0;
  int changed = 0, positions = 0;
  double mean_kl() const { return kl / positions; }
  double changed_share() const { return static_cast<double>(changed) / positions; }
};

template <class T>
int best(const T* logits, int vocab) { return static_cast<int>(std::max_element(logits, logits + vocab) - logits); }

template <class T>
double log_sum(const T* logits, int vocab) {
  double most = logits[best(logits, vocab)], sum = 0;
  for (int i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(logits[i]) - most);
  return most + std::log(sum);
}

// KL(p || q) of one row; p float64 logits.
template <class T>
void compare(const double* p, const T* q, int vocab, Score& score) {
  double p_sum = log_sum(p, vocab), q_sum = log_sum(q, vocab), kl = 0;
  for (int i = 0; i < vocab; ++i) {
    double log_p = p[i] - p_sum;
    kl += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_sum));
  }
  if (!std::isfinite(kl)) throw Error(ErrorKind::internal, "quality", "a logit is not finite");
  score.kl += kl;
  score.changed += best(p, vocab) != best(q, vocab);
  score.positions += 1;
}

std::unique_ptr<Engine> make_engine(const ModelFiles& model, const Tokenizer& tokenizer, Profile profile, const Options& o) {
  EngineOptions options;
  options.profile = profile;
  options.context = std::min(model.config.max_positions, 512);
  options.max_batch = 32;
  return std::make_unique<Engine>(kernels::make_cpu_device(kernels::best_isa(), o.threads), model, tokenizer, options);
}

std::vector<std::vector<int32_t>> windows_of(const std::vector<int32_t>& ids, int positions, int window) {
  std::vector<std::vector<int32_t>> out;
  int left = std::min<int>(positions, static_cast<int>(ids.size()));
  for (auto at = ids.begin(); left > 0; left -= window) {
    int size = std::min(left, window);
    out.emplace_back(at, at + size);
    at += size;
  }
  return out;
}

struct Scores { Score bf16, w8a16, w16a16; };

Scores score_text(const ModelFiles& model, const Tokenizer& tokenizer, const std::vector<std::vector<int32_t>>& windows, const Options& o) {
  const int hidden = model.config.hidden, vocab = model.config.vocab;
  Oracle<oracle::Float64> exact(model, o.threads);
  Oracle<oracle::Bf16> bf16(model, o.threads);
  const std::vector<double> exact_hidden = exact.forward(windows);
  const std::vector<float> bf16_hidden = bf16.forward(windows);
  std::unique_ptr<Engine> w16 = make_engine(model, tokenizer, Profile::w16a16, o), w8 = make_engine(model, tokenizer, Profile::w8a16, o);
  Scores s;
  size_t row = 0;
  for (const std::vector<int32_t>& window : windows) {
    const std::vector<float> w16_logits = w16->logits(window), w8_logits = w8->logits(window);
    const int size = static_cast<int>(window.size());
    for (int from = 0; from < size; from += kLogitRows) {
      const int count = std::min(kLogitRows, size - from);
      const std::vector<double> p = exact.logits(&exact_hidden[(row + from) * hidden], count);
      const std::vector<float> q = bf16.logits(&bf16_hidden[(row + from) * hidden], count);
      for (int i = 0; i < count; ++i) {
        const double* truth = &p[static_cast<size_t>(i) * vocab];
        compare(truth, &q[static_cast<size_t>(i) * vocab], vocab, s.bf16);
        compare(truth, &w16_logits[static_cast<size_t>(from + i) * vocab], vocab, s.w16a16);
        compare(truth, &w8_logits[static_cast<size_t>(from + i) * vocab], vocab, s.w8a16);
      }
    }
    row += window.size();
  }
  return s;
}

// --- greedy answers -------------------------------------------------------------------------------------------------

std::string token_text(const Tokenizer& tokenizer, int32_t id) { return id < 0 ? "" : std::string(tokenizer.token_text(id)); }

std::vector<std::vector<int32_t>> read_prompts(const ModelFiles& model, const Tokenizer& tokenizer, const Options& o) {
  std::vector<std::vector<int32_t>> out;
  std::ifstream in(o.prompts_file);
  for (std::string line; static_cast<int>(out.size()) < o.prompts && std::getline(in, line);) {
    if (model.chat_template.empty()) {
      out.push_back(tokenizer.encode(line, Tokenizer::Specials::as_text, Tokenizer::AddBos::as_model_says));
      continue;
    }
    ChatPrompt chat;
    chat.messages = Json(Json::Array{Json(Json::Object{{"role", "user"}, {"content", Json(line)}})});
    chat.bos_token = token_text(tokenizer, tokenizer.bos_id());
    chat.eos_token = token_text(tokenizer, tokenizer.eos_id());
    chat.date = "2026-11-22";
    std::string text = render_chat(Template(model.chat_template, "chat template", UndefinedIs::empty), chat);
    out.push_back(tokenizer.encode(text, Tokenizer::Specials::recognise, Tokenizer::AddBos::no));
  }
  if (static_cast<int>(out.size()) < o.prompts) throw Error(ErrorKind::bad_data, o.prompts_file, "fewer lines than --prompts asks for");
  return out;
}

std::vector<Answer> answer_greedily(Engine& engine, const std::vector<std::vector<int32_t>>& prompts, int tokens) {
  std::vector<Answer> answers(prompts.size());
  for (size_t i = 0; i < prompts.size(); ++i) {
    Request r;
    r.id = i;
    r.prompt = prompts[i];
    r.decoding.max_tokens = tokens;
    engine.submit(std::move(r));
  }
  while (std::optional<Answer> a = engine.next()) answers[a->id] = std::move(*a);
  return answers;
}

struct Difference { size_t prompt, token; double margin; };
struct Greedy { int tokens = 0, close = 0, close_and_different = 0; std::vector<Difference> different; };

void compare_token(const double* logits, int vocab, int32_t token, size_t prompt, size_t at, double least_margin, Greedy& g) {
  int top = best(logits, vocab);
  double second = -INFINITY;
  for (int i = 0; i < vocab; ++i)
    if (i != top) second = std::max(second, logits[i]);
  const double margin = logits[top] - second;
  const bool close = margin <= least_margin, different = top != token;
  g.tokens += 1;
  g.close += close;
  g.close_and_different += close && different;
  if (different && !close) g.different.push_back({prompt, at, margin});
}

Greedy check_answers(const ModelFiles& model, const Tokenizer& tokenizer, const Options& o) {
  const int hidden = model.config.hidden, vocab = model.config.vocab;
  const std::vector<std::vector<int32_t>> prompts = read_prompts(model, tokenizer, o);
  std::unique_ptr<Engine> engine = make_engine(model, tokenizer, Profile::w16a16, o);
  const std::vector<Answer> answers = answer_greedily(*engine, prompts, o.tokens);
  std::vector<std::vector<int32_t>> whole = prompts;
  for (size_t i = 0; i < answers.size(); ++i)
    for (const AnswerToken& t : answers[i].tokens) whole[i].push_back(t.id);
  Oracle<oracle::Float64> exact(model, o.threads);
  const std::vector<double> states = exact.forward(whole);
  Greedy g;
  size_t row = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    // The state of the prompt's last token chooses the answer's first one.
    const std::vector<double> logits = exact.logits(&states[(row + prompts[i].size() - 1) * hidden],
                                                    static_cast<int>(answers[i].tokens.size()));
    for (size_t t = 0; t < answers[i].tokens.size(); ++t)
      compare_token(&logits[t * vocab], vocab, answers[i].tokens[t].id, i, t, o.margin, g);
    row += whole[i].size();
  }
  return g;
}

// --- report ---------------------------------------------------------------------------------------------------------

void print_score(const char* name, const Score& s) {
  std::printf("| %s | %.2e | %d | %.2f %% |\n", name, s.mean_kl(), s.changed, 100 * s.changed_share());
}

bool report(const Options& o, const Scores& s, const Greedy& g, int windows) {
  std::printf("Text: %d positions in %d windows, against float64 on the same stored weights.\n\n", s.w16a16.positions, windows);
  std::printf("| arithmetic | mean KL (nats) | changed top-1 | share |\n|---|---|---|---|\n");
  print_score("w16a16", s.w16a16);
  print_score("w8a16", s.w8a16);
  print_score("bf16", s.bf16);
  // Fewer positions than the bar can resolve: one changed token is allowed.
  double allowed = std::max(1.0, kMaxChangedShare * s.w16a16.positions);
  bool kl_ok = s.w16a16.mean_kl() <= kMaxKl, top_ok = s.w16a16.changed <= allowed, greedy_ok = g.different.empty() && g.tokens >= o.prompts;
  std::printf("\nw16a16: mean KL at most %.0e: %s; at most %.1f changed: %s\n", kMaxKl, kl_ok ? "yes" : "NO", allowed,
              top_ok ? "yes" : "NO");
  std::printf("\nGreedy answers of w16a16: %d prompts, %d tokens; %d with a float64 margin of at most %.0e (%d of them differ); "
              "of the others %zu differ: %s\n",
              o.prompts, g.tokens, g.close, o.margin, g.close_and_different, g.different.size(), greedy_ok ? "yes, the same" : "NO");
  for (const Difference& d : g.different)
    std::printf("- prompt %zu, token %zu: float64 margin %.2e\n", d.prompt + 1, d.token + 1, d.margin);
  return kl_ok && top_ok && greedy_ok;
}

Options parse_options(int argc, char** argv) {
  Options o;
  auto usage = [] {
    throw Error(ErrorKind::usage, "quality",
                "usage: quality MODEL [--positions N] [--prompts N] [--tokens N] [--threads N] [--margin LOGITS] "
                "[--text FILE] [--prompt-file FILE]");
  };
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg.compare(0, 2, "--") != 0) { o.model = arg; continue; }
    if (++i == argc) usage();
    int number = std::atoi(argv[i]);
    if (arg == "--positions") o.positions = number;
    else if (arg == "--prompts") o.prompts = number;
    else if (arg == "--tokens") o.tokens = number;
    else if (arg == "--threads") o.threads = number;
    else if (arg == "--margin") o.margin = std::atof(argv[i]);
    else if (arg == "--text") o.text = argv[i];
    else if (arg == "--prompt-file") o.prompts_file = argv[i];
    else usage();
  }
  if (o.model.empty() || o.positions < 1 || o.prompts < 1 || o.tokens < 1 || o.threads < 1) usage();
  return o;
}

}  // namespace

int main(int argc, char** argv) try {
  Options o = parse_options(argc, argv);
  ModelFiles model = open_model(o.model);
  Tokenizer tokenizer = model.gguf ? Tokenizer::from_gguf(model.tokenizer)
                                   : Tokenizer::from_huggingface(model.tokenizer, model.tokenizer_config);
  std::vector<int32_t> ids = tokenizer.encode(read_file(o.text), Tokenizer::Specials::as_text, Tokenizer::AddBos::no);
  std::vector<std::vector<int32_t>> windows = windows_of(ids, o.positions, std::min(kWindow, model.config.max_positions));
  Scores scores = score_text(model, tokenizer, windows, o);
  if (scores.w16a16.positions < o.positions) throw Error(ErrorKind::bad_data, o.text, "has fewer tokens than --positions asks for");
  return report(o, scores, check_answers(model, tokenizer, o), static_cast<int>(windows.size())) ? 0 : 1;
} catch (const Error& e) {
  std::fprintf(stderr, "%s: %s\n", e.where.c_str(), e.what());
  return 2;
}
