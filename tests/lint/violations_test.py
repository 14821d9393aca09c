"""Tests of the checks: each is shown a deliberate violation and has to find it."""
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CMAKE = os.environ.get("SLUICE_CMAKE", "cmake")
CLANG_FORMAT = os.environ.get("SLUICE_CLANG_FORMAT", "clang-format")


class Tree(unittest.TestCase):
    """A scratch repository; `write` adds files, `check` runs one of the scripts on it."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = pathlib.Path(scratch.name)

    def write(self, path, text):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def run_check(self, script, *arguments):
        done = subprocess.run([sys.executable, HERE / script, *arguments, self.root],
                              capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def assert_found(self, script, expected, *arguments):
        code, output = self.run_check(script, *arguments)
        self.assertEqual(code, 1, output)
        self.assertIn(expected, output)

    def assert_clean(self, script, *arguments):
        code, output = self.run_check(script, *arguments)
        self.assertEqual(code, 0, output)


class Layers(Tree):
    def test_what_the_tables_grant_passes(self):
        self.write("sdk/sluice/flow.hpp", "#include <sluice/core/ids.hpp>\n#include <string>\n")
        self.write("sdk/client/client.hpp", '#include "proto/sluice/a.pb.h"\n#include <grpcpp/grpcpp.h>\n')
        self.write("actors/pool/pool.hpp", '#include "actors/pool/pool_protocol.hpp"\n#include <sluice/flow.hpp>\n')
        self.write("transport/link/a.cpp", '#include "actors/pool/pool_protocol.hpp"\n#include "proto/sluice/a.pb.h"\n')
        self.write("transport/grpc/a.cpp", '#include "sdk/client/client.hpp"\n#include "transport/link/a.hpp"\n')
        self.write("runtime/host.cpp", '#include "actors/pool/pool.hpp"\n#include "transport/link/a.hpp"\n')
        self.write("runtime/main.cpp", '#include "runtime/cli/command.hpp"\n#include "transport/grpc/a.hpp"\n')
        self.write("tests/unit/a_test.cpp", '#include "runtime/cli/command.hpp"\n#include "tests/support/fake.hpp"\n')
        self.assert_clean("check_layers.py")

    def test_each_forbidden_include_is_found(self):
        for path, include in [
            ("actors/pool/pool.cpp", '"transport/link/link.hpp"'),             # upward
            ("actors/pool/pool.cpp", '"proto/sluice/a.pb.h"'),                 # wire types as domain types
            ("actors/pool/pool.cpp", "<proto/sluice/a.pb.h>"),                 # the same in angle brackets
            ("actors/pool/pool.cpp", '"sdk/client/client.hpp"'),
            ("actors/pool/pool.cpp", "<fstream>"),
            ("actors/pool/pool.cpp", "<caf/io/middleman.hpp>"),
            ("actors/pool/pool_policy.hpp", "<caf/actor.hpp>"),                # decisions are pure
            ("actors/pool/pool_state.cpp", "<mutex>"),
            ("sdk/sluice/flow.hpp", "<caf/actor.hpp>"),
            ("sdk/sluice/flow.hpp", "<grpcpp/grpcpp.h>"),
            ("sdk/sluice/flow.hpp", '"actors/message.hpp"'),
            ("sdk/sluice/flow.hpp", '"sdk/client/client.hpp"'),
            ("sdk/examples/a.cpp", '"runtime/host.hpp"'),
            ("transport/store/a.cpp", '"actors/pool/pool.hpp"'),               # an implementation header
            ("transport/store/a.cpp", '"transport/grpc/control_service.hpp"'),
            ("transport/store/a.cpp", "<grpcpp/grpcpp.h>"),
            ("transport/store/a.cpp", '"runtime/host.hpp"'),
            ("transport/connectors/file/file_source.cpp", '"transport/connectors/pulse/pulse_source.hpp"'),
            ("runtime/host.cpp", '"runtime/cli/command.hpp"'),
            ("runtime/host.cpp", '"transport/grpc/control_service.hpp"'),
            ("runtime/cli/drain.cpp", "<caf/actor.hpp>"),
            ("runtime/host.cpp", '"tests/support/fake.hpp"'),
        ]:
            with self.subTest(path=path, include=include):
                self.write(path, f"#pragma once\n  #  include {include}\n")
                code, output = self.run_check("check_layers.py")
                self.assertEqual(code, 1, output)
                self.assertIn(f"{path}:2: may not include {include[1:-1]}", output)
                (self.root / path).unlink()

    def test_a_path_is_written_from_the_root(self):
        self.write("actors/pool/pool.cpp", '#include "pool.hpp"\n')
        self.assert_found("check_layers.py", "not a path from the root")

    def test_public_headers_are_included_as_users_do(self):
        self.write("actors/pool/pool.cpp", '#include "sdk/sluice/flow.hpp"\n')
        self.assert_found("check_layers.py", "write <sluice/flow.hpp>")


class HouseRules(Tree):
    def assert_rule(self, path, text, expected):
        self.write(path, text)
        self.assert_found("check_tidy.py", expected)

    def test_ordinary_files_pass(self):
        self.write("README.md", "# Title\n\n```sh\n# a comment in a block\n```\n")
        self.write("sdk/sluice/a.hpp", "#pragma once\nnamespace sluice {\nint f();\n} // namespace sluice\n")
        self.write("sdk/sluice/a.cpp", '#include <sluice/a.hpp>\n\nnamespace sluice {\n\nint f() {\n'
                   '  return 1; // not sleep_for(1)\n}\n\nconst char* text = "steady_clock::now { (";\n\n}\n')
        self.write("tests/unit/sdk/a_test.cpp", '#include <sluice/a.hpp>\nusing namespace sluice;\n')
        self.assert_clean("check_tidy.py")

    def test_sleeping(self):
        for call in ["std::this_thread::sleep_for(1s);", "usleep(5);", "  sleep(1);"]:
            with self.subTest(call=call):
                self.assert_rule("tests/sim/a_test.cpp", f"void f() {{\n  {call}\n}}\n", "wait for a condition")

    def test_clocks_in_actors(self):
        self.assert_rule("actors/a.cpp", "auto t = std::chrono::steady_clock::now();\n", "take time as an argument")

    def test_threads_in_actors(self):
        self.assert_rule("actors/a.cpp", "std::thread t;\n", "threads belong")

    def test_infinite_timeouts(self):
        self.assert_rule("runtime/a.cpp", "self->request(x, caf::infinite);\n", "give the request a timeout")

    def test_randomness(self):
        self.assert_rule("transport/a.cpp", "int x = std::rand();\n", "take randomness as an argument")

    def test_using_namespace_in_a_header(self):
        self.assert_rule("sdk/sluice/a.hpp", "#pragma once\nnamespace x {\nusing namespace std;\n}\n",
                         "a header must not decide")

    def test_macros_in_a_header(self):
        self.assert_rule("sdk/sluice/a.hpp", "#pragma once\n#define CHECKED(x) x\n", "macro CHECKED")

    def test_no_pragma_once(self):
        self.assert_rule("sdk/sluice/a.hpp", "int f();\n", "no #pragma once")

    def test_left_overs(self):
        for word in ["FIX" + "ME", "TO" + "DO", "X" + "XX", "HA" + "CK"]:
            with self.subTest(word=word):
                self.assert_rule("runtime/a.cpp", f"// {word}: later\n", f"{word}: finish it")

    def test_long_files(self):
        self.assert_rule("runtime/a.cpp", "int x;\n" * 801, "801 lines, 800 allowed")

    def test_long_functions(self):
        body = "  g();\n" * 69
        self.write("runtime/a.cpp", f"namespace a {{\n\nint f(int x,\n      int y) {{\n{body[:-7 * 2]}}}\n\n}}\n")
        self.assert_clean("check_tidy.py")
        self.assert_rule("runtime/a.cpp", f"namespace a {{\nclass b {{\n  int f(int x) {{\n{body}  }}\n}};\n}}\n",
                         "function of 71 lines, 70 allowed")

    def test_many_includes(self):
        self.assert_rule("actors/a.cpp", "".join(f"#include <a{n}>\n" for n in range(25)), "25 includes, 24 allowed")

    def test_titles(self):
        self.assert_rule("sdk/README.md", "# One\n\n# Two\n", "a second '# Title'")
        self.assert_rule("sdk/README.md", "## Only this\n", "no '# Title'")

    def test_dead_headers(self):
        self.assert_rule("actors/a.hpp", "#pragma once\n", "no file includes this header")


class Format(Tree):
    """An upward include cannot hide among its neighbours."""

    def setUp(self):
        super().setUp()
        self.write(".clang-format", (ROOT / ".clang-format").read_text())

    def test_an_upward_include_out_of_order_is_found(self):
        text = '#include "actors/pool/pool.hpp"\n\n#include "actors/a.hpp"\n#include "transport/link/link.hpp"\n'
        self.write("actors/pool/pool.cpp", text)
        self.assert_found("check_format.py", "code should be clang-formatted", CLANG_FORMAT)

    def test_an_upward_include_in_order_stands_above_its_own_layer(self):
        self.write("actors/pool/pool.cpp", '#include "actors/a.hpp"\n#include <sluice/a.hpp>\n#include <string>\n'
                   '#include "transport/link/link.hpp"\n')
        subprocess.run([CLANG_FORMAT, "-i", self.root / "actors/pool/pool.cpp"], check=True)
        self.assert_clean("check_format.py", CLANG_FORMAT)
        includes = re.findall(r'[<"](.*)[>"]', (self.root / "actors/pool/pool.cpp").read_text())
        self.assertEqual(includes, ["transport/link/link.hpp", "actors/a.hpp", "sluice/a.hpp", "string"])


class Build(Tree):
    """The two checks that the build makes, with the real `sluice_layer` in a small project."""

    def configure(self):
        function = re.search(r"^function\(sluice_layer.*?^endfunction\(\)$",
                             (ROOT / "CMakeLists.txt").read_text(), re.M | re.S)[0]
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.25)\nproject(violation LANGUAGES CXX)\n"
                   "set(CMAKE_CXX_STANDARD 20)\n" + function +
                   "\nsluice_layer(sdk FOLDERS sdk/sluice BASE sdk)\n"
                   "sluice_layer(actors FOLDERS actors DEPENDS sluice_sdk)\n"
                   "sluice_layer(transport FOLDERS transport DEPENDS sluice_actors)\n")
        self.write("tests/lint/link_main.cpp", (HERE / "link_main.cpp").read_text())
        self.write("sdk/sluice/a.hpp", "#pragma once\nnamespace sluice { int a(); }\n")
        self.write("sdk/sluice/a.cpp", "#include <sluice/a.hpp>\nint sluice::a() { return 1; }\n")
        self.write("transport/serve.cpp", "namespace sluice::http { int serve() { return 2; } }\n")
        self.cmake("-G", "Ninja", "-S", self.root, "-B", self.root / "build")

    def cmake(self, *arguments):
        done = subprocess.run([CMAKE, *arguments], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr

    def build(self, target):
        return self.cmake("--build", self.root / "build", "--target", target)

    def test_the_link_test_finds_a_call_smuggled_past_the_includes(self):
        self.write("actors/a.cpp", "#include <sluice/a.hpp>\nint b() { return sluice::a(); }\n")
        self.configure()
        code, output = self.build("linktest_actors")
        self.assertEqual(code, 0, output)
        self.write("actors/a.cpp", "namespace sluice::http { int serve(); }\nint b() { return sluice::http::serve(); }\n")
        code, output = self.build("linktest_actors")
        self.assertNotEqual(code, 0, output)
        self.assertRegex(output, r"undefined (reference|symbol).*sluice::http::serve")

    def test_the_header_sets_find_a_header_that_does_not_stand_alone(self):
        self.write("actors/a.hpp", "#pragma once\n#include <string>\nstd::string f();\n")
        self.configure()
        code, output = self.build("all_verify_interface_header_sets")
        self.assertEqual(code, 0, output)
        self.write("actors/a.hpp", "#pragma once\nstd::string f();\n")
        code, output = self.build("all_verify_interface_header_sets")
        self.assertNotEqual(code, 0, output)
        self.assertIn("actors/a.hpp", output)


if __name__ == "__main__":
    unittest.main()
