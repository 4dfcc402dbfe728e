#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs the tests: all suites in the plain build, the unit tests again under
# AddressSanitizer and UBSan with the core's own checks on, a sample with each of the other slab
# allocators. `full` adds the long ones, the tests of threads under ThreadSanitizer, and all of them
# with the other slab allocators. The last line is "N passed, N failed", counted
# from Meson's logs of this run.
set -u

mode=${1:-fast}
plain=build
asan=build/asan
tsan=build/tsan
slabs=(build/slab build/slob)
sanitized_slabs=()
builds=("$plain" "$asan" "${slabs[@]}")
skip=(--no-suite full)
if [ "$mode" = full ]; then
	sanitized_slabs=(build/slab-asan build/slob-asan build/slab-tsan build/slob-tsan)
	builds+=("$tsan" "${sanitized_slabs[@]}")
	skip=()
fi
failed=0

# A busy machine is no failure: what hangs is found all the same.
patience=(--timeout-multiplier 4)

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:history_size=7}

# suite DIRECTORY ARGUMENT...
runner=()
suite() {
	"${runner[@]}" meson test -C "$1" --no-rebuild --print-errorlogs "${patience[@]}" "${skip[@]}" "${@:2}" ||
		failed=1
}

# What cannot be tested here, and so is not.
say_what_is_off() {
	[ -w /dev/shm ] || echo "off: /dev/shm cannot be written: tests that need it"
	local machine
	machine=$("$plain/quire" run --report json --output /dev/stdout true 2>&1) || {
		echo "quire does not run here: $machine"
		return
	}
	case $machine in
	*'huge pages'*) ;;
	*) echo "off: huge pages for the machine's RAM: no tmpfs can be mounted; memfd instead" ;;
	esac
	case $machine in
	*'user dispatch'*) ;;
	*) echo "off: syscall user dispatch: seccomp instead" ;;
	esac
}

# The sample does not need everything.
sample=(quire:executable cow shm threadfork many test_memory test_slab test_slab_debug)
for dir in "${builds[@]}"; do
	rm -f "$dir/meson-logs/testlog.json"
	targets=()
	[ "$mode" = full ] || [[ " ${slabs[*]} " != *" $dir "* ]] || targets=("${sample[@]}")
	[[ " ${sanitized_slabs[*]} " != *" $dir "* ]] || targets=(test_slab test_slab_debug)
	meson compile -C "$dir" "${targets[@]}" || {
		echo "build failed: $dir"
		echo "0 passed, 1 failed"
		exit 1
	}
done
say_what_is_off
suite "$plain"
suite "$asan" --suite unit
for dir in "${slabs[@]}"; do
	if [ "$mode" = full ]; then
		suite "$dir" --suite unit --suite program
	else
		suite "$dir" --suite sample
	fi
done
if [ "$mode" = full ]; then
	# ThreadSanitizer's shadow has no room for the addresses that some kernels draw.
	! setarch -R true 2>/dev/null || runner=(setarch -R)
	suite "$tsan" --suite threads
	for dir in "${sanitized_slabs[@]}"; do
		case $dir in
		*asan) suite "$dir" test_slab test_slab_debug '10000000 slab operations' ;;
		*) suite "$dir" test_slab ;;
		esac
	done
fi
python3 tools/test-summary.py "${builds[@]}" || failed=1
exit $failed
