// See answer.h.
#include "runtime/answer.h"

#include <algorithm>
#include <utility>

#include "runtime/error.h"

namespace ibid::runtime {

const char* status_name(Status status) {
  switch (status) {
    case Status::ok: return "ok";
    case Status::truncated: return "truncated";
    case Status::overflow: return "overflow";
    case Status::numeric_error: return "numeric_error";
  }
  return "?";
}

AnswerBuilder::AnswerBuilder(const Tokenizer& tokenizer, const std::vector<int32_t>& end_ids, std::vector<std::string> stop, int budget)
    : end_ids_(&end_ids), stream_(tokenizer), stop_(std::move(stop)), budget_(budget) {
  for (const std::string& s : stop_) {
    IBID_CHECK(!s.empty());
    longest_stop_ = std::max(longest_stop_, s.size());
  }
  answer_.tokens.reserve(std::min(budget, kExpectedTokens));
}

bool AnswerBuilder::push(AnswerToken token) {
  const int32_t id = token.id;
  answer_.tokens.push_back(std::move(token));
  if (std::binary_search(end_ids_->begin(), end_ids_->end(), id)) {
    end(Status::ok);
    return true;
  }
  answer_.text += stream_.push(id);
  if (cut_at_stop()) {
    answer_.status = Status::ok;
    return true;
  }
  if (static_cast<int>(answer_.tokens.size()) < budget_) return false;
  end(Status::truncated);
  return true;
}

void AnswerBuilder::end(Status status) {
  answer_.status = status;
  answer_.text += stream_.finish();
  if (cut_at_stop() && status == Status::truncated) answer_.status = Status::ok;
}

// Cuts the text before the first stop string, when there is one. Only text not yet searched is looked at.
bool AnswerBuilder::cut_at_stop() {
  size_t first = std::string::npos;
  for (const std::string& s : stop_) first = std::min(first, answer_.text.find(s, searched_));
  if (first != std::string::npos) {
    answer_.text.resize(first);
    return true;
  }
  if (longest_stop_ && answer_.text.size() >= longest_stop_) searched_ = answer_.text.size() - longest_stop_ + 1;
  return false;
}

}  // namespace ibid::runtime
