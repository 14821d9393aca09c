// Goal: sums count every record once, whatever restarts; rates cover the last 5 s.

#include "actors/cluster/throughput.hpp"

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using namespace sluice;
using cluster::throughput;

const throughput::key price{flow_name{"orders"}, processor_name{"price"}};

node::node_report report(std::uint64_t host, std::uint64_t replica, std::uint64_t processed,
                         std::uint64_t failed = 0, std::string node = "a") {
  node::node_report it;
  it.node = node_id{std::move(node)};
  node::host_status status;
  status.id = host_id{host};
  status.flow = price.first;
  host::replica_report one;
  one.id = replica_id{replica};
  one.processor = price.second;
  one.processed_total = processed;
  one.failed_total = failed;
  one.last_error = failed > 0 ? "it broke" : "";
  status.replicas.push_back(one);
  it.hosts.push_back(status);
  return it;
}

TEST_CASE("what one replica reports again and again counts once") {
  throughput it;
  it.add(report(1, 1, 10));
  it.add(report(1, 1, 10));
  it.add(report(1, 1, 15, 2));
  CHECK(it.processed_total(price) == 15);
  CHECK(it.errors_of(price, {}).failed_total == 2);
  it.add(report(1, 1, 16));
  CHECK(it.errors_of(price, {}).last_error == "it broke");
}

TEST_CASE("a trouble that a replica got over is no last error; what an ended one said stays") {
  throughput it;
  const auto with_error = [](std::uint64_t host, const char* error) {
    auto one = report(host, host, 10);
    one.hosts.at(0).replicas.at(0).last_error = error;
    return one;
  };
  it.add(with_error(1, "there is no link"));
  CHECK(it.errors_of(price, {}).last_error == "there is no link");
  it.add(with_error(1, ""));
  CHECK(it.errors_of(price, {}).last_error.empty());
  it.add(with_error(1, "it broke"));
  it.add(with_error(2, "")); // another process
  CHECK(it.errors_of(price, {}).last_error == "it broke");
}

TEST_CASE("a host that starts again counts from 0 and adds") {
  throughput it;
  it.add(report(1, 1, 10));
  it.add(report(2, 1, 12)); // another process, though its number went up
  CHECK(it.processed_total(price) == 22);
  it.add(report(2, 1, 3)); // local mode: the same host id counts anew
  CHECK(it.processed_total(price) == 25);
}

TEST_CASE("replicas of several nodes add up, and their sum outlives them") {
  throughput it;
  it.add(report(1, 1, 10));
  it.add(report(2, 2, 5, 0, "b"));
  node::node_report empty;
  empty.node = node_id{"a"};
  it.add(empty);
  it.forget(node_id{"b"});
  CHECK(it.processed_total(price) == 15);
  it.keep_only({});
  CHECK(it.processed_total(price) == 0);
}

TEST_CASE("errors belong to a version, what was done to all of them") {
  throughput it;
  auto of_version = [](node::node_report one, std::uint64_t version) {
    one.hosts.at(0).version = flow_version{version};
    return one;
  };
  it.add(of_version(report(1, 1, 10, 2), 1));
  it.add(of_version(report(2, 2, 5), 2));
  CHECK(it.processed_total(price) == 15);
  CHECK(it.errors_of(price, flow_version{1}).failed_total == 2);
  CHECK(it.errors_of(price, flow_version{2}).failed_total == 0);
  CHECK(it.errors_of(price, flow_version{2}).last_error == "");
  it.keep_only({{price.first, {flow_version{2}}}});
  CHECK(it.errors_of(price, flow_version{1}).failed_total == 0);
  CHECK(it.processed_total(price) == 15);
}

TEST_CASE("the rate is that of the last 5 s") {
  throughput it;
  throughput::time_point now{1h};
  CHECK(it.rate_per_s(price) == 0);
  std::uint64_t done = 0;
  auto run = [&](std::chrono::milliseconds length, std::uint64_t per_s) {
    for (auto end = now + length; now < end;) {
      now += 500ms;
      done += per_s / 2;
      it.add(report(1, 1, done));
      it.sample(now);
    }
  };
  run(20s, 100);
  CHECK(it.rate_per_s(price) == doctest::Approx(100));
  run(5s, 1000);
  CHECK(it.rate_per_s(price) == doctest::Approx(1000));
  run(2500ms, 0);
  CHECK(it.rate_per_s(price) == doctest::Approx(500));
  run(5s, 0);
  CHECK(it.rate_per_s(price) == 0);
}

TEST_CASE("what was done before a head started, or before its first word of a replica, is no rate") {
  throughput it;
  throughput::time_point now{1h};
  it.add(report(1, 1, 1'000'000));
  it.sample(now);
  it.add(report(2, 2, 500'000, 0, "b")); // it takes this node longer to come back
  it.sample(now += 500ms);
  CHECK(it.processed_total(price) == 1'500'000);
  CHECK(it.rate_per_s(price) == 0);
  it.add(report(2, 2, 500'100, 0, "b"));
  it.sample(now += 500ms);
  CHECK(it.rate_per_s(price) == doctest::Approx(100));
}

node::node_report heard(std::string node, ingress::processor_load load) {
  node::node_report it;
  it.node = node_id{std::move(node)};
  load.flow = price.first;
  load.processor = price.second;
  it.requests = {load};
  return it;
}

TEST_CASE("answers are added up over all nodes, and a node that starts anew counts from 0") {
  throughput it;
  ingress::processor_load load;
  load.answered_total = 10;
  load.server_errors_total = 1;
  load.room_messages_lost_total = 4;
  it.add(heard("a", load));
  it.add(heard("b", load));
  CHECK(it.requests_of(price).room_messages_lost_total == 8);
  load.answered_total = 12;
  load.client_errors_total = 1;
  it.add(heard("a", load));
  CHECK(it.requests_of(price).answered_total == 22);
  CHECK(it.requests_of(price).client_errors_total == 1);
  CHECK(it.requests_of(price).server_errors_total == 2);
  ingress::processor_load anew;
  anew.answered_total = 3;
  it.add(heard("a", anew));
  CHECK(it.requests_of(price).answered_total == 25);
  CHECK(it.requests_of(price).room_messages_lost_total == 8);
  it.keep_only({});
  CHECK(it.requests_of(price).answered_total == 0);
}

TEST_CASE("latencies are those of the last 5 s") {
  throughput it;
  throughput::time_point at{1h};
  ingress::processor_load load;
  load.latency.add(1s);
  it.add(heard("a", load));
  it.sample(at);
  load.latency.add(1ms);
  load.latency.add(1ms);
  it.add(heard("a", load));
  it.sample(at += 4s);
  CHECK(it.requests_of(price).p50 < 2ms);
  CHECK(it.requests_of(price).p99 < 2ms);
  for (int i = 0; i < 4; ++i)
    it.sample(at += 3s);
  CHECK(it.requests_of(price).p50 == 0ms); // nobody asked since
  it.add(heard("b", load));                // it has answered before this head was there
  it.sample(at += 1s);
  CHECK(it.requests_of(price).p50 == 0ms);
}

} // namespace
