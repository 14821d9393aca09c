// Events come in over HTTP and are in a durable queue before the client hears {"success":true};
// a consumer works them off.
//   curl -d '{"user":"ada","page":"/"}' -H 'Content-Type: application/json' localhost:8000/clicks
#include <sluice/sluice.hpp>

#include <chrono>
#include <map>
#include <string>

struct click {
  std::string user;
  std::string page;
};
struct seen_click {
  std::string user;
  std::string page;
  std::chrono::sys_time<std::chrono::milliseconds> at; // ISO 8601 in JSON
};
struct total {
  std::string page;
  std::uint64_t clicks;
};

seen_click collect(const click& in) {
  if (!in.page.starts_with('/'))
    throw sluice::http_error{422, "a page starts with '/'"};
  auto now = std::chrono::system_clock::now();
  return {in.user, in.page, std::chrono::floor<std::chrono::milliseconds>(now)};
}

struct count {
  total process(const seen_click& in) { return {in.page, ++clicks[in.page]}; }
  std::map<std::string, std::uint64_t> clicks;
};

int main(int argc, char** argv) {
  sluice::flow flow{"clicks"};
  flow.collector<collect>("collect", {.route = "/clicks", .sink = sluice::queue("clicks")});
  flow.consumer<count>("count", {.source = sluice::queue("clicks"), .sink = sluice::standard_output()});
  return sluice::run(flow, argc, argv);
}
