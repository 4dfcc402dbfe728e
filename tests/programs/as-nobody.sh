#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# as-nobody.sh QUIRE BUILD [ARGUMENT]...: run.py, started by root, as a user without any rights, on
# copies that he can read.
set -eu

quire=$1 build=$2
here=$(dirname "$(realpath "$0")")
shift 2
if [ "$(id -u)" != 0 ]; then
	echo "not root: everything else has run without rights already"
	exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/tests/guests" "$work/tmp"
cp "$here"/*.py "$work"
cp "$quire" "$work/quire"
find "$build/tests/guests" -maxdepth 1 -type f -perm -100 -exec cp {} "$work/tests/guests" \;
chmod -R a+rX "$work"
chmod 1777 "$work/tmp"
cd "$work"
env -i PATH=/usr/bin:/bin HOME="$work/tmp" TMPDIR="$work/tmp" QUIRE_BUILD="$work" LC_ALL=C \
	setpriv --reuid=nobody --regid=nogroup --clear-groups \
	/usr/bin/python3 run.py --quick "$@" "$work/quire"
