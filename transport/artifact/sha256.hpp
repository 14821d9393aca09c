#pragma once

#include <sluice/core/ids.hpp>

#include <memory>
#include <string_view>

typedef struct evp_md_ctx_st EVP_MD_CTX;

namespace sluice::artifact {

/// SHA-256 over pieces.
class sha256 {
public:
  sha256();
  void add(std::string_view bytes);
  /// 64 lower-case hex digits; nothing may be added afterwards.
  artifact_id finish();

private:
  struct freer {
    void operator()(EVP_MD_CTX* context) const noexcept;
  };
  std::unique_ptr<EVP_MD_CTX, freer> context_;
};

/// True for 64 lower-case hex digits: safe as a file name.
bool is_valid_artifact_id(const artifact_id& id) noexcept;

} // namespace sluice::artifact
