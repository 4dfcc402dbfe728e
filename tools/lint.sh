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

# One run for each file that is compiled, with the flags of its first build.
mapfile -t compiled < <(python3 - $clang/compile_commands.json <<'EOF'
import json, os, sys
root = os.getcwd()
seen = set()
for entry in json.load(open(sys.argv[1])):
    path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
    if path.endswith(".c") and path not in seen:
        seen.add(path)
        print(os.path.relpath(path, root))
EOF
)
printf '%s\0' "${compiled[@]}" |
	xargs -0 -P "$(nproc)" -n 4 clang-tidy --quiet --warnings-as-errors='*' -p $clang \
		2>/dev/null || status=1
exit $status
