#pragma once

#include <sluice/flow_spec.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

/// Sources and sinks as a user writes them. `<sluice/sluice.hpp>` brings these names into
/// `sluice`, so that a program says `sluice::queue("orders")`; code of ours includes only
/// what it needs and says `io::queue`, because `sluice::queue` is a namespace in `actors/`.
namespace sluice::io {

/// A durable queue of the cluster, made when it is first used. Source and sink.
io_spec queue(std::string name);

enum class file_format : std::uint8_t { jsonl, csv };

struct file_options {
  /// Unset: `csv` if the path ends so, `jsonl` otherwise.
  std::optional<file_format> format = {};
  /// As a source: waits for lines to come instead of ending with the file.
  bool tail = false;
};

/// A local file of the node that runs the replica, one record a line. Source and sink.
io_spec file(std::string path, file_options options = {});

/// A record every `interval`. Source.
io_spec pulse(std::chrono::milliseconds interval);

/// Prints results. Sink.
io_spec standard_output();

/// Drops results. Sink.
io_spec empty();

} // namespace sluice::io
