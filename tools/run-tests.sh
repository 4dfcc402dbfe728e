#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs the tests: all suites in the plain build, the unit tests again
# under AddressSanitizer and UBSan. `full` adds the long ones. The last line is
# "N passed, N failed", counted from Meson's logs of this run.
set -u

mode=${1:-fast}
plain=build
asan=build/asan
skip=(--no-suite full)
[ "$mode" = full ] && skip=()
failed=0

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}

rm -f "$plain/meson-logs/testlog.json" "$asan/meson-logs/testlog.json"
for dir in "$plain" "$asan"; do
	meson compile -C "$dir" || { echo "build failed: $dir"; exit 1; }
done
meson test -C "$plain" --no-rebuild --print-errorlogs "${skip[@]}" || failed=1
meson test -C "$asan" --no-rebuild --print-errorlogs --suite unit "${skip[@]}" || failed=1
python3 tools/test-summary.py "$plain" "$asan" || failed=1
exit $failed
