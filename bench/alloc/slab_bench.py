#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Quire's slab allocator beside those that programs use, alternating in one run.

slab_bench.py SLAB_BENCH MALLOC_BENCH [--rounds N] [--tests a,b] [--peer NAME=LIBRARY ...]

Peers are loaded with LD_PRELOAD: glibc, and of jemalloc, tcmalloc and mimalloc what Debian's packages have
installed; others by --peer or, separated by commas, in QUIRE_BENCH_PEERS. Times are medians over
the rounds of CPU time (threads: wall time) for one operation; instructions are callgrind's, of
the whole loop.
"""
import argparse
import os
import shutil
import statistics
import subprocess
import sys

LIBRARIES = {
    'jemalloc': 'libjemalloc.so.2',
    'tcmalloc': 'libtcmalloc_minimal.so.4',
    'mimalloc2': 'libmimalloc.so.2',
}
FOLDERS = '/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/usr/local/lib'
TESTS = 'pair64', 'cache64', 'pair1024', 'pair4096', 'random', 'mixed', 'threads', 'memory'
WHAT = {
    'pair64': 'allocate and free 64 bytes',
    'cache64': 'the same, Quire with kmem_cache_alloc()',
    'pair1024': 'allocate and free 1024 bytes',
    'pair4096': 'allocate and free 4096 bytes',
    'random': '100,000 x 64 bytes, freed in random order',
    'mixed': '16 to 1024 bytes, one of 20,000 replaced',
    'threads': '64 bytes, one thread allocates, another frees',
    'memory': 'RSS over bytes allocated, 100,000 x 64',
}
# ns, instructions: what Quire is to stay below.
BARS = {'pair64': (None, 45), 'pair1024': (None, 55), 'pair4096': (None, 75), 'random': (15, None),
        'mixed': (17, None), 'threads': (30, None), 'memory': (1.01, None)}
# Operations a round, and two ways of running whose difference is free of the start.
INSTRUCTIONS = {'random': (100000, ['1'], ['2']), 'mixed': (500000, ['1'], ['2'])}


def find_library(name):
    for folder in FOLDERS:
        path = os.path.join(folder, name)
        if os.path.exists(path):
            return path
    return None


class Allocator:
    def __init__(self, name, program, library=None):
        self.name, self.program, self.library = name, program, library
        self.ns = {}

    def run(self, test, *words, prefix=()):
        env = dict(os.environ)
        if self.library:
            env['LD_PRELOAD'] = self.library
        done = subprocess.run([*prefix, self.program, test, *words], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if done.returncode:
            sys.exit(f'{self.name} {test}: {done.stderr}')
        return done

    def measure(self, test):
        numbers = [float(word) for word in self.run(test, '4').stdout.split()]
        # The first round fetches memory from the kernel. Memory is one number, or two.
        self.ns.setdefault(test, []).extend(numbers[1:] if test != 'memory' else numbers[:1])
        if test == 'memory' and len(numbers) > 1:
            self.ns['slab memory'] = numbers[1:]

    def instructions(self, test):
        count, less, more = INSTRUCTIONS.get(test, (100000, ['1', '10000'], ['1', '110000']))

        def collected(words):
            text = self.run(test, *words, prefix=['valgrind', '--tool=callgrind',
                                                  '--callgrind-out-file=/dev/null']).stderr
            return int(text.split('Collected :')[1].split()[0])
        return (collected(more) - collected(less)) / count


def allocators(args):
    listed = [Allocator('quire', args.slab_bench), Allocator('glibc', args.malloc_bench)]
    extra = args.peer + [p for p in os.environ.get('QUIRE_BENCH_PEERS', '').split(',') if p]
    for name, library in LIBRARIES.items():
        path = find_library(library)
        if path:
            listed.append(Allocator(name, args.malloc_bench, path))
        else:
            print(f'skipped: {name}, no {library} is installed')
    for peer in extra:
        name, _, path = peer.partition('=')
        if os.path.exists(path):
            listed.append(Allocator(name, args.malloc_bench, os.path.abspath(path)))
        else:
            print(f'skipped: {name}, no {path}')
    return listed


def best(listed, test):
    return min((statistics.median(a.ns[test]), a.name) for a in listed[1:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('slab_bench')
    parser.add_argument('malloc_bench')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--tests', default=','.join(TESTS))
    parser.add_argument('--peer', action='append', default=[])
    args = parser.parse_args()
    listed = allocators(args)
    tests = args.tests.split(',')
    print(f"quire: {listed[0].run('name').stdout.strip()}")
    for _ in range(args.rounds):
        for test in tests:
            for allocator in listed:
                allocator.measure(test)
    counting = shutil.which('valgrind')
    if not counting:
        print('skipped: instructions, there is no valgrind')
    for test in tests:
        print(f'\n{WHAT[test]}')
        count = counting and test not in ('threads', 'memory')
        for allocator in sorted(listed, key=lambda a: statistics.median(a.ns[test])):
            numbers = allocator.ns[test]
            unit = '' if test == 'memory' else ' ns'
            line = f'  {allocator.name:10} {statistics.median(numbers):8.2f}{unit}'
            if unit:
                line += f'  best {min(numbers):8.2f}'
            if count:
                line += f'  {allocator.instructions(test):6.0f} instructions'
            print(line)
        if test == 'memory':
            slabs = listed[0].ns['slab memory'][0]
            print(f'  quire: of that slabs alone {slabs:.4f}, {64 * (slabs - 1):.3f} bytes '
                  f'for an object of 64, and 64 bytes of struct page for a frame')
        value, name = best(listed, test)
        mine = statistics.median(listed[0].ns[test])
        bar, instructions = BARS.get(test, (None, None))
        print(f'  quire / {name}: {mine / value:.2f}'
              + (f'; to be at most {bar}' if bar else '')
              + (f'; instructions to be at most {instructions}' if instructions else ''))


main()
