#pragma once

/// The one include of a user's program.

#include <sluice/all.hpp>
#include <sluice/any.hpp>
#include <sluice/async.hpp>
#include <sluice/codec/bytes.hpp>
#include <sluice/core/version.hpp>
#include <sluice/flow.hpp>
#include <sluice/generator.hpp>
#include <sluice/http/client.hpp>
#include <sluice/io/makers.hpp>
#include <sluice/log.hpp>
#include <sluice/run.hpp>
#include <sluice/stream.hpp>
#include <sluice/timeout.hpp>
#include <sluice/websocket.hpp>

namespace sluice {

using io::empty;
using io::file;
using io::file_format;
using io::pulse;
using io::queue;
using io::standard_output;

} // namespace sluice
