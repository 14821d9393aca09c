#include "transport/store/cluster_store.hpp"

#include "transport/store/cluster_rows.hpp"
#include "transport/store/private_file.hpp"
#include "transport/store/wal_mark.hpp"

#include <sqlite3.h>
#include <SQLiteCpp/SQLiteCpp.h>
#include <xxhash.h>

#include <cstdint>
#include <cstdio>
#include <random>

namespace sluice::store {

namespace {

using namespace cluster;

constexpr int schema_version = 1;
constexpr int application_id = 0x51c1c100;                   ///< marks our file for `file` and for ourselves
constexpr int checkpoint_pages = 1000;                       ///< of the log, then it is moved into the file
constexpr std::size_t room_bytes = 64 << 10;                 ///< kept in file and log for a full disk
constexpr std::string_view deleted_prefix = "version_last/"; ///< of a counter; the name of the flow follows
constexpr const char* pair_key = "queue_store";              ///< of a counter
constexpr std::uint64_t pair_id_max = INT64_MAX;
constexpr int busy_timeout_ms = 2000; ///< somebody looks into the file with another program

/// Numbers as keys sort as they count.
std::string key_of(std::uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "%020llu", static_cast<unsigned long long>(number));
  return text;
}

std::string key_of(const flow_name& flow, flow_version version) {
  return flow.value + "/" + key_of(version.value);
}

/// Over kind and key too, so that a row in another's place is found out.
std::int64_t checksum_of(std::string_view kind, std::string_view key, std::string_view body) {
  std::string all;
  all.reserve(kind.size() + key.size() + body.size() + 2);
  all.append(kind).push_back('\0');
  all.append(key).push_back('\0');
  all.append(body);
  return static_cast<std::int64_t>(XXH3_64bits(all.data(), all.size()));
}

/// Without the details that extended codes add.
int kind_of(const SQLite::Exception& what) { return what.getErrorCode() & 0xff; }

errc reaction_to(const SQLite::Exception& what) {
  switch (kind_of(what)) {
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return errc::corrupt;
  case SQLITE_FULL:
    return errc::exhausted;
  default:
    return errc::unavailable;
  }
}

/// Where somebody asked for what could not be written, this is the answer.
std::string text_of(const std::string& file, const SQLite::Exception& what) {
  if (kind_of(what) != SQLITE_FULL)
    return file + ": " + what.what();
  return file
         + ": no space is left on its disk, so nothing was changed; free some and ask again. What runs goes "
           "on, and "
           "status, list, get, logs and stop work";
}

class cluster_store final : public cluster_file {
public:
  cluster_store(const std::filesystem::path& file, const std::string& vfs)
    : name_(file.string()), mark_(name_, "head state"),
      db_(name_, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE, busy_timeout_ms, vfs) {
    sqlite3_extended_result_codes(db_.getHandle(), 1); // else a failed sync is a failure like others
  }

  /// Checks what is there, or makes the tables.
  result<void> prepare() {
    const auto found = db_.execAndGet("PRAGMA user_version").getInt();
    const auto owner = db_.execAndGet("PRAGMA application_id").getInt();
    const auto tables = db_.execAndGet("SELECT count(*) FROM sqlite_master").getInt();
    if (tables != 0 && owner != application_id)
      return fail(errc::corrupt, name_ + " is not the state of a Sluice head");
    if (found > schema_version)
      return fail(errc::unsupported, name_ + " was written by a newer Sluice (schema " + std::to_string(found)
                                       + ", this program knows " + std::to_string(schema_version)
                                       + "): start that version");
    const auto health = db_.execAndGet("PRAGMA quick_check(1)").getString();
    if (health != "ok")
      return fail(errc::corrupt, name_ + " is damaged: " + health);
    db_.exec("PRAGMA journal_mode=WAL");
    sqlite3_wal_hook(db_.getHandle(), on_commit, this);
    if (tables == 0)
      make_tables();
    keep_room();
    return {};
  }

  void make_tables() {
    SQLite::Transaction all{db_};
    db_.exec("CREATE TABLE rows (kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL,"
             " checksum INTEGER NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID");
    db_.exec("PRAGMA application_id=" + std::to_string(application_id));
    db_.exec("PRAGMA user_version=" + std::to_string(schema_version));
    all.commit();
  }

  result<pair_mark> pair() override {
    return guarded([&]() -> result<pair_mark> {
      pair_mark found;
      std::uint64_t openings = 0;
      SQLite::Transaction all{db_};
      if (auto read = read_counter(pair_key, found.id); !read)
        return fail(read);
      if (auto read = read_counter("openings", openings); !read)
        return fail(read);
      found.is_used = openings > 0;
      if (found.id != 0)
        return found;
      std::random_device random;
      found.id = std::uniform_int_distribution<std::uint64_t>{1, pair_id_max}(random);
      put("counter", pair_key, std::to_string(found.id));
      all.commit();
      return found;
    });
  }

  result<stored_state> load() override {
    return guarded([&]() -> result<stored_state> {
      stored_state state;
      SQLite::Transaction all{db_};
      auto read = refuse_unknown_kinds();
      if (read)
        read = read_counter("openings", state.openings);
      if (read)
        read = read_counter("replica_id_last", state.replica_id_last);
      if (read)
        read = read_counter("version_floor", state.deleted_floor.value);
      if (read)
        read = read_deleted(state.deleted);
      if (read)
        read = read_all("node", state.nodes);
      if (read)
        read = read_all("flow", state.flows);
      if (read)
        read = read_all("version", state.versions);
      if (read)
        read = read_all("replica", state.replicas);
      if (read)
        read = read_all("answer", state.answers);
      if (read)
        read = read_all("event", state.events);
      if (!read)
        return fail(read);
      state.openings += 1;
      put("counter", "openings", std::to_string(state.openings));
      all.commit();
      return state;
    });
  }

  result<void> write(const change_set& changes) override {
    return guarded([&]() -> result<void> {
      SQLite::Transaction all{db_};
      forget(changes);
      for (const auto& row : changes.nodes)
        put("node", row.info.id.value, encode(row));
      for (const auto& row : changes.flows)
        put("flow", row.name.value, encode(row));
      for (const auto& row : changes.versions)
        put("version", key_of(row.flow, row.version), encode(row));
      for (const auto& row : changes.replicas)
        put("replica", key_of(row.id.value), encode(row));
      for (const auto& row : changes.answers)
        put("answer", key_of(row.number), encode(row));
      for (const auto& row : changes.events)
        put("event", key_of(row.id), encode(row));
      for (const auto& row : changes.deleted)
        put("counter", std::string{deleted_prefix} + row.name.value, std::to_string(row.counted.value));
      if (changes.deleted_floor)
        put("counter", "version_floor", std::to_string(changes.deleted_floor->value));
      if (changes.replica_id_last)
        put("counter", "replica_id_last", std::to_string(*changes.replica_id_last));
      all.commit();
      return {};
    });
  }

  std::optional<failure> broken() const override { return broken_; }

private:
  void forget(const change_set& changes) {
    for (const auto& node : changes.nodes_forgotten)
      drop("node", node.value);
    for (const auto& flow : changes.flows_forgotten) {
      drop("flow", flow.value);
      drop_range("version", key_of(flow, flow_version{0}), flow.value + "/~");
    }
    for (const auto& name : changes.deleted_forgotten)
      drop("counter", std::string{deleted_prefix} + name.value);
    for (const auto& [flow, version] : changes.versions_forgotten)
      drop("version", key_of(flow, version));
    for (auto id : changes.replicas_forgotten)
      drop("replica", key_of(id.value));
    if (changes.answers_forgotten_to != 0)
      drop_range("answer", key_of(0), key_of(changes.answers_forgotten_to));
    if (changes.events_forgotten_to != 0)
      drop_range("event", key_of(0), key_of(changes.events_forgotten_to));
  }

  void put(const std::string& kind, const std::string& key, const std::string& body) {
    put_.reset();
    put_.bind(1, kind);
    put_.bind(2, key);
    put_.bind(3, body);
    put_.bind(4, checksum_of(kind, key, body));
    put_.exec();
  }

  void drop(const std::string& kind, const std::string& key) { drop_range(kind, key, key); }

  void drop_range(const std::string& kind, const std::string& first, const std::string& last) {
    drop_.reset();
    drop_.bind(1, kind);
    drop_.bind(2, first);
    drop_.bind(3, last);
    drop_.exec();
  }

  /// Calls `use(key, body)` for each row of `kind`, by key, after its checksum was compared.
  template <class Use>
  result<void> each(const std::string& kind, Use use) {
    SQLite::Statement rows{db_, "SELECT key, body, checksum FROM rows WHERE kind = ? ORDER BY key"};
    rows.bind(1, kind);
    while (rows.executeStep()) {
      const auto key = rows.getColumn(0).getString();
      const auto body = rows.getColumn(1).getString();
      if (checksum_of(kind, key, body) != rows.getColumn(2).getInt64())
        return fail(errc::corrupt,
                    name_ + " is damaged: the checksum of " + kind + " '" + key + "' does not match");
      if (result<void> used = use(key, body); !used)
        return fail(errc::corrupt,
                    name_ + " is damaged: " + kind + " '" + key + "': " + used.error().message);
    }
    return {};
  }

  /// A damaged kind must not make its row invisible.
  result<void> refuse_unknown_kinds() {
    SQLite::Statement rows{
      db_, "SELECT kind, key FROM rows WHERE kind NOT IN ('counter', 'node', 'flow', 'version',"
           " 'replica', 'answer', 'event') LIMIT 1"};
    if (!rows.executeStep())
      return {};
    return fail(errc::corrupt, name_ + " is damaged: '" + rows.getColumn(1).getString()
                                 + "' is of unknown kind '" + rows.getColumn(0).getString() + "'");
  }

  template <class Row>
  result<void> read_all(const std::string& kind, std::vector<Row>& to) {
    return each(kind,
                [&](const std::string&, const std::string& body) { return decode(body, to.emplace_back()); });
  }

  result<void> read_counter(const std::string& name, std::uint64_t& to) {
    to = 0;
    return each("counter", [&](const std::string& key, const std::string& body) -> result<void> {
      if (key == name)
        to = std::stoull(body);
      return {};
    });
  }

  /// Counters, and no kind of their own, so that an older program opens the file, too.
  result<void> read_deleted(std::vector<deleted_flow>& to) {
    return each("counter", [&](const std::string& key, const std::string& body) -> result<void> {
      if (key.starts_with(deleted_prefix))
        to.push_back({flow_name{key.substr(deleted_prefix.size())}, flow_version{std::stoull(body)}});
      return {};
    });
  }

  /// Pages that are free in the file, and a log that is as long: with these a drain, a resume or a scale can be stored when
  /// the disk is full. They are what helps then. Written and dropped in two transactions, else nothing is written.
  void keep_room() {
    db_.exec("PRAGMA synchronous=NORMAL"); // only what begins the log anew needs to be on disk
    try {
      put("counter", "room", std::string(room_bytes, '-'));
      drop("counter", "room");
      begin_log_anew();
    } catch (const SQLite::Exception& what) {
      if (kind_of(what) != SQLITE_FULL)
        throw;
    }
    db_.exec("PRAGMA synchronous=FULL");
  }

  /// Moves the log into the file, so that the next transaction overwrites its beginning.
  bool begin_log_anew() {
    const auto code =
      sqlite3_wal_checkpoint_v2(db_.getHandle(), nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
    note_failed_sync(code, sqlite3_errstr(code));
    return code == SQLITE_OK;
  }

  void note_failed_sync(int code, const std::string& what) {
    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
      broken_ = failure{errc::unavailable, name_ + ": a sync failed, what is on disk is not known: " + what};
  }

  /// `work` is a whole transaction, and changes nothing else: on a full disk it is done again where the log can begin anew.
  template <class Work>
  auto guarded(Work work) -> decltype(work()) {
    try {
      return guarded_once(work);
    } catch (const SQLite::Exception& full) {
      if (begin_log_anew())
        try {
          return guarded_once(work);
        } catch (const SQLite::Exception&) { // as full as before
        }
      return fail(reaction_to(full), text_of(name_, full));
    }
  }

  /// Throws when the disk is full.
  template <class Work>
  auto guarded_once(Work& work) -> decltype(work()) {
    if (broken_)
      return tl::unexpected<failure>{*broken_};
    try {
      return work();
    } catch (const SQLite::Exception& what) {
      if (kind_of(what) == SQLITE_FULL)
        throw;
      note_failed_sync(what.getExtendedErrorCode(), what.what());
      return fail(reaction_to(what), text_of(name_, what));
    }
  }

  /// SQLite's own hook does as much, but for the mark and for a failed sync, which it hides. What was written is
  /// safe even then, but it is the last.
  static int on_commit(void* mine, sqlite3* handle, const char* schema, int pages) {
    auto& self = *static_cast<cluster_store*>(mine);
    self.mark_.note_commit(static_cast<std::uint32_t>(pages));
    if (pages >= checkpoint_pages) {
      const auto code =
        sqlite3_wal_checkpoint_v2(handle, schema, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
      self.note_failed_sync(code, sqlite3_errstr(code));
    }
    return SQLITE_OK;
  }

  std::string name_;
  std::optional<failure> broken_;
  wal_mark mark_; ///< outlives the database
  SQLite::Database db_;
  // Prepared at first use: the table may have yet to be made.
  struct lazy {
    SQLite::Database& db;
    const char* sql;
    std::optional<SQLite::Statement> made;

    void reset() {
      if (!made)
        made.emplace(db, sql);
      made->reset();
    }
    template <class Value>
    void bind(int at, const Value& value) {
      made->bind(at, value);
    }
    void exec() { made->exec(); }
  };
  lazy put_{db_, "INSERT OR REPLACE INTO rows (kind, key, body, checksum) VALUES (?, ?, ?, ?)", {}};
  lazy drop_{db_, "DELETE FROM rows WHERE kind = ? AND key BETWEEN ? AND ?", {}};
};

} // namespace

result<std::shared_ptr<cluster_file>> open_cluster_store(const std::filesystem::path& file,
                                                         const std::string& vfs) {
  if (auto whole = wal_mark{file.string(), "head state"}.check(); !whole)
    return fail(whole);
  make_private(file);
  try {
    auto store = std::make_shared<cluster_store>(file, vfs);
    if (auto prepared = store->prepare(); !prepared)
      return fail(prepared);
    return store;
  } catch (const SQLite::Exception& what) {
    return fail(reaction_to(what), text_of(file.string(), what));
  }
}

} // namespace sluice::store
