#!/usr/bin/env python3
"""Every C++ file is as clang-format leaves it. Usage: check_format.py CLANG_FORMAT [ROOT].

The includes are the point: `.clang-format` puts ours in layer order, top layer first, so that an
upward include stands above its own layer where a reader sees it.
"""
import pathlib
import subprocess
import sys

FOLDERS = ["sdk", "actors", "transport", "runtime", "tests"]


def main(clang_format, root):
    files = [str(f) for folder in FOLDERS for f in sorted((root / folder).glob("**/*.[hc]pp"))]
    if not files:
        return 0
    found = subprocess.run([clang_format, "--dry-run", "-Werror", *files], cwd=root).returncode
    print("check_format: ./dev format mends this" if found else "check_format: ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2]) if sys.argv[2:] else pathlib.Path(__file__).resolve().parents[2]))
