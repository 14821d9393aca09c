#!/usr/bin/env python3
"""House rules a compiler does not know. Usage: check_tidy.py [ROOT]; prints each breach and exits 1.

A rule that a review had to repeat becomes a row here. The limits are ratchets: a number may go
down, an entry may leave a table, nothing is added to make a breach pass.
"""
import pathlib
import re
import sys

FOLDERS = ["proto", "sdk", "actors", "transport", "runtime", "deploy", "tests", ".ci"]
CODE = (".hpp", ".cpp")

LINES_MAX = 800          # aim for 400; the house's anchors have their p99 below this
FUNCTION_LINES_MAX = 70
BEHAVIOR_LINES_MAX = 120  # an actor's behaviour is a list of handlers, not a story
TEST_LINES_MAX = 150     # one scenario of a test may tell a longer story
INCLUDES_MAX = 24
INCLUDES_COMPOSITION_MAX = 40  # runtime/ stitches everything together

# Functions that were longer when the rule came, with the length they may not pass.
LONG_FUNCTIONS = {}

# Files, pattern, what to do instead. Strings and comments are blanked first.
BANNED_CALLS = [
    (r"", r"\b(sleep_for|sleep_until|usleep|nanosleep)\b|\bsleep\(\d+\)",
     "wait for a condition with a deadline: a condition variable, poll(), or eventually() of tests/support"),
    (r"^actors/", r"\b(system|steady|high_resolution)_clock::now\b",
     "take time as an argument or from self->clock(): the simulator moves it"),
    (r"^(actors|sdk/sluice)/", r"\bstd::j?thread\b", "threads belong to transport/ and runtime/"),
    (r"^(?!tests/)", r"\bcaf::infinite\b", "give the request a timeout and retry"),
    (r"^(?!tests/)", r"(?<![\w.>])(std::)?s?rand\(", "take randomness as an argument"),
    (r"\.hpp$", r"^(?!\s{2,}\s)\s*using namespace (?!std::(\w+::)?\w*literals\b)",
     "a header must not decide this for whoever includes it"),
]
# Where a banned call is the point. path pattern -> call pattern.
EXEMPT_CALLS = [
    (r"^tests/support/programs/", r"sleep"),         # user code that is slow on purpose
    (r"^tests/support/subprocess\.cpp$", r"sleep"),  # the one loop that polls other processes
    (r"^tests/bench/", r"sleep"),                    # measures, and asserts nothing
    (r"^actors/collect/collectors\.cpp$", r"infinite"),  # its tick repeats what is not answered
    (r"^transport/peer/peer\.cpp$", r"infinite"),   # of a request that came in: who asks gives up by itself
    (r"^tests/unit/transport/store/queue_store_faults_test\.cpp$", r"usleep"),  # a kill falls at any moment
]

LEFTOVERS = re.compile(r"\b(FIXME|TODO|XXX|HACK)\b")

RAW_STRING = re.compile(r'R"([^(\s]*)\((?:.|\n)*?\)\1"')
TOKENS = re.compile(r'//[^\n]*|/\*(?:.|\n)*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'')
PREPROCESSOR = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
NOT_A_FUNCTION = re.compile(r"^\s*(?:template\s*<[^{]*>\s*)?(?:inline\s+)?(namespace|class|struct|union|enum|extern\s*$)\b")


def blank(text):
    """`text` with comments and strings emptied; every line stays where it was."""
    def empty(match):
        found = match.group()
        return ('""' if found[0] in "\"R" else "") + "\n" * found.count("\n")
    return TOKENS.sub(empty, RAW_STRING.sub(empty, text))


def functions_of(code):
    """Yields (first line, last line, head) of each function body at namespace or class scope."""
    code = PREPROCESSOR.sub(lambda found: "\n" * found.group().count("\n"), code)
    depth_of_function = None
    stack = []
    head_start, line = 0, 1
    start_line = 1
    for at, char in enumerate(code):
        if char == "\n":
            line += 1
        elif char == "{":
            head = code[head_start:at]
            if depth_of_function is None and "(" in head and not NOT_A_FUNCTION.match(head.lstrip()):
                depth_of_function = len(stack)
                start_line = line - head.lstrip().count("\n")
                name = " ".join(head.split())
            stack.append(char)
            head_start = at + 1
        elif char == "}":
            if stack:
                stack.pop()
            if depth_of_function is not None and len(stack) == depth_of_function:
                depth_of_function = None
                yield start_line, line, name
            head_start = at + 1
        elif char == ";":
            head_start = at + 1


def check_code(path, text):
    code = blank(text)
    lines = code.split("\n")
    for number, line in enumerate(lines, 1):
        for where, call, instead in BANNED_CALLS:
            if re.search(where, path) and re.search(call, line):
                if not any(re.search(w, path) and re.search(c, line) for w, c in EXEMPT_CALLS):
                    yield number, f"{line.strip()[:60]}: {instead}"
    for first, last, head in functions_of(code):
        length = last - first + 1
        limit = FUNCTION_LINES_MAX
        if path.startswith("tests/"):
            limit = TEST_LINES_MAX
        elif "behavior_type" in head:
            limit = BEHAVIOR_LINES_MAX
        name = re.match(r".*?([\w:~]+)\s*\(", head)
        allowed = LONG_FUNCTIONS.get(f"{path}:{name[1] if name else head}", limit)
        if length > allowed:
            yield first, f"function of {length} lines, {allowed} allowed: {head[:60]}"
    includes = len(re.findall(r"^\s*#\s*include", text, re.M))
    limit = INCLUDES_COMPOSITION_MAX if path.startswith(("runtime/", "tests/")) else INCLUDES_MAX
    if includes > limit:
        yield 1, f"{includes} includes, {limit} allowed"
    if path.endswith(".hpp"):
        if not re.search(r"^#pragma once$", code, re.M):
            yield 1, "no #pragma once"
        for match in re.finditer(r"^\s*#\s*define\s+(?!SLUICE_)(\w+)", code, re.M):
            yield code.count("\n", 0, match.start()) + 1, f"macro {match[1]}: a header defines SLUICE_... or none"


def check_markdown(text):
    titles, fence = 0, False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith("```"):
            fence = not fence
        if not fence and line.startswith("# "):
            titles += 1
            if titles == 2:
                yield number, "a second '# Title'"
    if titles == 0:
        yield 1, "no '# Title'"


def check_dead_headers(texts):
    included = set()
    for path, text in texts.items():
        for target in re.findall(r'^\s*#\s*include\s*["<]([^">]+)[">]', text, re.M):
            included.add("sdk/" + target if target.startswith("sluice/") else target)
    for path in texts:
        # sluice.hpp is for users: no file of ours has to include it.
        if path.endswith(".hpp") and path not in included and path != "sdk/sluice/sluice.hpp":
            yield path, 1, "no file includes this header"


def breaches(root):
    texts, others = {}, [f for f in sorted(root.glob("*")) if f.is_file()]
    for folder in FOLDERS:
        for file in sorted((root / folder).rglob("*")):
            if file.is_file():
                if file.suffix in CODE:
                    texts[file.relative_to(root).as_posix()] = file.read_text()
                else:
                    others.append(file)
    for path, text in texts.items():
        for line, sentence in check_code(path, text):
            yield path, line, sentence
    yield from check_dead_headers(texts)
    for file in others:
        path = file.relative_to(root).as_posix()
        if file.suffix in (".md", ".proto", ".py", ".sh", ".txt", ".js", ".html", "") and "data" not in file.parts:
            texts[path] = file.read_text(errors="replace")
        if file.suffix == ".md":
            for line, sentence in check_markdown(texts[path]):
                yield path, line, sentence
    for path, text in texts.items():
        if path.startswith("tests/lint/"):
            continue  # these files name what they look for
        if text.count("\n") > LINES_MAX and not path.endswith((".md", ".txt")):
            yield path, LINES_MAX, f"{text.count(chr(10))} lines, {LINES_MAX} allowed: split it by idea"
        for match in LEFTOVERS.finditer(text):
            yield path, text.count("\n", 0, match.start()) + 1, f"{match[0]}: finish it or file it"


def main(root):
    count = 0
    for path, line, sentence in breaches(root):
        print(f"{path}:{line}: {sentence}")
        count += 1
    print(f"check_tidy: {count} breach(es)" if count else "check_tidy: ok")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).resolve().parents[2]))
