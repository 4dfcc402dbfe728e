#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks that the tools for a step (build, test or lint) are there, and installs
# what is missing with apt-get. Does nothing, quickly, when all is there.
set -eu

step=${1:-build}
missing=()

# need COMMAND PACKAGE
need() {
	command -v "$1" >/dev/null 2>&1 || missing+=("$2")
}

# What a C compiler and make bring with them is asked for as well: gcc alone has no headers.
need gcc gcc
need ld binutils
need meson meson
need ninja ninja-build
need pkg-config pkg-config
[ -e /usr/include/jansson.h ] || pkg-config --exists jansson 2>/dev/null || missing+=(libjansson-dev)
# Unit tests are part of the build.
[ -e /usr/include/cmocka.h ] || pkg-config --exists cmocka 2>/dev/null || missing+=(libcmocka-dev)
[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)

case $step in
build) ;;
test)
	# What the programs under test are; on a Debian without them, what they come in.
	need busybox busybox-static
	need sqlite3 sqlite3
	need python3 python3
	need perl perl-base
	need node nodejs
	need git git
	need make make
	need tar tar
	need gzip gzip
	need xz xz-utils
	need bc bc
	need awk mawk
	need diff diffutils
	need find findutils
	need ps procps
	need setarch util-linux
	need sparse sparse
	;;
lint)
	need clang clang
	need clang-format clang-format
	need clang-tidy clang-tidy
	;;
*)
	echo "usage: $0 build|test|lint" >&2
	exit 2
	;;
esac

[ ${#missing[@]} -gt 0 ] || exit 0

install="apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
	echo "Quire needs these tools (Debian's package names): ${missing[*]}" >&2
	exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
	as_root=(env DEBIAN_FRONTEND=noninteractive)
elif sudo -n true 2>/dev/null; then
	as_root=(sudo -n env DEBIAN_FRONTEND=noninteractive)
else
	echo "Quire needs packages that are not installed. Run:" >&2
	echo "	sudo $install" >&2
	exit 1
fi
echo "Installing: ${missing[*]}"
if ! "${as_root[@]}" $install >/dev/null 2>&1; then
	"${as_root[@]}" apt-get update
	"${as_root[@]}" $install
fi
