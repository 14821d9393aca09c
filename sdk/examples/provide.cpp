// What several processors share is made by the flow and taken by their constructors: here one table
// for all replicas in a host process, made when the first one starts and gone with the last.
//   curl -X POST localhost:8000/counters/visits; curl localhost:8000/counters/visits
#include <sluice/sluice.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

class table { // stands for a pool of database connections
public:
  std::uint64_t add(const std::string& name) {
    std::lock_guard lock{mutex_};
    return ++counts_.try_emplace(name, 0).first->second;
  }
  std::optional<std::uint64_t> find(const std::string& name) const {
    std::lock_guard lock{mutex_};
    auto found = counts_.find(name);
    return found == counts_.end() ? std::nullopt : std::optional{found->second};
  }

private:
  mutable std::mutex mutex_;
  std::map<std::string, std::uint64_t> counts_;
};

struct counter {
  std::string name;
};

class increment {
public:
  explicit increment(table& counts) : counts_(counts) {}
  std::uint64_t process(const counter& in) { return counts_.add(in.name); }

private:
  table& counts_;
};

class look_up {
public:
  explicit look_up(std::shared_ptr<const table> counts) : counts_(std::move(counts)) {}
  std::optional<std::uint64_t> process(const counter& in) { return counts_->find(in.name); }

private:
  std::shared_ptr<const table> counts_;
};

int main(int argc, char** argv) {
  sluice::flow flow{"counters"};
  flow.provide<table>([] { return std::make_unique<table>(); });
  flow.endpoint<increment>("increment", {.route = "/counters/{name}", .method = sluice::method::post});
  flow.endpoint<look_up>("look-up", {.route = "/counters/{name}"});
  return sluice::run(flow, argc, argv);
}
