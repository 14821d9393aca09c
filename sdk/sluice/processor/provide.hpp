#pragma once

#include <sluice/codec/reflect.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <typeindex>
#include <utility>
#include <vector>

namespace sluice {

/// Who shares a value that `flow.provide` makes: all replicas of the flow in one host process, or
/// the objects of one replica.
enum class scope : std::uint8_t { host, replica };

} // namespace sluice

/// Values that processor classes take as constructor arguments.
namespace sluice::processor {

/// What a flow can make. Shared by the flow and the bodies made from it; filled before the first body
/// is set up, any thread after that.
class value_factories {
public:
  using make_value = std::function<std::shared_ptr<void>()>;

  /// False if there is one for this type.
  bool add(std::type_index type, scope where, make_value make);
  bool contains(std::type_index type) const { return entries_.contains(type); }

  /// A value of that type, never none: made now, unless it is shared and somebody holds it. Throws what went
  /// wrong, with the `name` of the type.
  std::shared_ptr<void> get(std::type_index type, const std::string& name);

private:
  struct entry {
    scope where;
    make_value make;
    std::mutex mutex; ///< held while a shared value is made: one is enough
    std::weak_ptr<void> shared;
  };
  std::map<std::type_index, std::unique_ptr<entry>> entries_;
};

struct needed_type {
  std::type_index type;
  std::string name;
};

/// The values that one replica holds. Its destruction releases them. Any thread.
class replica_values {
public:
  explicit replica_values(std::shared_ptr<value_factories> factories) : factories_(std::move(factories)) {}

  /// As `value_factories::get`.
  std::shared_ptr<void> get(const needed_type& what) { return get(what.type, what.name); }

  template <class T>
  std::shared_ptr<T> get() {
    return std::static_pointer_cast<T>(get(typeid(T), std::string{codec::type_name<T>()}));
  }

private:
  std::shared_ptr<void> get(std::type_index type, const std::string& name);

  std::shared_ptr<value_factories> factories_;
  std::mutex mutex_;
  std::map<std::type_index, std::shared_ptr<void>> held_;
};

namespace detail {

/// The types that the constructor of `Processor` takes. Filled before `main`, by `need`.
template <class Processor>
std::vector<needed_type>& needed_types() {
  static std::vector<needed_type> types;
  return types;
}

/// That a conversion of `any_value` is compiled is how we learn what a constructor takes.
template <class Processor, class T>
struct need {
  inline static const bool noted =
    (needed_types<Processor>().push_back({typeid(T), std::string{codec::type_name<T>()}}), true);
};

template <class T>
inline constexpr bool is_shared_ptr = false;
template <class T>
inline constexpr bool is_shared_ptr<std::shared_ptr<T>> = true;

/// An argument of whatever type the constructor wants: `T&`, `const T&` or `std::shared_ptr<T>`.
template <class Processor>
struct any_value {
  replica_values* from;

  template <class T>
  requires(!std::same_as<std::remove_const_t<T>, Processor> && !is_shared_ptr<std::remove_const_t<T>>)
  operator T&() const {
    return *get<std::remove_const_t<T>>();
  }
  template <class T>
  operator std::shared_ptr<T>() const {
    return get<std::remove_const_t<T>>();
  }

  template <class T>
  std::shared_ptr<T> get() const {
    static_cast<void>(&need<Processor, T>::noted);
    return from->get<T>();
  }
};

template <class Processor, std::size_t>
using any_value_at = any_value<Processor>;

constexpr std::size_t constructor_arguments_max = 8;

template <class Processor, std::size_t... I>
consteval bool takes_values(std::index_sequence<I...>) {
  return std::is_constructible_v<Processor, any_value_at<Processor, I>...>;
}

/// How many values the constructor takes; 0 = default constructible; above the maximum: neither.
template <class Processor, std::size_t Count = 0>
consteval std::size_t constructor_arity() {
  if constexpr (Count > constructor_arguments_max)
    return Count;
  else if constexpr (takes_values<Processor>(std::make_index_sequence<Count>{}))
    return Count;
  else
    return constructor_arity<Processor, Count + 1>();
}

} // namespace detail

/// A processor class that can be made: from nothing, or from values that a flow provides.
template <class Processor>
concept makeable = detail::constructor_arity<Processor>()
<= detail::constructor_arguments_max;

/// Calls `use(arguments...)` with as many values as the constructor of `Processor` takes.
template <class Processor, class Use>
void with_constructor_values(replica_values& values, Use use) {
  [&]<std::size_t... I>(std::index_sequence<I...>) { use(detail::any_value_at<Processor, I>{&values}...); }
  (std::make_index_sequence<detail::constructor_arity<Processor>()>{});
}

/// Turns what a factory of `flow.provide<T>` returns, T or a pointer that owns one, into shared.
template <class T, class Made>
std::shared_ptr<void> share_value(Made made) {
  if constexpr (std::convertible_to<Made, std::shared_ptr<T>>) {
    std::shared_ptr<T> shared = std::move(made);
    return shared;
  } else {
    return std::make_shared<T>(std::move(made));
  }
}

} // namespace sluice::processor
