// SHA-256 and Merkle roots against published vectors and the recursive definition.
#include "step/digest.h"

#include "test/catch.h"

using namespace ibid::step;

static Digest recursive_root(const std::vector<Digest>& leaves, size_t from, size_t to) {
  if (to - from == 1) return leaves[from];
  size_t split = 1;
  while (split * 2 < to - from) split *= 2;
  return merkle_node(recursive_root(leaves, from, from + split), recursive_root(leaves, from + split, to));
}

TEST_CASE("sha256 and hmac give the published digests") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(hmac_sha256("Jefe", "what do ya want for nothing?")) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(parse_digest(digest_of("abc")) == sha256("abc"));
  CHECK_FALSE(is_digest_text("sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"));
  const std::string digits(64, 'a');
  CHECK(is_digest_text("sha256:" + digits));
  for (const std::string& bad : {"sha256:g" + digits.substr(1), "sha256:" + digits.substr(1) + "g", "sha256:" + digits + "a",
                                 "sha256:" + digits.substr(1), "sha512:" + digits}) {
    INFO(bad);
    CHECK_FALSE(is_digest_text(bad));
  }
}

TEST_CASE("the Merkle root is RFC 6962's, and segments of whole subtrees compose") {
  CHECK(hex(merkle_root({})) == sha256_hex(""));
  CHECK(hex(merkle_leaf("")) == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");   // RFC 6962 test vector
  std::vector<Digest> leaves;
  for (int i = 0; i < 77; ++i) {
    leaves.push_back(merkle_leaf(std::to_string(i)));
    CHECK(merkle_root(leaves) == recursive_root(leaves, 0, leaves.size()));
  }
  std::vector<Digest> segments;
  for (size_t i = 0; i < leaves.size(); i += 16)
    segments.push_back(merkle_root({leaves.begin() + static_cast<long>(i),
                                    leaves.begin() + static_cast<long>(std::min(i + 16, leaves.size()))}));
  CHECK(merkle_root(segments) == merkle_root(leaves));
}
