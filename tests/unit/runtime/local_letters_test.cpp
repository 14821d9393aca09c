#include "runtime/local_letters.hpp"

#include <doctest/doctest.h>

using namespace sluice;
using namespace sluice::runtime;

TEST_CASE("dead letters are told in one line for each queue, those of earlier runs apart") {
  CHECK(letters_text({}).empty());
  CHECK(
    letters_text({{queue_name{"in"}, {}, 1, 1}})
    == "1 dead letter in queue 'in': --dead-letters prints it with its error, --requeue in tries it again\n");
  CHECK(
    letters_text({{queue_name{"in"}, {}, 2, 1002}, {{}, processor_name{"read"}, 3, 3}})
    == "1,002 dead letters in queue 'in', 1,000 of earlier runs: --dead-letters prints them with their "
       "errors, "
       "--requeue in tries them again\n"
       "3 dead letters of read, whose source is no queue: --dead-letters prints them with their errors\n");
  CHECK(letters_text({{queue_name{"in"}, {}, 0, 1}})
        == "1 dead letter in queue 'in' of earlier runs: --dead-letters prints it with its error, --requeue "
           "in tries "
           "it again\n");
}
