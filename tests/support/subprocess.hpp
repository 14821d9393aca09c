#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

/// Real child processes for integration and end-to-end tests.
namespace sluice::test {

using namespace std::chrono_literals;

struct run_result {
  int exit_code = -1; ///< 128 + signal when a signal ended it
  std::string out;
  std::string err;
};

struct run_options {
  std::string input;
  std::map<std::string, std::string> env; ///< on top of this process's own
  std::filesystem::path directory;
  std::chrono::milliseconds deadline = 60s; ///< then it is killed and the test fails
};

/// Runs a program to its end.
run_result run(const std::vector<std::string>& argv, const run_options& options = {});

/// A child that runs beside the test; killed and reaped at the end of scope.
class background_process {
public:
  background_process(const std::vector<std::string>& argv, const run_options& options,
                     std::filesystem::path output_file);
  ~background_process();
  background_process(const background_process&) = delete;
  background_process& operator=(const background_process&) = delete;

  pid_t pid() const noexcept { return pid_; }
  void signal(int number) const;
  bool running();
  /// Waits for the end; returns the exit code (128 + signal).
  int wait(std::chrono::milliseconds deadline = 30s);
  std::string output() const;

private:
  pid_t pid_ = -1;
  int exit_code_ = -1;
  bool reaped_ = false;
  std::filesystem::path output_file_;
};

/// A folder that goes with the scope. Short, so that unix socket paths fit.
class temp_dir {
public:
  temp_dir();
  ~temp_dir();
  temp_dir(const temp_dir&) = delete;
  temp_dir& operator=(const temp_dir&) = delete;
  const std::filesystem::path& path() const noexcept { return path_; }
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

private:
  std::filesystem::path path_;
};

/// Polls until `condition` holds; false when it does not within `deadline`. The
/// deadline is a bound for broken code, never an expectation.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds deadline = 30s);

std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, std::string_view text);
void append_file(const std::filesystem::path& path, std::string_view text);

/// True while a process of that id lives and is no zombie.
bool process_alive(pid_t pid);

} // namespace sluice::test
