#pragma once

#include <sluice/core/result.hpp>

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/error.hpp>

#include <concepts>
#include <string>

namespace sluice {

/// Marks a struct as a message between actors of one process: write
/// `using actor_message = void;` in it.
///
/// Actors never serialise: what crosses a process goes through `transport/`, which
/// has its own wire types. So a message needs no inspection and no registration.
template <class T>
concept actor_message = requires {
  typename T::actor_message;
};

/// Category of `failure` codes inside a `caf::error`.
constexpr caf::atom_value error_category = caf::atom("sluice");

/// Carries a failure through a CAF response.
caf::error to_caf(const failure& why);

/// Reads what `to_caf` wrote. CAF's own errors become `unavailable` (the actor is
/// gone), `timeout` or `internal`, with CAF's text.
failure from_caf(const caf::error& why);

} // namespace sluice

template <sluice::actor_message T>
struct caf::allowed_unsafe_message_type<T> : std::true_type {};
