#pragma once

#include "transport/store/wal_mark.hpp"

#include <sluice/core/result.hpp>

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

/// A thin layer over SQLite's C interface for the stores of the head: prepared
/// statements are reused on the hot path, and every error keeps its extended code,
/// because a full disk, a failed sync and a damaged file call for different reactions.
///
/// Errors are exceptions inside `transport/store` and turn into a `failure` at a
/// store's port. One thread at a time.
namespace sluice::store {

/// What SQLite refused to do.
class sqlite_error : public std::runtime_error {
public:
  /// `code` is an extended result code, `what` names the file.
  sqlite_error(int code, const std::string& what) : std::runtime_error(what), code_(code) {}

  int code() const noexcept { return code_; }

  /// The disk or the size limit of the file is full: the same may work later.
  bool is_full() const noexcept;

  /// A sync failed: nobody knows what is on disk, and asking again proves nothing.
  bool is_sync_failure() const noexcept;

  /// The file is not what SQLite wrote.
  bool is_damage() const noexcept;

  /// overloaded (full), corrupt (damage), conflict (somebody else has the file) or unavailable.
  failure to_failure() const;

private:
  int code_;
};

class sqlite_database;

/// One prepared statement. Bind from 1, read columns from 0, as in SQLite.
class sqlite_statement {
public:
  sqlite_statement() = default;

  sqlite_statement& bind(int at, std::int64_t value);
  sqlite_statement& bind(int at, std::uint64_t value) { return bind(at, static_cast<std::int64_t>(value)); }
  sqlite_statement& bind(int at, int value) { return bind(at, static_cast<std::int64_t>(value)); }
  sqlite_statement& bind(int at, std::uint32_t value) { return bind(at, static_cast<std::int64_t>(value)); }

  /// The bytes are not copied: they must live until `run`, or the last `step`.
  sqlite_statement& bind_text(int at, std::string_view value);
  sqlite_statement& bind_blob(int at, std::string_view value);

  /// Runs to the next row; false at the end, and then the statement is reset.
  bool step();

  /// Runs a statement that returns no rows, and resets it.
  void run();

  /// Makes it ready to be bound again before its last row.
  void reset() noexcept;

  std::int64_t integer(int column) const noexcept;
  std::uint64_t number(int column) const noexcept { return static_cast<std::uint64_t>(integer(column)); }

  /// Bytes of a text or blob; valid until the next step or reset.
  std::string_view bytes(int column) const noexcept;

private:
  friend class sqlite_database;
  struct finalizer {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
  };
  [[noreturn]] void raise(int code);

  std::unique_ptr<sqlite3_stmt, finalizer> statement_;
  sqlite_database* database_ = nullptr;
};

/// Resets a statement that is left before its last row, for example by an exception.
class sqlite_reset {
public:
  explicit sqlite_reset(sqlite_statement& statement) noexcept : statement_(statement) {}
  ~sqlite_reset() { statement_.reset(); }
  sqlite_reset(const sqlite_reset&) = delete;
  sqlite_reset& operator=(const sqlite_reset&) = delete;

private:
  sqlite_statement& statement_;
};

struct sqlite_options {
  std::string path;
  int page_size_bytes = 4096;
  std::int64_t cache_bytes = 16 << 20;
  std::int64_t wal_bytes = 16 << 20; ///< `checkpoint_if_due` moves a larger log into the file
  std::int64_t size_bytes_max = 0;   ///< of the file; 0 = as large as the disk allows
  std::int32_t application_id = 0;   ///< marks whose file it is
  int schema_version = 1;            ///< the newest this program knows
  std::string kind;                  ///< "queue store": for messages
  std::string vfs;                   ///< empty = the system's
};

/// One open database file: WAL, `synchronous=FULL`, locked against other processes.
class sqlite_database {
public:
  /// Opens or makes the file. Refuses one of another program, of a newer schema, or
  /// held by another process, each with a sentence that says so.
  static result<std::unique_ptr<sqlite_database>> open(sqlite_options options);

  ~sqlite_database();
  sqlite_database(const sqlite_database&) = delete;
  sqlite_database& operator=(const sqlite_database&) = delete;

  sqlite_statement prepare(std::string_view sql);
  void run(const char* sql);

  /// 0 for a file that was just made.
  int schema_version() const noexcept { return schema_version_; }
  /// Part of a transaction that brings the tables to `version`.
  void set_schema_version(int version);

  /// Moves the log into the file once it is larger than `wal_bytes`. What was
  /// committed is safe before and after. Throws only when a sync failed; all else is tried
  /// again after the next commit. Whether it has moved it.
  bool checkpoint_if_due();

  /// Moves the log into the file so that the next transaction overwrites its beginning: on a full disk that may be
  /// the room for a small one. False where it cannot; throws when a sync failed.
  bool begin_log_anew();

  std::int64_t id_of_last_insert() const noexcept;
  std::int64_t count_of_changes() const noexcept;
  /// Of the file, without what is free in it.
  std::uint64_t used_bytes();
  const std::string& path() const noexcept { return options_.path; }

  [[noreturn]] void raise(int code, const std::string& doing);

private:
  friend class sqlite_transaction;
  explicit sqlite_database(sqlite_options options)
    : options_(std::move(options)), mark_(options_.path, options_.kind) {}
  void connect();
  void check_owner();
  std::int64_t read_pragma(const char* sql);

  sqlite_options options_;
  wal_mark mark_;
  sqlite3* handle_ = nullptr;
  sqlite_statement
    begin_; ///< these two are kept, as a transaction of one row spends a sixth of its time on their text
  sqlite_statement commit_;
  int schema_version_ = 0;
  std::int64_t wal_pages_ = 0;
  std::int64_t wal_pages_max_ = 0;
  std::int64_t page_bytes_ = 0;
};

/// Begins a transaction that takes the write lock; undone unless `commit` was called.
class sqlite_transaction {
public:
  explicit sqlite_transaction(sqlite_database& database);
  ~sqlite_transaction();
  sqlite_transaction(const sqlite_transaction&) = delete;
  sqlite_transaction& operator=(const sqlite_transaction&) = delete;

  /// On disk when it returns.
  void commit();

private:
  sqlite_database& database_;
  bool is_open_ = true;
};

} // namespace sluice::store
