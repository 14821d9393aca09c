// Routes for those who know a secret, which the environment holds and the program does not.
//   READER_KEY=abc ADMIN_TOKEN=xyz ./example_guard
//   curl -H 'X-Api-Key: abc' localhost:8000/setting
//   curl -X PUT -d '{"value":"on"}' -H 'Content-Type: application/json' -H 'Authorization: Bearer xyz' localhost:8000/setting
// On a cluster: READER_KEY=abc ADMIN_TOKEN=xyz sluice submit ./example_guard --env READER_KEY --env ADMIN_TOKEN
#include <sluice/sluice.hpp>

#include <mutex>
#include <string>
#include <utility>

struct setting {
  std::string value;
};

std::mutex mutex;
setting current{"off"};

setting show() {
  std::lock_guard lock{mutex};
  return current;
}

void change(setting in) { // void: 204
  std::lock_guard lock{mutex};
  current = std::move(in);
}

int main(int argc, char** argv) {
  sluice::flow flow{"settings"};
  flow.endpoint<show>("show",
                      {.route = "/setting", .guard = sluice::api_key_from_env("X-Api-Key", "READER_KEY")});
  flow.endpoint<change>("change", {.route = "/setting",
                                   .method = sluice::method::put,
                                   .guard = sluice::bearer_token_from_env("ADMIN_TOKEN")});
  flow.endpoint<[] { return std::string{"ok"}; }>("health", {.route = "/health"});
  return sluice::run(flow, argc, argv);
}
