// The one table of commands and flags: parsing, help, the manual page and completions come from it.
#include "step/commands.h"

#include "step/outputs.h"
#include "step/session.h"

namespace ibid::step {
namespace {

std::vector<Flag> with(std::vector<Flag> flags, const std::vector<Flag>& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"run", "STEP.yaml [INPUT...]", 1, -1,
       "run a step over its input\nReads standard input when no INPUT is named. gzip and zstd are recognised by content.",
       "ibid run step.yaml samples.tsv --model models/ -o answers.jsonl --bundle answers.ibid.tar",
       with(with(Outputs::flags(),
                 {{"--run-record", "FILE", "write what differs from run to run: time, host, device, speed (JSON)"},
                  {"--model", "PATH", "GGUF file, Hugging Face folder, or a folder of models"},
                  {"--file", "NAME=PATH", "where to find a side file (its digest must still match)"},
                  {"--set", "KEY=VALUE", "change the step before it is checked, e.g. decoding.max_tokens=20"},
                  {"--shard", "I/N", "answer only part I of N; 'ibid merge' puts the bundles together"},
                  {"--resume", nullptr, "keep a journal beside the output, and go on from the one that is there"},
                  {"--cache", "DIR", "keep answers in this folder, and reuse those in it; runs may share it"},
                  {"--cache-size", "BYTES", "how large the cache may grow (default 10G); what was used longest ago goes first"}}),
            device_flags()),
       command_run},
      {"merge", "BUNDLE...", 1, -1,
       "put the shards of a run together, in any order\nWrites what the run without shards writes, and exits as it does.",
       "ibid merge part-*.ibid.tar -o answers.jsonl --bundle answers.ibid.tar",
       with(Outputs::flags(), {{"--input", "FILE", "the whole input, when BUNDLEs are runs over pieces of it (records need ids)"},
                              {"--model", "PATH", "the model, for --embed-model, and for log-probabilities with --input"}}),
       command_merge},
      {"rerun", "BUNDLE", 1, 1,
       "run an archived step again and compare every byte\nExit 0: identical; 3: differs; 5: cannot be compared (another model).",
       "ibid rerun answers.ibid.tar --model models/ --sample 100",
       with({{"--model", "PATH",
              "GGUF file, folder, or a folder of models; not needed when the model is embedded (it is unpacked below TMPDIR)"},
             {"--records", "ID,...", "only these records"},
             {"--sample", "K", "only K records, chosen by the bundle's own digest"},
             {"--other-model", nullptr, "compare even if the model is not the one of the bundle"}},
            device_flags()),
       command_rerun},
      {"verify", "BUNDLE...", 1, -1,
       "check every digest of a bundle; needs no model\n"
       "Exit 0: sound; 4: damaged, with the names of the damaged parts, or not the expected one.\n"
       "Of several bundles all are checked, and the exit code is that of the first that fails.",
       "ibid verify answers.ibid.tar --expect sha256:...", {{"--expect", "ID", "the bundle id that it must have"}}, command_verify},
      {"show", "BUNDLE [RECORD]", 1, 2, "print what a bundle holds: configuration and ids, or one record with prompt and answer",
       "ibid show answers.ibid.tar S01",
       {{"--json", nullptr, "print as JSON, as the bundle has it: the configuration, or the record's leaves"},
        {"--rows", "FILE", "write the answers again, as the run wrote them (-: standard output)"},
        {"--model", "PATH", "the model, for log-probabilities in --rows"},
        {"--html", "FILE", "write one self-contained page of the whole bundle"},
        {"--limit", "N", "how many records the page shows (default 1000)"}},
       command_show},
      {"diff", "A B", 2, 2,
       "say why two steps, or two bundles, differ: the field, the record, the token\n"
       "Records are compared by id, or by place where the steps name none.\nExit 0: the same; 3: they differ.",
       "ibid diff old.ibid.tar new.ibid.tar",
       {{"--answers", nullptr, "list only records whose answers differ in status or text"},
        {"--limit", "N", "how many differing records to list, and records of one side to name (default 10)"}},
       command_diff},
      {"pin", "MODEL", 1, 1, "compute a model's digest and print the manifest stanza for it",
       "ibid pin models/SmolLM2-135M-Instruct.Q4_1.gguf",
       {{"--write", nullptr, "also write MODEL.ibid.json, by which --model finds it in a folder of models"}}, command_pin},
      {"lint", "STEP.yaml [INPUT...]", 1, -1,
       "say everything that is wrong with a step, with line, column and hint\n"
       "With INPUT it also lists records that cannot be read, or for which the step's templates fail. It needs no model, so it\n"
       "does not see what the model decides: chat template, special tokens, truncation.",
       "ibid lint step.yaml samples.tsv",
       {{"--file", "NAME=PATH", "where to find a side file"}, {"--set", "KEY=VALUE", "change the step before it is checked"}},
       command_lint},
      {"freeze", "STEP.yaml", 1, 1, "write one self-contained step: side files inlined, defaults spelled out",
       "ibid freeze step.yaml -o frozen.yaml",
       {{"-o", "FILE", "where it goes (default -, standard output)"},
        {"--file", "NAME=PATH", "where to find a side file"},
        {"--set", "KEY=VALUE", "change the step first"}},
       command_freeze},
      {"selftest", "", 0, 0, "recompute golden digests on every instruction set and the GPU of this machine", "ibid selftest --device cuda",
       {{"--device", "auto|cpu|cuda[:N]", "cpu: not the GPU; cuda: only the GPU, which must be there (default auto: both)"},
        {"--wait-gpu", "S", "wait up to S seconds for a GPU that is busy"},
        {"--isa", "scalar|avx2|avxvnni|avx512|amx|neon", "only this instruction set"},
        {"--threads", "N", "CPU threads"},
        {"--print", nullptr, "print the digests that were computed"}},
       command_selftest},
      {"bench", "", 0, 0, "measure tokens per second against what this machine can reach", "ibid bench --shape qwen2-0.5b --profile w8a16",
       {{"--model", "PATH", "a real model instead of random weights"},
        {"--shape", "qwen2-0.5b|llama-1b|llama-8b|tiny", "random weights of a shape (default qwen2-0.5b)"},
        {"--prompt", "N", "length of the prompt whose prefill is timed, in tokens (default 512, or what the model takes)"},
        {"--sequences", "N", "sequences decoded at once; one alone is timed as well (default 32)"},
        {"--chunk", "N", "largest number of rows in one step (default 512, on a GPU 2048)"},
        {"--profile", "w16a16|w8a16", "numeric profile (default w16a16)"},
        {"--device", "auto|cpu|cuda[:N]", "what to measure (default auto)"},
        {"--isa", "scalar|avx2|avxvnni|avx512|amx|neon", "instruction set"},
        {"--threads", "N", "CPU threads"},
        {"--format", "text|tsv", "form of the table (default text)"},
        {"--repeat", "N", "how many runs; the median counts (default 3)"}},
       command_bench},
      {"completions", "bash|zsh|fish", 1, 1, "print the completions of a shell; packages install them", "source <(ibid completions bash)",
       {}, command_completions},
      {"man", "", 0, 0, "print the manual page; packages install it", "ibid man | man -l -", {}, command_man},
  };
  return table;
}

}  // namespace ibid::step
