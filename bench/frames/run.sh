#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh BENCH: the frame allocators, ours and those of others whose sources are at hand:
#   QUIRE_LLFREE=DIR        a checkout of https://github.com/luhsra/llfree-c
#   QUIRE_BUDDY_ALLOC=DIR   a checkout of https://github.com/spaskalev/buddy_alloc
# They are compiled into a temporary directory, with the flags that ours is.
set -u

bench=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-O2 -g -fPIC -shared -fno-strict-aliasing -I"$here")
peers=()

# peer NAME DIRECTORY COMPILER ARGUMENTS...
peer() {
	local name=$1 dir=$2
	shift 2
	if [ -z "$dir" ]; then
		echo "$name: left out, no sources named (see $0)"
	elif "$@" "${flags[@]}" -o "$work/$name.so" 2>"$work/log"; then
		peers+=("$work/$name.so")
	else
		echo "$name: does not compile from $dir"
		head -5 "$work/log"
	fi
}

llfree=${QUIRE_LLFREE:-}
buddy=${QUIRE_BUDDY_ALLOC:-}
peer llfree "$llfree" "${CLANG:-clang}" -std=c2x -march=native -fomit-frame-pointer -DSTD -DNO_LOG -w \
	-I"$llfree/include" -I"$llfree/src" -I"$llfree/std" "$here/peer_llfree.c" "$llfree"/src/*.c
peer buddy_alloc "$buddy" "${CC:-cc}" -w -I"$buddy" "$here/peer_buddy_alloc.c"
"$bench" "${peers[@]}"
