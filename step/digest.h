// SHA-256 of bytes, streams and files, and the Merkle tree over records. The only door to OpenSSL.
//
// 1. A digest in text is "sha256:" and 64 lower-case hexadecimal digits; a bare hex form is used only for names of blobs.
// 2. The Merkle tree is RFC 6962's: leaf = H(0x00 || data), node = H(0x01 || left || right), split at the largest power of two
//    below n. Segments of 8,192 leaves are whole subtrees, so a root over segment roots is the root over all leaves.
#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace ibid::step {

using Digest = std::array<uint8_t, 32>;

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  void update(std::string_view bytes);
  Digest finish();                                    // once
  Sha256 copy() const;                                // of what it was given so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(std::string_view bytes);
std::string sha256_hex(std::string_view bytes);       // 64 hex digits
std::string digest_text(const Digest& digest);        // "sha256:..."
std::string hex(const Digest& digest);
std::string digest_of(std::string_view bytes);        // "sha256:..." of bytes
bool is_digest_text(std::string_view text);
Digest parse_digest(std::string_view text);           // REQUIRES: is_digest_text; "sha256:..."
Digest hmac_sha256(std::string_view key, std::string_view bytes);
std::string digest_of_file(const std::string& path);  // "sha256:..."; errors: not_found, io

Digest merkle_leaf(std::string_view data);
Digest merkle_node(const Digest& left, const Digest& right);
// Root over already hashed leaves or over roots of whole, equal subtrees; of none: H("").
Digest merkle_root(const std::vector<Digest>& hashed);

}  // namespace ibid::step
