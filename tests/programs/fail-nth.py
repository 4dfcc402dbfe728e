#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The Nth allocation fails, for every N, from the boot to a program's end.

    fail-nth.py [--all [--piece K/N]] QUIRE

An error may reach the program, which then says so and fails; the machine may refuse to boot. But it
may not stop, hang, or leak. Without --all: a sample. All are some ten thousand runs, a quarter of an hour
or more; --piece does the K-th of N equal pieces. The last line is "N passed, N failed".
"""
import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

POINTS = ('failslab', 'fail_page_alloc')
SCRIPT = '(exit 3); x=$(echo a | cat); /bin/true & wait; mkdir d; echo text >d/f; cat <d/f'
PROGRAMS = {
    'true': ['/bin/true'],
    'shell': ['bash', '-c', SCRIPT],
    'spawn': ['$G/spawn'],
    'threadfork': ['$G/threadfork', '12'],
    'truncate': ['$G/truncate'],
    'hog': ['$G/hog', '-m', 'file', '-t', '2', '8'],
}


class Machine:
    def __init__(self, quire, guests):
        self.quire, self.guests = quire, guests

    def run(self, point, nth, words, report='/dev/null'):
        """What is wrong, or None; and whether the allocation was reached."""
        command = [self.quire, 'run', '--ram', '256M', '--cpus', '2', '--fail',
                   '%s=%d' % (point, nth), '--report', 'json', '--output', report, '--']
        command += [w.replace('$G', self.guests) for w in words]
        with tempfile.TemporaryDirectory() as d:
            with subprocess.Popen(command, cwd=d, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  errors='replace', start_new_session=True) as p:
                try:
                    _, err = p.communicate(timeout=60)
                except subprocess.TimeoutExpired:
                    os.killpg(p.pid, signal.SIGKILL)
                    return 'hangs'
        # Without memory to boot with there is no machine.
        ours = [line for line in err.splitlines()
                if line.startswith('quire: ') and not re.search('stopped: .*no memory', line)]
        for word in ('leaked', 'panic', 'stopped', 'kernel fault', 'do not end', 'Out of memory'):
            if any(word in line for line in ours):
                return ours[-1]
        if p.returncode == 125 and 'memory' not in err:
            return 'status 125: ' + err[-300:]
        return None

    def allocations(self, point, words):
        """How many a run makes, by halving."""
        low, high = 1, 1 << 14
        with tempfile.TemporaryDirectory() as d:
            while low + 10 < high:
                middle = (low + high) // 2
                self.run(point, middle, words, d + '/report')
                try:
                    with open(d + '/report', encoding='utf-8') as f:
                        reached = json.load(f)['memory']['failed_allocations']
                except (OSError, ValueError):
                    reached = 1
                low, high = (middle, high) if reached else (low, middle)
        return high


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('quire')
    p.add_argument('--all', action='store_true')
    p.add_argument('--piece', default='1/1', metavar='K/N')
    p.add_argument('--seed', type=int, default=1)
    o = p.parse_args()
    o.quire = os.path.abspath(o.quire)
    build = os.path.abspath(os.environ.get('QUIRE_BUILD') or os.path.dirname(o.quire))
    machine = Machine(o.quire, os.path.join(build, 'tests', 'guests'))
    draw, passed, failed = random.Random(o.seed), 0, 0
    jobs = []
    for name, words in PROGRAMS.items():
        for point in POINTS:
            if o.all:
                numbers = range(1, machine.allocations(point, words) + 1)
            elif name == 'true':
                numbers = range(1, 60, 2)
            else:
                numbers = draw.sample(range(40, 1000), 12)
            jobs += [(name, point, n) for n in numbers]
    piece, pieces = map(int, o.piece.split('/'))
    jobs = jobs[piece - 1::pieces]
    with ThreadPoolExecutor(2) as workers:
        outcomes = workers.map(lambda job: machine.run(job[1], job[2], PROGRAMS[job[0]]), jobs)
        for (name, point, n), wrong in zip(jobs, outcomes):
            passed += not wrong
            failed += bool(wrong)
            if wrong:
                print('FAIL %s --fail %s=%d: %s' % (name, point, n, wrong))
                sys.stdout.flush()
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
