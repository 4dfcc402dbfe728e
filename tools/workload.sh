#!/bin/sh
# SPDX-License-Identifier: MIT
# What `make run` runs in the machine: a C compiler at work on this repository, and the program
# that it makes, the benchmark of the containers.
set -eu

program=$(mktemp)
trap 'rm -f "$program"' EXIT
echo "This machine:"
grep -E 'Mem(Total|Free)' /proc/meminfo
echo "Compiling bench/bench_lib.c and lib/*.c, then running them:"
gcc -O2 -std=gnu11 -fno-strict-aliasing -Iinclude bench/bench_lib.c lib/*.c -o "$program"
"$program"
