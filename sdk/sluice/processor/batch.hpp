#pragma once

#include <sluice/processor/consumer.hpp>
#include <sluice/processor/reduction.hpp>

#include <algorithm>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsubobject-linkage"
#endif

namespace sluice::processor {

namespace detail {

template <class T>
struct member_pointer {
  static constexpr bool is_one = false;
};
template <class Class, class Member>
struct member_pointer<Member Class::*> {
  static constexpr bool is_one = std::is_object_v<Member>;
  using owner = Class;
  using member = Member;
};

/// The name of a member, from `&owner::name`.
template <auto Member>
std::string member_name() {
  std::string_view text = __PRETTY_FUNCTION__;
  text = text.substr(text.find("Member = "));
  text = text.substr(0, text.find_first_of(";])"));
  return std::string{text.substr(text.rfind(':') + 1)};
}

} // namespace detail

/// What `reduce_by` may be: it is compared, hashed and sorted.
template <class T>
concept reduce_key = std::same_as<T, std::string> || std::is_arithmetic_v<T> || std::is_enum_v<T>;

template <auto Reduce, class Value>
concept merges_in_place = requires(Value& into, const Value& next) {
  { std::invoke(Reduce, into, next) } -> std::same_as<void>;
};

template <auto Reduce, class Value>
concept merges_to_new = requires(Value left, Value right) {
  { std::invoke(Reduce, std::move(left), std::move(right)) } -> std::convertible_to<Value>;
};

/// Breaks the build with the rule that a reduce step does not keep.
template <class Target, auto Reduce, auto Key>
consteval bool check_reduce() {
  using value = typename traits<Target>::output;
  using key = detail::member_pointer<decltype(Key)>;
  static_assert(!std::is_void_v<value> && !std::same_as<value, raw>,
                "sluice: a batch with a reduce step returns plain structs, of which one member is the key");
  static_assert(key::is_one, "sluice: the key of a reduce step is a pointer to a member: &sales::country");
  if constexpr (key::is_one && !std::is_void_v<value> && !std::same_as<value, raw>) {
    static_assert(std::same_as<typename key::owner, value>,
                  "sluice: the key of a reduce step is a member of what the function returns");
    static_assert(reduce_key<typename key::member>,
                  "sluice: the key of a reduce step is a std::string, a number, a bool or an enum");
    static_assert(
      merges_in_place<Reduce, value> || merges_to_new<Reduce, value>,
      "sluice: a reduce step is T merge(T, T) or void merge(T& into, const T& next), where T is what "
      "the function returns");
    return true;
  }
  return false;
}

/// The values of a `reducing_body`, by key.
template <class Target, auto Reduce, auto Key>
class reduction_of final : public reduction {
  using value = typename traits<Target>::output;
  using key = typename detail::member_pointer<decltype(Key)>::member;

public:
  explicit reduction_of(Target* target) : target_(target) {}

  result<void> map(std::string_view payload) override {
    mapped_.clear();
    if constexpr (traits<Target>::is_async) {
      return fail(errc::internal, "an async processor was called without an executor");
    } else {
      auto done = guarded([&]() -> result<void> {
        typename traits<Target>::input input{};
        if (auto read = read_record(payload, input); !read)
          return read;
        keep(target_->call(std::move(input)));
        return {};
      });
      if (!done)
        mapped_.clear();
      return done;
    }
  }

  result<void> take_mapped() override {
    return guarded([&]() -> result<void> {
      for (auto& each : mapped_)
        add(std::move(each));
      mapped_.clear();
      return {};
    });
  }

  std::size_t mapped_count() const noexcept override { return mapped_.size(); }

  result<void> merge(std::string_view encoded) override {
    return guarded([&]() -> result<void> {
      value one{};
      if (auto read = codec::decode_into(encoded, one); !read)
        return read;
      add(std::move(one));
      return {};
    });
  }

  std::size_t key_count() const noexcept override { return values_.size(); }

  result<void> write(const std::function<result<void>(std::string_view)>& give) override {
    return guarded([&]() -> result<void> {
      std::vector<const value*> sorted;
      sorted.reserve(values_.size());
      for (const auto& each : values_)
        sorted.push_back(&each.second);
      std::sort(sorted.begin(), sorted.end(),
                [](const value* left, const value* right) { return left->*Key < right->*Key; });
      std::string text;
      for (const auto* each : sorted) {
        text.clear();
        if (auto done = codec::encode(*each, text); !done)
          return done;
        if (auto done = give(text); !done)
          return done;
      }
      values_.clear();
      return {};
    });
  }

private:
  template <class Returned>
  void keep(Returned&& returned) {
    using plain = std::remove_cvref_t<Returned>;
    if constexpr (std::same_as<plain, value>) {
      mapped_.push_back(std::forward<Returned>(returned));
    } else if constexpr (codec::optional_type<plain>) {
      if (returned)
        mapped_.push_back(std::move(*returned));
    } else {
      for (const value& each : returned)
        mapped_.push_back(each);
    }
  }

  void add(value&& one) {
    auto [at, is_new] = values_.try_emplace(one.*Key, std::move(one));
    if (is_new)
      return;
    if constexpr (merges_in_place<Reduce, value>)
      std::invoke(Reduce, at->second, one); // try_emplace moves only when it stores
    else
      at->second = std::invoke(Reduce, std::move(at->second), std::move(one));
  }

  Target* target_;
  std::vector<value> mapped_;
  std::unordered_map<key, value> values_;
};

/// A user's function or class whose results are merged by key.
template <class Target, auto Reduce, auto Key>
class reducing_body final : public consumer_body<Target> {
public:
  using consumer_body<Target>::consumer_body;

  std::unique_ptr<reduction> make_reduction() override {
    return std::make_unique<reduction_of<Target, Reduce, Key>>(&this->target());
  }
};

template <class Target, auto Reduce, auto Key>
body_factory reducing_factory(std::shared_ptr<value_factories> factories) {
  return [factories] { return std::make_unique<reducing_body<Target, Reduce, Key>>(factories); };
}

} // namespace sluice::processor

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
