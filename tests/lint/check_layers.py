#!/usr/bin/env python3
"""Who may include whom. Usage: check_layers.py [ROOT]; prints each breach and exits 1.

The order is proto -> sdk -> actors -> transport -> runtime. The layers here are the libraries of
CMakeLists.txt; `<sluice/x.hpp>` is `sdk/sluice/x.hpp`.
"""
import pathlib
import re
import sys

FOLDERS = ["proto", "sdk", "actors", "transport", "runtime", "tests"]

# Layer, where it lives (the first row that fits counts), what it may see beside itself.
# "doors" are the headers of actors/ that others may include: protocols and ports; "control_port"
# is what the control service needs from the rest of transport/.
LAYERS = [
    ("proto", r"proto/", []),
    ("client", r"sdk/client/", ["sdk", "proto"]),
    ("examples", r"sdk/examples/", ["sdk"]),
    ("sdk", r"sdk/", []),
    ("doors", r"actors/(message|inline_executor|.*_(protocol|port))\.hpp$", ["sdk", "actors"]),
    ("actors", r"actors/", ["sdk", "doors"]),
    ("control_port", r"transport/grpc/.*_port\.hpp$", ["sdk"]),
    ("control", r"transport/grpc/", ["sdk", "proto", "client", "doors", "transport", "control_port"]),
    ("transport", r"transport/", ["sdk", "proto", "doors", "control_port"]),
    ("program", r"runtime/(cli/|daemon/|main\.cpp$)",
     ["sdk", "proto", "client", "doors", "actors", "transport", "control_port", "control", "runtime"]),
    ("runtime", r"runtime/", ["sdk", "proto", "doors", "actors", "transport", "control_port"]),
    ("tests", r"tests/",
     ["sdk", "proto", "client", "doors", "actors", "transport", "control_port", "control", "runtime", "program"]),
]

# Pattern of the including file, includes it may never have, why.
BANNED = [
    (r"_(policy|state)\.(hpp|cpp)$", r"^(caf/|grpc|google/|(thread|mutex|atomic|condition_variable)$)",
     "a decision is pure code: no actors, wires or threads"),
    # codec/protobuf.hpp: users' own messages, for those who include it.
    (r"^(sdk/(?!client/|sluice/codec/protobuf\.hpp$)|actors/)", r"^(grpc|google/)", "wire types are not domain types"),
    (r"^sdk/", r"^caf/", "user code does not see CAF"),
    (r"", r"^caf/(io|openssl)/", "CAF's network layer is not used; transport/link is"),
    (r"^actors/", r"^(boost/(asio|beast|process)|SQLiteCpp/|sqlite3|openssl/|fstream$|filesystem$|sys/socket)",
     "sockets, files and databases are ports, implemented in transport/"),
    (r"^(transport/(?!grpc/)|runtime/(?!cli/|daemon/|main\.cpp))", r"^(grpc|proto/.*\.grpc\.pb\.h$)",
     "a flow binary carries no gRPC"),
    (r"^runtime/cli/", r"^caf/", "a command asks through sdk/client"),
]

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.M)
CONNECTOR = re.compile(r"transport/connectors/([^/]+)/")


def layer_of(path):
    return next(((name, sees) for name, where, sees in LAYERS if re.match(where, path)), (None, []))


def breaches_of(path, text):
    """Yields (line, sentence) for each include of `path` that the tables forbid."""
    layer, sees = layer_of(path)
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start(2)) + 1
        quote, target = match.groups()
        for pattern, banned, why in BANNED:
            if re.search(pattern, path) and re.search(banned, target):
                yield line, f"may not include {target}: {why}"
        public = quote == "<" and target.startswith("sluice/")
        ours = "sdk/" + target if public else target
        if not public and ours.startswith("sdk/sluice/"):
            yield line, f"write <{ours[len('sdk/'):]}>, as users do"
        elif quote == '"' and ours.split("/")[0] not in FOLDERS:
            yield line, f'"{target}" is not a path from the root'
        there, _ = layer_of(ours)
        if there and there != layer and there not in sees:
            yield line, f"may not include {target}: {layer} does not see {there}"
        mine, other = CONNECTOR.match(path), CONNECTOR.match(ours)
        if mine and other and mine[1] != other[1]:
            yield line, f"may not include {target}: connectors do not know each other"


def main(root):
    count = 0
    for folder in FOLDERS:
        for file in sorted(root.glob(f"{folder}/**/*.[hc]pp")):
            path = file.relative_to(root).as_posix()
            for line, sentence in breaches_of(path, file.read_text()):
                print(f"{path}:{line}: {sentence}")
                count += 1
    print(f"check_layers: {count} breach(es)" if count else "check_layers: ok")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]) if sys.argv[1:] else pathlib.Path(__file__).resolve().parents[2]))
