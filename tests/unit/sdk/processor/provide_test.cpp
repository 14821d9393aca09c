// Goal: values that a flow provides are made once per host or replica, when they are first needed, reach
// constructors in every form, and go with the last who held them.

#include "tests/unit/sdk/processor/request_fixture.hpp"

#include <sluice/flow.hpp>

#include <doctest/doctest.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

using namespace sluice;

namespace {

int alive = 0;
int made = 0;

struct database {
  explicit database(int number) : number(number) {
    ++alive;
    ++made;
  }
  ~database() { --alive; }
  database(const database&) = delete;
  int number;
};
struct cache {
  int hits = 0;
};

struct by_reference {
  explicit by_reference(database& db) : db(db) {}
  int process(raw) { return db.number; }
  database& db;
};
struct by_const_reference {
  by_const_reference(const database& db, cache& hits) : db(db), hits(hits) {}
  int process() { return db.number * 100 + ++hits.hits; }
  const database& db;
  cache& hits;
};
class by_pointer {
public:
  by_pointer(std::shared_ptr<const database> db, const std::shared_ptr<cache>& hits)
    : db_(std::move(db)), hits_(hits) {}
  void setup() { is_set_up_ = true; }
  int process() { return is_set_up_ ? db_->number * 100 + ++hits_->hits : -1; }

private:
  std::shared_ptr<const database> db_;
  std::shared_ptr<cache> hits_;
  bool is_set_up_ = false;
};
struct both_ways { // what can be made from nothing is
  both_ways() = default;
  explicit both_ways(database&) : has_database(true) {}
  bool process() { return has_database; }
  bool has_database = false;
};

flow providing(scope of_cache) {
  alive = made = 0;
  flow f{"shop"};
  f.endpoint<by_const_reference>("reference", {.route = "/reference"})
    .endpoint<by_pointer>("pointer", {.route = "/pointer"})
    .consumer<by_reference>("consumer", {.source = io::queue("q"), .sink = io::empty()})
    .provide<database>([] { return std::make_unique<database>(7); })
    .provide<cache>([] { return cache{}; }, of_cache);
  return f;
}

std::unique_ptr<request_body> body_of(const flow& f, const char* name) {
  auto body = std::get<request_body_factory>(f.bodies().at(processor_name{name}))();
  auto done = body->setup();
  CHECK_MESSAGE(done, (done ? "" : done.error().message));
  return body;
}

std::string setup_error(const flow& f, const char* name) {
  auto done = std::get<request_body_factory>(f.bodies().at(processor_name{name}))()->setup();
  return done ? "" : done.error().message;
}

} // namespace

TEST_CASE("constructors take references and pointers") {
  auto f = providing(scope::host);
  CHECK(f.spec().processors.size() == 3);
  CHECK(call(*body_of(f, "reference"), get("/")) == "200 application/json 701");
  CHECK(call(*body_of(f, "pointer"), get("/")) == "200 application/json 701");
  auto consumer = std::get<body_factory>(f.bodies().at(processor_name{"consumer"}))();
  REQUIRE(consumer->setup());
  encoded_results out;
  CHECK(consumer->process("x", out));
  CHECK(out[0] == "7");
}

TEST_CASE("a value of the host is one, a value of the replica its own") {
  auto f = providing(scope::replica);
  auto a = body_of(f, "reference");
  auto b = body_of(f, "reference");
  CHECK(made == 1);
  CHECK(call(*a, get("/")) == "200 application/json 701");
  CHECK(call(*a, get("/")) == "200 application/json 702");
  CHECK(call(*b, get("/")) == "200 application/json 701");
  auto g = providing(scope::host);
  auto c = body_of(g, "reference");
  auto d = body_of(g, "pointer");
  CHECK(call(*c, get("/")) == "200 application/json 701");
  CHECK(call(*d, get("/")) == "200 application/json 702");
}

TEST_CASE("values are made when first needed and go with the last who holds them") {
  auto f = providing(scope::host);
  auto first = std::get<request_body_factory>(f.bodies().at(processor_name{"reference"}))();
  CHECK(made == 0);
  CHECK(first->setup());
  CHECK(made == 1);
  auto second = body_of(f, "pointer");
  CHECK(made == 1);
  first.reset();
  CHECK(alive == 1);
  second.reset();
  CHECK(alive == 0);
  auto third = body_of(f, "reference");
  CHECK(made == 2);
}

TEST_CASE("a factory that fails is a failed setup, and is tried again") {
  flow f{"shop"};
  int tries = 0;
  f.endpoint<by_const_reference>("reference", {.route = "/"})
    .provide<cache>([] { return cache{}; })
    .provide<database>([&]() -> std::unique_ptr<database> {
      if (++tries == 1)
        throw std::runtime_error{"connection refused"};
      return tries == 2 ? nullptr : std::make_unique<database>(1);
    });
  CHECK(setup_error(f, "reference") == "cannot make database: connection refused");
  CHECK(setup_error(f, "reference") == "cannot make database: its factory returned nothing");
  CHECK(setup_error(f, "reference") == "");
}

TEST_CASE("a class that can be made from nothing takes nothing") {
  flow f{"shop"};
  f.endpoint<both_ways>("both", {.route = "/"});
  CHECK(f.spec().processors.size() == 1);
  CHECK(call(*body_of(f, "both"), get("/")) == "200 application/json false");
}

TEST_CASE("what nothing provides is a failed setup, should it come to that") {
  flow f{"shop"};
  f.endpoint<by_pointer>("pointer", {.route = "/"});
  CHECK(setup_error(f, "pointer").starts_with("nothing provides "));
}
