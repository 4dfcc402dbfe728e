#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# check-symbols.sh ARCHIVE: the freestanding core may leave undefined nothing but
# the machine's functions and memcpy, memset, memmove, memcmp.
set -eu

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ld -r --whole-archive "$1" -o "$work/core.o"
undefined=$(nm -u "$work/core.o" | awk '{ print $NF }' | sort -u)
wrong=$(echo "$undefined" | grep -vE '^(machine_[a-z0-9_]+|mem(cpy|set|move|cmp))?$' || true)
if [ -n "$wrong" ]; then
	echo "The core needs symbols that no machine supplies:"
	for symbol in $wrong; do
		echo "  $symbol"
	done
	exit 1
fi
echo "Undefined in the core:" $undefined
