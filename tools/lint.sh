#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Style, static analysis, and a build with clang where every warning is an error.
set -u

status=0
clang=build/clang
mapfile -t sources < <(git ls-files '*.c' '*.h')
clang-format --dry-run -Werror "${sources[@]}" || status=1

[ -f $clang/build.ninja ] || CC=clang meson setup $clang || exit 1
meson compile -C $clang || exit 1

# One run for each file of the product that is compiled, with the flags of its first
# build. (The analyzer does not know that cmocka's assertions do not return.)
mapfile -t compiled < <(python3 - $clang/compile_commands.json <<'EOF'
import json, os, sys
root = os.getcwd()
seen = set()
for entry in json.load(open(sys.argv[1])):
    path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
    name = os.path.relpath(path, root)
    if name.endswith(".c") and name not in seen and not name.startswith(("tests/", "bench/")):
        seen.add(name)
        print(name)
EOF
)
printf '%s\0' "${compiled[@]}" |
	xargs -0 -P "$(nproc)" -n 1 clang-tidy --quiet --warnings-as-errors='*' -p $clang \
		2>/dev/null || status=1
exit $status
