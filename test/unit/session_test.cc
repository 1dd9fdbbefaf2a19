// Records that come while others are answered: nobody waits for a pipe that is quiet, and who comes late joins the batch.
#include "step/session.h"

#include "test/catch.h"

using namespace ibid;
using namespace ibid::step;

namespace {

const std::string kExamples = test::source_dir() + "/examples/";

// The quickstart's step on the shipped model, with answers of so many tokens.
struct Prepared {
  explicit Prepared(const std::string& tokens)
      : manifest(read_manifest(kExamples + "quickstart/step.yaml", {{}, {"decoding.max_tokens=" + tokens}})),
        session(manifest, kExamples + "models/biosample-tiny",
                Args(*find_command("run"), {"step.yaml", "--device", "cpu", "--threads", "2"}), std::nullopt) {}
  Manifest manifest;
  Session session;
};

Record record_number(int i) {
  Record record;
  record.index = static_cast<uint64_t>(i);
  record.id = "S" + std::to_string(i);
  record.fields = {{"sample", Json(record.id)}, {"annotation", Json("liver biopsy, patient " + std::to_string(i))}};
  return record;
}

}  // namespace

TEST_CASE("what is there is answered before anybody waits for a quiet source") {
  Prepared p("8");
  int given = 0, answered = 0;
  const RecordSource source{[&](Record& record) {
                              CHECK(answered == given);            // whoever asks now waits for a pipe
                              if (given == 3) return false;
                              record = record_number(given++);
                              return true;
                            },
                            [] { return true; }};
  answer_all(p.session, source, [&](Answered&& a) { CHECK(a.record.id == "S" + std::to_string(answered++)); });
  CHECK(answered == 3);
}

TEST_CASE("a record that comes while another is decoded joins the next step, and changes nothing of it") {
  Prepared p("24");
  auto answer = [&](int second_after) {                // steps of the first before the second comes
    int given = 0;
    const uint64_t before = p.session.engine().stats().steps;
    auto steps = [&] { return p.session.engine().stats().steps - before; };
    std::vector<std::string> outcomes;
    const RecordSource source{[&](Record& record) {
                                if (given == 2) return false;
                                record = record_number(given++);
                                return true;
                              },
                              [&] { return given == 1 && steps() < static_cast<uint64_t>(second_after); }};
    answer_all(p.session, source, [&](Answered&& a) { outcomes.push_back(a.outcome_leaf_text(false)); });
    return std::make_pair(outcomes, steps());
  };
  const auto [one_by_one, most] = answer(1000);
  REQUIRE(one_by_one.size() == 2);
  CHECK(most >= 48);                                   // one after the other
  for (int after : {0, 1, 10}) {
    const auto [outcomes, steps] = answer(after);
    CHECK(outcomes == one_by_one);
    CHECK(steps <= most / 2 + static_cast<uint64_t>(after) + 5);
  }
}
