#pragma once

#include <filesystem>

namespace sluice::store {

/// Makes a database, and what SQLite keeps beside it, readable and writable by this user alone; an empty file if there
/// is none, whose mode SQLite gives to the others. Before it is opened. What fails here fails again, with a reason, when
/// the database is opened.
void make_private(const std::filesystem::path& database);

} // namespace sluice::store
