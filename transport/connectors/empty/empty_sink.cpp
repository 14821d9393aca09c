#include "transport/connectors/empty/empty_sink.hpp"

#include "transport/connectors/option_reader.hpp"

namespace sluice::connectors::empty_sink {

namespace {

class empty final : public sink {
public:
  result<void> open() override { return {}; }
  result<void> push(const record_block&) override { return {}; }
};

result<std::unique_ptr<sink>> make(const io_spec& spec) {
  option_reader options{spec};
  if (auto ok = options.check(); !ok)
    return fail(ok);
  return std::make_unique<empty>();
}

} // namespace

void add_to(connector_registry& registry) { registry.add_sink("empty", make); }

} // namespace sluice::connectors::empty_sink
