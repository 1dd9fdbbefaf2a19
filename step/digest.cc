// See digest.h.
#include "step/digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "runtime/error.h"

namespace ibid::step {
namespace {

// Fetched once: EVP_sha256() is looked up in OpenSSL's providers, under their locks, for each digest that it begins.
const EVP_MD* algorithm() {
  static const EVP_MD* const sha = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  IBID_CHECK(sha);
  return sha;
}

}  // namespace

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  IBID_CHECK(state_->context && EVP_DigestInit_ex(state_->context, algorithm(), nullptr) == 1);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::string_view bytes) { IBID_CHECK(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1); }

Digest Sha256::finish() {
  Digest d{};
  unsigned length = 0;
  IBID_CHECK(EVP_DigestFinal_ex(state_->context, d.data(), &length) == 1 && length == d.size());
  return d;
}

Sha256 Sha256::copy() const {
  Sha256 other;
  IBID_CHECK(EVP_MD_CTX_copy_ex(other.state_->context, state_->context) == 1);
  return other;
}

Digest sha256(std::string_view bytes) {
  Sha256 h;
  h.update(bytes);
  return h.finish();
}

std::string hex(const Digest& digest) {
  static const char* const digits = "0123456789abcdef";
  std::string out;
  out.reserve(64);
  for (uint8_t b : digest) {
    out += digits[b >> 4];
    out += digits[b & 15];
  }
  return out;
}

std::string sha256_hex(std::string_view bytes) { return hex(sha256(bytes)); }
std::string digest_text(const Digest& digest) { return "sha256:" + hex(digest); }
std::string digest_of(std::string_view bytes) { return digest_text(sha256(bytes)); }

bool is_digest_text(std::string_view text) {
  return text.size() == 71 && text.substr(0, 7) == "sha256:" && text.find_first_not_of("0123456789abcdef", 7) == std::string_view::npos;
}

Digest parse_digest(std::string_view text) {
  IBID_CHECK(is_digest_text(text));
  auto value = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Digest d{};
  for (size_t i = 0; i < d.size(); ++i) d[i] = static_cast<uint8_t>(value(text[7 + 2 * i]) << 4 | value(text[8 + 2 * i]));
  return d;
}

Digest hmac_sha256(std::string_view key, std::string_view bytes) {
  Digest d{};
  unsigned length = 0;
  IBID_CHECK(HMAC(algorithm(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                  d.data(), &length) != nullptr && length == d.size());
  return d;
}

std::string digest_of_file(const std::string& path) {
  std::FILE* f = std::fopen(path.c_str(), "rb");
  if (!f) throw Error(unopened(errno), path, std::strerror(errno));
  Sha256 h;
  std::vector<char> buffer(1 << 20);
  size_t n;
  while ((n = std::fread(buffer.data(), 1, buffer.size(), f)) > 0) h.update({buffer.data(), n});
  bool failed = std::ferror(f) != 0;
  std::fclose(f);
  if (failed) throw Error(ErrorKind::io, path, "reading failed");
  return digest_text(h.finish());
}

Digest merkle_leaf(std::string_view data) {
  Sha256 h;
  h.update(std::string_view("\0", 1));
  h.update(data);
  return h.finish();
}

Digest merkle_node(const Digest& left, const Digest& right) {
  uint8_t bytes[65];
  bytes[0] = 1;
  std::memcpy(bytes + 1, left.data(), 32);
  std::memcpy(bytes + 33, right.data(), 32);
  return sha256({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

Digest merkle_root(const std::vector<Digest>& hashed) {
  if (hashed.empty()) return sha256("");
  // Pairing neighbours level by level and carrying an odd last node up is the same tree as RFC 6962's recursive split.
  std::vector<Digest> level = hashed;
  while (level.size() > 1) {
    size_t out = 0;
    for (size_t i = 0; i < level.size(); i += 2) level[out++] = i + 1 < level.size() ? merkle_node(level[i], level[i + 1]) : level[i];
    level.resize(out);
  }
  return level[0];
}

}  // namespace ibid::step
