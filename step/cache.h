// A folder of answers that many runs share: content-addressed, bounded, and never needed.
//
// Layout: FOLDER/ibid-answers-1/HH/REST, where HHREST is the key in hexadecimal and the file one sealed answer (answer_store.h).
// 1. No locks and no index: an entry is written under a name of its own and renamed, so that it is there whole or not at all,
//    on network file systems too; two processes that write the same entry write the same bytes.
// 2. An entry that is damaged, or of another key, is not used: the answer is computed again and replaces it.
// 3. The bound holds for all processes together without their knowing of each other: keys are uniform, so each of the 256
//    folders gets 1/256 of it. A process that has written 1/4096 of the bound looks at one folder, then at the next, and
//    removes the entries that were used longest ago; so the bound is passed by a sixteenth or so, however many write.
// 4. A cache that cannot be written any more (a full disk) is said once and not used further: it never fails a run.
#pragma once
#include <string>

#include "step/answer_store.h"

namespace ibid::step {

constexpr uint64_t kSmallestCache = uint64_t{16} << 20, kDefaultCache = uint64_t{10} << 30;

class Cache : public AnswerStore {
 public:
  // Errors: cannot_create.
  Cache(const std::string& folder, uint64_t max_bytes, bool with_top);
  ~Cache() override;                                   // looks at one folder more, so that short runs keep the bound too
  std::optional<AnswerRecord> find(const Digest& key) override;
  void keep(const Digest& key, const AnswerRecord& answer) override;

 private:
  std::string folder_of(unsigned number) const;
  std::string path_of(const Digest& key) const;
  bool write(const std::string& path, const std::string& bytes);
  void trim_next();
  std::string root_;
  uint64_t max_bytes_, written_ = 0;
  bool with_top_, writable_ = true, damage_said_ = false, denied_said_ = false;
  uint64_t process_;                                   // a number that no other process has
  uint64_t files_ = 0;
  unsigned next_folder_;
};

}  // namespace ibid::step
