#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run difftest on the host and under quire and compare the transcripts.

    run.py [--steps N] [--per-seed N] [--seed FIRST] [--jobs N] [--cpus LIST] [QUIRE]

Every seed is one process on each side. A difference is shrunk: first the steps
behind it are cut off, then steps (and steps of children) are left out for as
long as the transcripts still differ, and the shortest pair is printed together
with the commands that make it.

QUIRE (or the environment's) is the command under test, difftest is looked for
in its build directory. Exit status 0: no difference.
"""
import argparse
import concurrent.futures
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Side:
    """One way to run difftest: the words in front of it, and those behind."""

    def __init__(self, name, before=(), after=()):
        self.name, self.before, self.after = name, list(before), list(after)


class Case:
    def __init__(self, opts, seed, steps, extra):
        self.opts, self.seed, self.steps, self.extra = opts, seed, steps, extra

    def words(self, side, only, skip):
        o = self.opts
        words = side.before + [o.difftest, '--seed', str(self.seed), '--steps', str(self.steps)]
        words += self.extra + side.after
        if only is not None:
            words += ['--only', ranges(only)]
        if skip:
            words += ['--skip', ','.join(sorted(skip))]
        return words

    def run(self, side, only=None, skip=()):
        """The transcript, with the end of the process as its last line."""
        base = self.opts.dirs[self.seed % len(self.opts.dirs)]
        with tempfile.TemporaryDirectory(prefix='difftest.', dir=base) as d:
            words = self.words(side, only, skip) + ['--dir', d]
            out = open(os.path.join(d, 'transcript'), 'wb+')
            p = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out,
                                 stderr=subprocess.PIPE, start_new_session=True)
            try:
                err = p.communicate(timeout=self.opts.timeout)[1]
                end = 'status %d' % p.returncode
            except subprocess.TimeoutExpired:
                kill_session(p.pid)
                err = p.communicate()[1]
                end = 'no end within %g s' % self.opts.timeout
            out.seek(0)
            text = out.read().decode(errors='replace').splitlines()
            out.close()
            return text + err.decode(errors='replace').splitlines() + [end]


def kill_session(pid):
    """Kill every process of the session that @pid leads."""
    for _ in range(3):
        for entry in os.listdir('/proc'):
            if entry.isdigit():
                try:
                    if os.getsid(int(entry)) == pid:
                        os.kill(int(entry), signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    pass
        time.sleep(0.05)


def ranges(numbers):
    """[0, 1, 2, 5] as "0-2,5"."""
    out, numbers = [], sorted(numbers)
    i = 0
    while i < len(numbers):
        j = i
        while j + 1 < len(numbers) and numbers[j + 1] == numbers[j] + 1:
            j += 1
        out.append(str(numbers[i]) if i == j else '%d-%d' % (numbers[i], numbers[j]))
        i = j + 1
    return ','.join(out)


def first_difference(a, b):
    for i, (x, y) in enumerate(zip(a, b)):
        if x != y:
            return i
    return min(len(a), len(b)) if len(a) != len(b) else None


def step_of(lines, index):
    """The top-level step that the index-th line of a transcript belongs to."""
    for line in reversed(lines[:index + 1]):
        m = re.match(r'(\d+)[. /]', line)
        if m:
            return int(m.group(1))
    return None


class Shrink:
    """Delta debugging, over top-level steps and then over steps of children."""

    def __init__(self, case, host, quire, seconds):
        self.case, self.host, self.quire = case, host, quire
        self.deadline = time.monotonic() + seconds
        self.runs = 0

    def differs(self, only, skip):
        self.runs += 1
        a = self.case.run(self.host, only, skip)
        b = self.case.run(self.quire, only, skip)
        return first_difference(a, b) is not None

    def out_of_time(self):
        return time.monotonic() > self.deadline

    def minimise(self, items, holds):
        chunk = max(1, len(items) // 2)
        while items:
            i, removed = 0, False
            while i < len(items) and not self.out_of_time():
                rest = items[:i] + items[i + chunk:]
                if holds(rest):
                    items, removed = rest, True
                else:
                    i += chunk
            if self.out_of_time() or (chunk == 1 and not removed):
                break
            chunk = max(1, chunk // 2) if not removed or chunk > 1 else 1
        return items

    def run(self, host_lines, quire_lines):
        at = first_difference(host_lines, quire_lines)
        last = step_of(host_lines, at)
        only = list(range(self.case.steps))
        if last is not None and self.differs(only[:last + 1], ()):
            only = only[:last + 1]
        only = self.minimise(only, lambda o: self.differs(o, ()))
        lines = self.case.run(self.host, only) + self.case.run(self.quire, only)
        subs = sorted({m.group(1) for m in (re.match(r'(\d+(?:\.\d+)+) ', x) for x in lines) if m})
        kept = self.minimise(subs, lambda k: self.differs(only, set(subs) - set(k)))
        skip = set(subs) - set(kept)
        if skip:
            only = self.minimise(only, lambda o: self.differs(o, skip))
        return only, skip


def show(case, host, quire, only, skip, limit=60):
    a, b = case.run(host, only, skip), case.run(quire, only, skip)
    at = first_difference(a, b)
    print('seed %d: %d step(s) suffice' % (case.seed, len(only)))
    for line in a[max(0, at - limit):at] if at is not None else ():
        print('    ' + line)
    for name, side in (('host ', a), ('quire', b)):
        for line in side[at:at + 4] if at is not None else ():
            print('  %s| %s' % (name, line))
    if at is None:
        print('  (the difference did not show again: it depends on timing)')
    print('  reproduce, with D an empty directory:')
    for side in (host, quire):
        print('    ' + shlex.join(case.words(side, only, skip)) + ' --dir D')
    sys.stdout.flush()


class Campaign:
    def __init__(self, opts, extra):
        self.opts, self.extra = opts, extra
        self.found, self.done, self.lines = 0, 0, 0
        self.lock = threading.Lock()

    def one(self, number):
        o = self.opts
        if self.found >= o.max_differences:
            return
        host, quire = o.host, o.sides[number % len(o.sides)]
        case = Case(o, o.seed + number, o.per_seed, self.extra)
        a, b = case.run(host), case.run(quire)
        with self.lock:
            self.done += 1
            self.lines += len(a)
            if first_difference(a, b) is None:
                return
            self.found += 1
            at = first_difference(a, b)
            print('seed %d (%s): transcripts differ at line %d of %d' %
                  (case.seed, quire.name, at, len(a)))
            print('  host | %s\n  quire| %s' % (a[at] if at < len(a) else '(end)',
                                                b[at] if at < len(b) else '(end)'))
            sys.stdout.flush()
            if o.keep:
                for name, lines in (('host', a), ('quire', b)):
                    with open(os.path.join(o.keep, '%d.%s' % (case.seed, name)), 'w') as f:
                        f.write('\n'.join(lines) + '\n')
            if o.shrink:
                only, skip = Shrink(case, host, quire, o.shrink).run(a, b)
                show(case, host, quire, only, skip)

    def run(self):
        start = time.monotonic()
        seeds = -(-self.opts.steps // self.opts.per_seed)
        with concurrent.futures.ThreadPoolExecutor(self.opts.jobs) as pool:
            for f in [pool.submit(self.one, i) for i in range(seeds)]:
                f.result()
        print('differential: %d steps in %d seeds, %d transcript lines, %d difference(s), %.1f s' %
              (self.done * self.opts.per_seed, self.done, self.lines, self.found,
               time.monotonic() - start))
        return self.found


def default_dirs():
    dirs = [tempfile.gettempdir()]
    if os.access('/dev/shm', os.W_OK):
        dirs.append('/dev/shm')
    return dirs


def parse():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('quire', nargs='?', default=os.environ.get('QUIRE'),
                   help='the command under test (default: $QUIRE, or build/quire)')
    p.add_argument('--steps', type=lambda s: int(float(s)), default=100000,
                   help='in all (1e7 for a campaign)')
    p.add_argument('--per-seed', type=int, default=2500)
    p.add_argument('--seed', type=int, default=1, help='the first one')
    p.add_argument('--jobs', type=int, default=2)
    p.add_argument('--cpus', default='1,2', help='of the machine, in turn')
    p.add_argument('--ram', default='512M')
    p.add_argument('--timeout', type=float, default=60, help='of one process, in seconds')
    p.add_argument('--shrink', type=float, default=60, metavar='SECONDS', help='0: do not')
    p.add_argument('--max-differences', type=int, default=3)
    p.add_argument('--rss', action='store_true', help='compare memory use, with --fill 4k')
    p.add_argument('--extra', action='store_true', help='rarer calls too')
    p.add_argument('--swap', help='of the machine, which has to use it at every step')
    p.add_argument('--vma', choices=('merged', 'raw', 'none'), default='merged')
    p.add_argument('--no', default='', metavar='OP,..', help='leave these steps out')
    p.add_argument('--difftest', help='the program')
    p.add_argument('--keep', metavar='DIR', help='write differing transcripts there')
    p.add_argument('--host-only', action='store_true', help='the host against itself')
    p.add_argument('--lie', type=int, help='the host against itself with a planted fault')
    o = p.parse_args()
    o.quire = os.path.abspath(o.quire or os.path.join(ROOT, 'build', 'quire'))
    build = os.environ.get('QUIRE_BUILD') or os.path.dirname(o.quire)
    o.difftest = os.path.abspath(o.difftest or
                                 os.path.join(build, 'tests', 'differential', 'difftest'))
    o.dirs = default_dirs()
    if o.steps < o.per_seed:
        o.per_seed = o.steps
    o.host = Side('host')
    if o.host_only or o.lie:
        o.sides = [Side('host again', after=['--lie', str(o.lie)] if o.lie else [])]
    else:
        fill = ['--fill', '4k'] if o.rss else []
        swap = ['--swap', o.swap] if o.swap else []
        o.sides = [Side('--cpus ' + n, [o.quire, 'run', '--ram', o.ram, '--cpus', n] + fill +
                        swap + ['--report', 'none', '--'],
                        ['--pageout'] if o.swap else []) for n in o.cpus.split(',')]
    return o


def main():
    o = parse()
    extra = []
    if o.rss:
        extra.append('--rss')
    if o.extra:
        extra.append('--extra')
    if o.swap:
        extra.append('--no-free')
    if o.no:
        extra += ['--no', o.no]
    extra += ['--vma', o.vma]
    return 1 if Campaign(o, extra).run() else 0


if __name__ == '__main__':
    sys.exit(main())
