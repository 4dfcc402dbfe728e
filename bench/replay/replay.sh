#!/bin/sh
# SPDX-License-Identifier: MIT
# Records which pages real programs use, and replays that with five sizes of memory: the README's table of
# page replacement. replay.sh [QUIRE]
set -eu

quire=$(realpath "${1:-build/quire}")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"

record() {
	name=$1
	shift
	"$quire" run --ram 1G --references "$name.ref" -- "$@" >/dev/null
	echo "$name: $*" | cut -c1-100
	"$quire" replay "$name.ref"
	echo
}

cat >dict.py <<'END'
d = {}
for i in range(150000):
    d[i] = 'value %d' % i
for turn in range(3):
    assert all(d[i].endswith(str(i)) for i in range(150000))
END
{
	echo '#include <stdio.h>'
	for i in $(seq 1500); do
		echo "int f$i(int a, int *b) { for (int i = 0; i < a; i++) b[i] += b[i / 2] * $i; return b[a - 1]; }"
	done
} >large.c
cat >rows.sql <<'END'
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO t SELECT i, 'row number ' || i, i * 7919 % 10007 FROM n;
CREATE INDEX i ON t(c);
SELECT count(*), sum(length(b)) FROM t WHERE c < 5000;
END
seq 2000000 | awk '{ print ($1 * 7919) % 2000003 }' >lines

record python3 /usr/bin/python3 dict.py
record gcc gcc -O2 -c large.c -o large.o
record sqlite3 sqlite3 :memory: '.read rows.sql'
record sort sort -n --buffer-size=200M --parallel=1 lines -o sorted
