#include "runtime/cli/process_environment.hpp"
#include "runtime/daemon/daemon.hpp"
#include "transport/process/standard_streams.hpp"

#include <google/protobuf/stubs/logging.h>

#include <exception>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
  sluice::process::hold_standard_streams();
  // What a hostile peer sends is refused and counted; it does not get lines in our log.
  google::protobuf::SetLogHandler(nullptr);
  try {
    auto env = sluice::cli::make_process_environment(sluice::daemon::run_head, sluice::daemon::run_worker,
                                                     sluice::daemon::has_joined);
    return sluice::cli::run(env, std::vector<std::string>(argv + 1, argv + argc));
  } catch (const std::exception& why) {
    std::cerr << "error: " << why.what() << "\n";
    return sluice::cli::failed;
  }
}
