// The journal of a run: answers as they are finished, in a file beside the output, so that the run can be taken up again.
//
// Format: "ibidjnl1", 32 bytes config id, 8 bytes head of SHA-256 of those 40; then sealed answers (answer_store.h).
// 1. Safe against an end at any moment: what was appended is found again; a torn tail is recognised by its seal and dropped.
//    A crash of the machine loses what the last kSyncSeconds wrote, at most.
// 2. A full disk is an io error; nothing that was appended before is lost.
// 3. A journal of another step is not used but renamed to NAME.(8 digits of its header's digest).old, and back when its step runs again.
//    Answers are found by their prompts: another input cannot get a wrong one.
// 4. Memory: some 80 bytes for each answer that was found at the start.
// 5. One that holds no answer is not left behind; one that another run has open is neither cut, nor set aside, nor removed.
#pragma once
#include <string>
#include <unordered_map>

#include "step/answer_store.h"

namespace ibid::step {

class Journal : public AnswerStore {
 public:
  static std::string path_beside(const std::string& output);   // ".NAME.ibid-journal" in the same folder, NAME cut where it must be
  // Errors: cannot_create, io.
  Journal(const std::string& path, const std::string& config_id, bool with_top);
  ~Journal() override;
  std::optional<AnswerRecord> find(const Digest& key) override;
  void keep(const Digest& key, const AnswerRecord& answer) override;
  void remove();                                       // the run is whole; another run's stays
  uint64_t known() const { return known_.size(); }     // answers that were found at the start
  uint64_t held() const { return known() + kept_; }    // those, and what came since
  const std::string& path() const { return path_; }

 private:
  static constexpr double kSyncSeconds = 5;
  struct KeyHash { size_t operator()(const Digest& d) const; };
  uint64_t open();                                     // returns its size
  void share() const;
  bool alone() const;
  std::string aside(std::string_view header) const;    // what a journal that begins so is called meanwhile
  void set_aside();
  std::string read(uint64_t offset, uint64_t size) const;     // shorter at the end of the file
  void append(const std::string& bytes);
  uint64_t load(const std::string& header);            // returns where the sound part ends; 0: not a journal of this step
  std::string path_;
  bool with_top_;
  int fd_ = -1;
  bool empty_ = true;
  double synced_ = 0;
  uint64_t kept_ = 0;
  struct Place { uint64_t offset, size; };
  std::unordered_map<Digest, Place, KeyHash> known_;   // asked, never walked through
};

}  // namespace ibid::step
