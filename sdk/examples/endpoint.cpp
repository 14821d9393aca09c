// Typed HTTP: path, query and JSON body arrive as structs, what is returned goes out as JSON.
//   curl 'localhost:8000/notes?limit=5'
//   curl -d '{"text":"buy milk"}' -H 'Content-Type: application/json' localhost:8000/notes
#include <sluice/sluice.hpp>

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

struct note {
  std::uint64_t id;
  std::string text;
};
struct new_note {
  std::string text;
};
struct page {
  std::uint32_t limit = 20; // ?limit=..., may be missing
};
struct key {
  std::uint64_t id; // from the path
};

// Shared by all processors: with several replicas this would be a database.
std::mutex mutex;
std::map<std::uint64_t, note> notes;

std::vector<note> list(const page& in) {
  std::lock_guard lock{mutex};
  std::vector<note> all;
  for (const auto& [id, each] : notes)
    if (all.size() < in.limit)
      all.push_back(each);
  return all;
}

note add(const new_note& in) {
  if (in.text.empty())
    throw sluice::http_error{422, "a note needs a text"};
  std::lock_guard lock{mutex};
  auto id = notes.empty() ? 1 : notes.rbegin()->first + 1;
  return notes[id] = {id, in.text};
}

std::optional<note> find(const key& in) { // none: 404
  std::lock_guard lock{mutex};
  auto found = notes.find(in.id);
  return found == notes.end() ? std::nullopt : std::optional{found->second};
}

int main(int argc, char** argv) {
  sluice::flow flow{"notes"};
  flow.endpoint<list>("list", {.route = "/notes"});
  flow.endpoint<add>("add", {.route = "/notes", .method = sluice::method::post, .errors = {{422, "empty"}}});
  flow.endpoint<find>("find", {.route = "/notes/{id}"});
  return sluice::run(flow, argc, argv);
}
