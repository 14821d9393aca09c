#include "transport/artifact/artifact_admission.hpp"

#include <utility>

namespace sluice::artifact {

namespace {

class admitted_upload final : public control::artifact_upload {
public:
  admitted_upload(upload incoming, std::uint64_t size_bytes, describe_options options)
    : incoming_(std::move(incoming)), size_bytes_(size_bytes), options_(std::move(options)) {}

  result<void> append(std::string_view bytes) override { return incoming_.append(bytes); }

  result<control::admitted_artifact> finish() override {
    auto program = incoming_.seal();
    if (!program)
      return fail(program);
    auto spec = describe(program->get(), "the submitted binary", options_);
    if (!spec)
      return fail(spec);
    auto id = incoming_.commit();
    if (!id)
      return fail(id);
    return control::admitted_artifact{std::move(*id), size_bytes_, std::move(*spec)};
  }

private:
  upload incoming_;
  std::uint64_t size_bytes_;
  describe_options options_;
};

} // namespace

result<std::unique_ptr<control::artifact_upload>>
artifact_admission::begin(const artifact_id& expected, std::uint64_t size_bytes,
                          const std::vector<std::string>& args, const flow_variables& env) {
  auto incoming = store_.begin(expected, size_bytes);
  if (!incoming)
    return fail(incoming);
  describe_options options;
  options.sluice_version = sluice_version_;
  options.args = args;
  options.env = env;
  return std::make_unique<admitted_upload>(std::move(*incoming), size_bytes, std::move(options));
}

} // namespace sluice::artifact
