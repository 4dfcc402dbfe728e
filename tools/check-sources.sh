#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check-sources.sh ROOT LIST SOURCE...: quire.files names exactly the sources that
# the build compiles into the core, and the core's folders hold no others.
set -eu

root=$(realpath "$1")
list=$2
shift 2

listed=$(grep -vE '^[[:space:]]*(#|$)' "$list" | sort)
built=$(for source in "$@"; do realpath --relative-to="$root" "$source"; done | sort)
if [ "$listed" != "$built" ]; then
	echo "quire.files (<) and the build's lists (>) differ:"
	diff <(echo "$listed") <(echo "$built") || true
	exit 1
fi
there=$(cd "$root" && { git ls-files lib arch mm linux 2>/dev/null ||
	find lib arch mm linux -type f; } | grep '\.[cS]$' | sort)
if [ "$there" != "$built" ]; then
	echo "The folders (<) and the build's lists (>) differ:"
	diff <(echo "$there") <(echo "$built") || true
	exit 1
fi
