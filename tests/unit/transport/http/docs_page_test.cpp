// Goal: the page's policy allows its own style and script and nothing else.
// (Here, because the SDK has no SHA-256.)

#include <sluice/http/docs_page.hpp>

#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <string>
#include <string_view>

using namespace sluice;

namespace {

std::string between(std::string_view text, std::string_view open, std::string_view close) {
  auto begin = text.find(open);
  REQUIRE(begin != std::string_view::npos);
  begin += open.size();
  return std::string{text.substr(begin, text.find(close, begin) - begin)};
}

std::string hash_source(const std::string& text) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  REQUIRE(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) == 1);
  std::string encoded(4 * ((size + 2) / 3) + 1, '\0');
  encoded.resize(static_cast<std::size_t>(
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()), digest, static_cast<int>(size))));
  return "'sha256-" + encoded + "'";
}

} // namespace

TEST_CASE("the policy names the hashes of style and script") {
  auto page = http::docs_page();
  auto policy = page.headers.find("Content-Security-Policy");
  REQUIRE(policy);
  CHECK(between(*policy, "style-src ", ";") == hash_source(between(page.body, "<style>", "</style>")));
  CHECK(between(std::string{*policy} + ";", "script-src ", ";")
        == hash_source(between(page.body, "<script>", "</script>")));
}

TEST_CASE("the page takes nothing from elsewhere") {
  auto page = http::docs_page();
  for (const char* outside : {"http://", "https://", "src=", "@import", "innerHTML", "eval("})
    CHECK_MESSAGE(page.body.find(outside) == std::string::npos, outside);
}

TEST_CASE("an answer is indented as text: JavaScript rounds integers of 64 bits") {
  auto page = http::docs_page();
  CHECK(page.body.find("indented(text)") != std::string::npos);
  CHECK(page.body.find("pretty(JSON.parse(") == std::string::npos);
  CHECK(page.body.find(".json()") == std::string::npos);
}
