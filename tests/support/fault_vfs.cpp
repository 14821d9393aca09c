#include "tests/support/fault_vfs.hpp"

#include <sqlite3.h>

#include <new>

namespace sluice::testing {

namespace {

fault_vfs* current = nullptr;
sqlite3_vfs layer;
sqlite3_io_methods methods;

/// What SQLite sees, followed by the real file.
struct file {
  sqlite3_file base;
  sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

sqlite3_file* real(sqlite3_file* of) { return reinterpret_cast<file*>(of)->real(); }

bool due(int& countdown) {
  if (countdown == 0)
    return false;
  if (countdown > 1) {
    --countdown;
    return false;
  }
  return true;
}

int write(sqlite3_file* of, const void* bytes, int count, sqlite3_int64 at) {
  if (auto code = current->write_fails())
    return code;
  return real(of)->pMethods->xWrite(real(of), bytes, count, at);
}

int sync(sqlite3_file* of, int flags) {
  if (current->sync_fails())
    return SQLITE_IOERR_FSYNC;
  return real(of)->pMethods->xSync(real(of), flags);
}

int open(sqlite3_vfs* self, sqlite3_filename path, sqlite3_file* to, int flags, int* out_flags) {
  auto* below = static_cast<sqlite3_vfs*>(self->pAppData);
  auto* made = reinterpret_cast<file*>(to);
  made->base.pMethods = nullptr;
  auto code = below->xOpen(below, path, made->real(), flags, out_flags);
  if (code == SQLITE_OK)
    made->base.pMethods = &methods;
  return code;
}

void fill_methods() {
  methods = {};
  methods.iVersion = 2;
  methods.xClose = [](sqlite3_file* f) { return real(f)->pMethods->xClose(real(f)); };
  methods.xRead = [](sqlite3_file* f, void* to, int count, sqlite3_int64 at) {
    return real(f)->pMethods->xRead(real(f), to, count, at);
  };
  methods.xWrite = write;
  methods.xTruncate = [](sqlite3_file* f, sqlite3_int64 size) {
    return real(f)->pMethods->xTruncate(real(f), size);
  };
  methods.xSync = sync;
  methods.xFileSize = [](sqlite3_file* f, sqlite3_int64* size) {
    return real(f)->pMethods->xFileSize(real(f), size);
  };
  methods.xLock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xLock(real(f), level); };
  methods.xUnlock = [](sqlite3_file* f, int level) { return real(f)->pMethods->xUnlock(real(f), level); };
  methods.xCheckReservedLock = [](sqlite3_file* f, int* out) {
    return real(f)->pMethods->xCheckReservedLock(real(f), out);
  };
  methods.xFileControl = [](sqlite3_file* f, int op, void* arg) {
    return real(f)->pMethods->xFileControl(real(f), op, arg);
  };
  methods.xSectorSize = [](sqlite3_file* f) { return real(f)->pMethods->xSectorSize(real(f)); };
  methods.xDeviceCharacteristics = [](sqlite3_file* f) {
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
  };
  methods.xShmMap = [](sqlite3_file* f, int page, int size, int extend, volatile void** out) {
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, out);
  };
  methods.xShmLock = [](sqlite3_file* f, int at, int count, int flags) {
    return real(f)->pMethods->xShmLock(real(f), at, count, flags);
  };
  methods.xShmBarrier = [](sqlite3_file* f) { real(f)->pMethods->xShmBarrier(real(f)); };
  methods.xShmUnmap = [](sqlite3_file* f, int remove) {
    return real(f)->pMethods->xShmUnmap(real(f), remove);
  };
}

} // namespace

fault_vfs::fault_vfs() {
  current = this;
  auto* below = sqlite3_vfs_find(nullptr);
  layer = *below;
  layer.zName = name;
  layer.pAppData = below;
  layer.szOsFile = static_cast<int>(sizeof(file)) + below->szOsFile;
  layer.xOpen = open;
  fill_methods();
  sqlite3_vfs_register(&layer, 0);
}

fault_vfs::~fault_vfs() {
  sqlite3_vfs_unregister(&layer);
  current = nullptr;
}

bool fault_vfs::sync_fails() {
  ++syncs_;
  return due(sync_in_);
}

int fault_vfs::write_fails() {
  ++writes_;
  if (due(write_in_))
    return SQLITE_FULL;
  return due(write_error_in_) ? SQLITE_IOERR_WRITE : 0;
}

} // namespace sluice::testing
