// Goal: names of fields, enumerators and types come out as the user wrote them, wherever
// the type is declared.

#include <sluice/codec/labels.hpp>

#include <doctest/doctest.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

using namespace sluice::codec;

struct Global_Order {
  int first;
  std::string second_2;
  static constexpr bool sluice_strict = true;
  static inline int counter = 0;
};

namespace shop::v1 {

struct item {
  double price;
};

template <class T>
struct envelope {
  T content;
  std::map<std::string, std::vector<T>> more;
};

enum class state { open, closed = 5, lost = -3 };

} // namespace shop::v1

namespace {

struct hidden {
  std::string s;
  shop::v1::item in;
  std::array<int, 3> xyz;
};

enum plain { plain_zero, plain_one };
enum class small : unsigned char { low, high = 127, beyond = 128 };
enum class flag : bool { off, on };
enum class none {};
enum class alias { one = 1, also_one = 1, two };
enum class wide : std::int64_t { far = 1'000'000'000'000, near = -16, too_near = -17 };

struct empty {};

template <class T>
std::vector<std::string_view> fields() {
  return {field_names_v<T>.begin(), field_names_v<T>.end()};
}

template <class E>
std::vector<std::string_view> names() {
  std::vector<std::string_view> all;
  for (const auto& entry : enum_entries_v<E>)
    all.push_back(entry.name);
  return all;
}

using texts = std::vector<std::string_view>;

} // namespace

TEST_CASE("fields are named in order of declaration, static members are none") {
  CHECK(fields<Global_Order>() == texts{"first", "second_2"});
  CHECK(fields<hidden>() == texts{"s", "in", "xyz"});
  CHECK(fields<shop::v1::envelope<shop::v1::item>>() == texts{"content", "more"});
  CHECK(fields<empty>().empty());
}

TEST_CASE("a type inside of a function has names, too") {
  struct local {
    int here;
    std::string there;
  };
  CHECK(fields<local>() == texts{"here", "there"});
  CHECK(type_name<local>() == "local");
}

TEST_CASE("many fields are all named") {
  struct many {
    int a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9, c0, c1, c2, c3, c4,
      c5, c6;
  };
  auto all = fields<many>();
  REQUIRE(all.size() == 27);
  CHECK(all.front() == "a0");
  CHECK(all.back() == "c6");
}

TEST_CASE("enumerators are named, whatever their type and order") {
  CHECK(names<shop::v1::state>() == texts{"lost", "open", "closed"});
  CHECK(names<plain>() == texts{"plain_zero", "plain_one"});
  CHECK(names<flag>() == texts{"off", "on"});
  CHECK(names<none>().empty());
  CHECK(enum_entries_v<shop::v1::state>[0].value == shop::v1::state::lost);
  CHECK(enum_entries_v<shop::v1::state>[2].value == shop::v1::state::closed);
}

TEST_CASE("enumerators outside of the range have no name") {
  CHECK(names<small>() == texts{"low", "high"});
  CHECK(names<wide>() == texts{"near"});
}

TEST_CASE("of two enumerators with one value the first counts") {
  CHECK(names<alias>() == texts{"one", "two"});
}

TEST_CASE("types are called without namespaces and arguments") {
  CHECK(type_name<Global_Order>() == "Global_Order");
  CHECK(type_name<hidden>() == "hidden");
  CHECK(type_name<shop::v1::item>() == "item");
  CHECK(type_name<shop::v1::envelope<std::map<std::string, int>>>() == "envelope");
}

TEST_CASE("labels tell people what a type is") {
  CHECK(type_label<hidden>() == "hidden");
  CHECK(type_label<std::vector<shop::v1::item>>() == "list of item");
  CHECK(type_label<std::map<std::string, std::set<int>>>() == "map of list of integer");
  CHECK(type_label<std::optional<double>>() == "number");
  CHECK(type_label<std::string>() == "string");
  CHECK(type_label<bool>() == "boolean");
  CHECK(type_label<std::chrono::seconds>() == "duration");
  CHECK(type_label<std::chrono::sys_seconds>() == "time");
  CHECK(type_label<sluice::raw>() == "raw");
  CHECK(type_label<sluice::bytes>() == "bytes");
  CHECK(root_label<Global_Order>() == "global_order");
  CHECK(root_label<std::vector<int>>() == "value");
}

TEST_CASE("types are sorted into forms, each into one") {
  static_assert(struct_type<hidden> && !struct_type<std::array<int, 2>> && !struct_type<sluice::bytes>);
  static_assert(
    integer_type<signed char> && integer_type<std::uint64_t> && !integer_type<bool> && !integer_type<char>);
  static_assert(
    map_type<std::unordered_map<std::string,
                                int>> && map_type<std::map<int, int>> && !map_type<std::map<double, int>>);
  static_assert(
    set_type<std::set<int>> && !sequence_type<std::set<int>> && !set_type<std::map<std::string, int>>);
  static_assert(sequence_type<std::vector<bool>> && !sequence_type<std::string>);
  static_assert(
    !json_type<const char*> && !json_type<std::string_view> && !json_type<int*> && !json_type<sluice::raw>);
  static_assert(
    json_type<std::unique_ptr<int>> && !json_type<std::unique_ptr<int[]>> && !json_type<long double>);
  static_assert(is_strict<Global_Order>() && !is_strict<hidden>());
}
