#include "transport/store/sqlite.hpp"

#include "transport/store/private_file.hpp"

#include <fcntl.h>
#include <filesystem>
#include <unistd.h>
#include <utility>

namespace sluice::store {

namespace {

/// A new file must be found again after a power cut: its folder is synced too.
void sync_folder_of(const std::string& path) {
  auto folder = std::filesystem::path{path}.parent_path();
  if (folder.empty())
    folder = ".";
  if (int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); fd >= 0) {
    ::fsync(fd);
    ::close(fd);
  }
}

} // namespace

// -- errors

bool sqlite_error::is_full() const noexcept { return (code_ & 0xff) == SQLITE_FULL; }

bool sqlite_error::is_sync_failure() const noexcept {
  return code_ == SQLITE_IOERR_FSYNC || code_ == SQLITE_IOERR_DIR_FSYNC;
}

bool sqlite_error::is_damage() const noexcept {
  auto kind = code_ & 0xff;
  return kind == SQLITE_CORRUPT || kind == SQLITE_NOTADB || code_ == SQLITE_IOERR_SHORT_READ;
}

failure sqlite_error::to_failure() const {
  auto code = errc::unavailable;
  if (is_full())
    code = errc::overloaded;
  else if (is_damage())
    code = errc::corrupt;
  else if ((code_ & 0xff) == SQLITE_BUSY || (code_ & 0xff) == SQLITE_LOCKED)
    code = errc::conflict;
  return {code, what()};
}

// -- statements

void sqlite_statement::raise(int code) {
  auto* sql = sqlite3_sql(statement_.get());
  std::string doing = sql != nullptr ? sql : "";
  reset();
  database_->raise(code, doing);
}

sqlite_statement& sqlite_statement::bind(int at, std::int64_t value) {
  if (auto code = sqlite3_bind_int64(statement_.get(), at, value); code != SQLITE_OK)
    raise(code);
  return *this;
}

sqlite_statement& sqlite_statement::bind_text(int at, std::string_view value) {
  auto* text = value.data() != nullptr ? value.data() : "";
  auto code = sqlite3_bind_text64(statement_.get(), at, text, value.size(), SQLITE_STATIC, SQLITE_UTF8);
  if (code != SQLITE_OK)
    raise(code);
  return *this;
}

sqlite_statement& sqlite_statement::bind_blob(int at, std::string_view value) {
  auto* bytes = value.data() != nullptr ? value.data() : "";
  if (auto code = sqlite3_bind_blob64(statement_.get(), at, bytes, value.size(), SQLITE_STATIC);
      code != SQLITE_OK)
    raise(code);
  return *this;
}

bool sqlite_statement::step() {
  auto code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW)
    return true;
  if (code != SQLITE_DONE)
    raise(code);
  reset();
  return false;
}

void sqlite_statement::run() {
  while (step()) {
  }
}

void sqlite_statement::reset() noexcept { sqlite3_reset(statement_.get()); }

std::int64_t sqlite_statement::integer(int column) const noexcept {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string_view sqlite_statement::bytes(int column) const noexcept {
  auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  return data == nullptr
           ? std::string_view{}
           : std::string_view{data, static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

// -- the database

void sqlite_database::raise(int code, const std::string& doing) {
  auto detail = handle_ != nullptr ? sqlite3_extended_errcode(handle_) : code;
  if ((detail & 0xff) != (code & 0xff))
    detail = code;
  std::string text = options_.kind + " '" + options_.path + "': ";
  switch (code & 0xff) {
  case SQLITE_FULL:
    text += "no space left; free some and it goes on";
    break;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    throw sqlite_error{detail, text + "another process has it open"};
  case SQLITE_NOTADB:
    text += "this is no SQLite file, or its first page is damaged";
    break;
  case SQLITE_CORRUPT:
    text += "the file is damaged (" + std::string{handle_ ? sqlite3_errmsg(handle_) : ""}
            + "); stop Sluice and save what can be read with: sqlite3 " + options_.path
            + " .recover | sqlite3 " + options_.path + ".new";
    break;
  default:
    text += handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  }
  text += " [" + std::to_string(detail) + (doing.empty() ? "" : ", in: " + doing.substr(0, 80)) + "]";
  throw sqlite_error{detail, text};
}

void sqlite_database::run(const char* sql) {
  if (auto code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
    raise(code, sql);
}

sqlite_statement sqlite_database::prepare(std::string_view sql) {
  sqlite_statement made;
  made.database_ = this;
  sqlite3_stmt* statement = nullptr;
  auto code = sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT,
                                 &statement, nullptr);
  if (code != SQLITE_OK)
    raise(code, std::string{sql});
  made.statement_.reset(statement);
  return made;
}

std::int64_t sqlite_database::read_pragma(const char* sql) {
  auto statement = prepare(sql);
  sqlite_reset guard{statement};
  return statement.step() ? statement.integer(0) : 0;
}

void sqlite_database::connect() {
  make_private(options_.path);
  auto flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  auto code = sqlite3_open_v2(options_.path.c_str(), &handle_, flags,
                              options_.vfs.empty() ? nullptr : options_.vfs.c_str());
  if (code != SQLITE_OK)
    raise(code, "open");
  sqlite3_extended_result_codes(handle_, 1);
  sqlite3_busy_timeout(handle_, 0);
  run("PRAGMA locking_mode=EXCLUSIVE");
  run(("PRAGMA page_size=" + std::to_string(options_.page_size_bytes)).c_str());
  check_owner();
  run("PRAGMA journal_mode=WAL");
  run("PRAGMA synchronous=FULL");
  run("PRAGMA temp_store=MEMORY");
  run(("PRAGMA cache_size=-" + std::to_string(options_.cache_bytes / 1024)).c_str());
  auto page_size = read_pragma("PRAGMA page_size");
  page_bytes_ = page_size;
  wal_pages_max_ = options_.wal_bytes / page_size;
  // SQLite's own checkpoints hide failed syncs; ours do not. Setting the hook ends its own.
  auto count_pages = [](void* mine, sqlite3*, const char*, int pages) {
    auto& self = *static_cast<sqlite_database*>(mine);
    self.wal_pages_ = pages;
    self.mark_.note_commit(static_cast<std::uint32_t>(pages));
    return SQLITE_OK;
  };
  sqlite3_wal_hook(handle_, count_pages, this);
  run(("PRAGMA journal_size_limit=" + std::to_string(options_.wal_bytes * 2)).c_str());
  if (options_.size_bytes_max > 0)
    run(("PRAGMA max_page_count=" + std::to_string(options_.size_bytes_max / page_size)).c_str());
  begin_ = prepare("BEGIN IMMEDIATE");
  commit_ = prepare("COMMIT");
}

void sqlite_database::check_owner() {
  schema_version_ = static_cast<int>(read_pragma("PRAGMA user_version"));
  auto owner = static_cast<std::int32_t>(read_pragma("PRAGMA application_id"));
  auto is_new = schema_version_ == 0 && owner == 0 && read_pragma("PRAGMA schema_version") == 0;
  auto named = options_.kind + " '" + options_.path + "': ";
  if (!is_new && owner != options_.application_id)
    throw sqlite_error{SQLITE_NOTADB, named + "this is a SQLite file of another program; move it away"};
  if (schema_version_ > options_.schema_version)
    throw sqlite_error{SQLITE_SCHEMA, named + "written by a newer Sluice (format "
                                        + std::to_string(schema_version_) + ", this program knows "
                                        + std::to_string(options_.schema_version)
                                        + "); start that version, or restore a copy from before"};
}

void sqlite_database::set_schema_version(int version) {
  run(("PRAGMA application_id=" + std::to_string(options_.application_id)).c_str());
  run(("PRAGMA user_version=" + std::to_string(version)).c_str());
  schema_version_ = version;
}

result<std::unique_ptr<sqlite_database>> sqlite_database::open(sqlite_options options) {
  std::unique_ptr<sqlite_database> made{new sqlite_database{std::move(options)}};
  std::error_code ignored;
  auto is_new = !std::filesystem::exists(made->path(), ignored);
  if (auto whole = made->mark_.check(); !whole)
    return fail(whole);
  try {
    made->connect();
  } catch (const sqlite_error& why) {
    auto out = why.to_failure();
    if (why.code() == SQLITE_SCHEMA)
      out.code = errc::unsupported;
    return tl::unexpected<failure>{std::move(out)};
  }
  if (is_new)
    sync_folder_of(made->path());
  return made;
}

// The mark goes after this, as it stands before what is closed here.
sqlite_database::~sqlite_database() {
  begin_ = {};
  commit_ = {};
  sqlite3_close_v2(handle_);
}

bool sqlite_database::checkpoint_if_due() {
  if (wal_pages_ <= wal_pages_max_)
    return false;
  auto code = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code == SQLITE_OK)
    wal_pages_ = 0;
  else if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
    raise(code, "checkpoint");
  return code == SQLITE_OK;
}

bool sqlite_database::begin_log_anew() {
  const auto code = sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_RESTART, nullptr, nullptr);
  if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
    raise(code, "checkpoint");
  return code == SQLITE_OK;
}

std::int64_t sqlite_database::id_of_last_insert() const noexcept {
  return sqlite3_last_insert_rowid(handle_);
}

std::int64_t sqlite_database::count_of_changes() const noexcept { return sqlite3_changes64(handle_); }

std::uint64_t sqlite_database::used_bytes() {
  const auto pages = read_pragma("PRAGMA page_count") - read_pragma("PRAGMA freelist_count");
  return static_cast<std::uint64_t>(pages * page_bytes_);
}

// -- transactions

sqlite_transaction::sqlite_transaction(sqlite_database& database) : database_(database) {
  database_.begin_.run();
}

sqlite_transaction::~sqlite_transaction() {
  if (!is_open_)
    return;
  try {
    database_.run("ROLLBACK");
  } catch (const sqlite_error&) {
    // SQLite has rolled back by itself already
  }
}

void sqlite_transaction::commit() {
  database_.commit_.run();
  is_open_ = false;
}

} // namespace sluice::store
