#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run.sh ROOT BUILD: what an embedder does. A program against the installed tree; the same against
# quire.files and machine/soft with gcc alone; and a port of its own without linux/. TAP.
set -u

root=$(realpath "$1")
build=$(realpath "$2")
cc=${CC:-gcc}
here=$root/tests/embed
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# As docs/porting.md has it.
core_flags=(-std=gnu11 -O2 -ffreestanding -fpie -mgeneral-regs-only -fno-stack-protector
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-strict-aliasing -fno-common
	-DCONFIG_SLUB=1)

# point NUMBER WHAT COMMAND...: one test; its output is shown when it fails.
point() {
	local number=$1 what=$2
	shift 2
	if "$@" >"$work/log" 2>&1; then
		echo "ok $number - $what"
	else
		echo "not ok $number - $what"
		sed 's/^/# /' "$work/log"
		failed=1
	fi
}

install_tree() {
	meson install -C "$build" --no-rebuild --destdir "$work/dest" || return 1
	pc=$(find "$work/dest" -name quire.pc)
	[ -n "$pc" ] || return 1
	local prefix file
	prefix=$work/dest$(sed -n 's/^prefix=//p' "$pc")
	for file in bin/quire share/man/man1/quire.1 include/quire/mm.h include/quire/machine/soft.h; do
		[ -s "$prefix/$file" ] || { echo "not installed: $file"; return 1; }
	done
}

with_installed() {
	local flags
	export PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR=$work/dest
	PKG_CONFIG_LIBDIR=$(dirname "$pc")
	flags=$(pkg-config --cflags --libs quire) || return 1
	# From another directory: nothing of the source tree is to be found by chance.
	cp "$here/soft.c" "$work"
	(cd "$work" && "$cc" -Wall -Werror -DQUIRE_INSTALLED soft.c $flags -o program && timeout 30 ./program)
}

compile_core() {
	mapfile -t sources < <(grep -vE '^[[:space:]]*(#|$)' "$root/quire.files")
	printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I SOURCE sh -c '
		out=$1/$(echo "$2" | tr / -).o; shift 2; exec "$@" -o "$out"' \
		sh "$work" SOURCE "$cc" "${core_flags[@]}" -I"$root/include" -c "$root/SOURCE" &&
		ar rcs "$work/core.a" "$work"/*.o
}

with_file_list() {
	"$cc" -std=gnu11 -O2 -D_GNU_SOURCE -fno-strict-aliasing -I"$root/include" \
		-I"$root/machine/soft" "$here/soft.c" "$root"/machine/soft/*.c "$work/core.a" \
		-pthread -o "$work/listed" && timeout 30 "$work/listed"
}

with_own_port() {
	local example=$root/examples/embed/embed.c
	[ "$(wc -l <"$example")" -lt 300 ] || { echo 'the example is not small any more'; return 1; }
	"$cc" -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Wno-unused-parameter -Werror -I"$root/include" \
		"$example" "$work"/lib-*.o "$work"/arch-*.o "$work"/mm-*.o -o "$work/embed" &&
		timeout 30 "$work/embed"
}

echo 1..5
point 1 'the tree is installed' install_tree
point 2 'a program against the installed library' with_installed
point 3 'the core compiles from the file list' compile_core
point 4 'a program against the file list and the soft machine' with_file_list
point 5 'examples/embed: a port of one file, without linux/' with_own_port
exit $failed
