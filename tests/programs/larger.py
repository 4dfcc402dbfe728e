#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs whose data is larger than the machine's memory, on a machine with swap.

    larger.py [--full] [--cpus LIST] QUIRE [CASE...]

Each must say what it says on the host, leak nothing, and send out of memory and fetch what its data
needs. Then again while each so manieth allocation or transfer fails: the program may fail, too, but what
it says to be right must be. The last line is "N passed, N failed".
"""
import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

MACHINE = ['--ram', '64M', '--swap', '1G']
PY = '/usr/bin/python3'

SORT = r'''
LC_ALL=C awk 'BEGIN { srand(7); for (i = 0; i < %(lines)d; i++)
  printf "%%08x %%08x key %%d of the file to be sorted\n", rand() * 4e9, rand() * 4e9, i }' >in
LC_ALL=C sort --parallel=1 -S %(buffer)dM -T . in | cksum
'''

DICT = r'''
import hashlib
n = %(entries)d
d = {}
for i in range(n):
    d[i * 2654435761 %% (1 << 32)] = 'value of %%d, and some more text' %% i
s = hashlib.sha256()
for i in range(0, n, 3):
    s.update(d[i * 2654435761 %% (1 << 32)].encode())
for i in range(0, n, 2):
    del d[i * 2654435761 %% (1 << 32)]
for k, v in d.items():
    s.update(b'%%d %%s' %% (k, v.encode()))
print(len(d), s.hexdigest())
'''

SQLITE = r'''
sqlite3 db <<'END'
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -%(cache)d;
PRAGMA mmap_size = 1000000000;
PRAGMA temp_store = MEMORY;
CREATE TABLE t (id INTEGER PRIMARY KEY, k INTEGER, v TEXT);
INSERT INTO t SELECT value, value * 7919 %% 1000003, printf('%%0200d', value * 31)
  FROM generate_series(1, %(rows)d);
CREATE INDEX i ON t (k, v);
SELECT count(*), sum(k), sum(length(v)) FROM t;
SELECT count(*), min(v), max(v) FROM t INDEXED BY i WHERE k BETWEEN 1000 AND 300000;
PRAGMA integrity_check;
END
'''

GCC = PY + r''' - >big.c <<'END'
print('struct s { int a, b[7]; };\nconst struct s table[] = {')
for i in range(%(rows)d):
    print('{ %%d, { %%s } },' %% (i, ', '.join(str(i * k %% 65537) for k in range(7))))
print('};')
for i in range(%(functions)d):
    print('int f%%d(int x, struct s *s) { int r = x; for (int i = 0; i < %%d; i++) { if (s[i].a > r) '
          'r += s[i].b[%%d] * %%d; else s[i].b[i & 3] ^= r << %%d; } return r ? f%%d(r, s + 1) : x; }'
          %% (i, i %% 13 + 1, i %% 7, i * 17 %% 1000, i %% 31, max(i - 1, 0)))
END
gcc -O2 -w -S -o - big.c | cksum
'''

SHARED = r'''
import mmap, os, sys, zlib
size, n = %(megabytes)d << 20, 20
m = mmap.mmap(-1, size)
pages = size // 4096
for i in range(pages):
    m[i * 4096:i * 4096 + 16] = b'page %%10d ' %% i
def child(c):
    # Each looks at all, and changes its own part.
    for i in range(pages):
        if m[i * 4096:i * 4096 + 16] != b'page %%10d ' %% i:
            return 1
    for i in range(c, pages, n):
        m[i * 4096 + 100:i * 4096 + 108] = b'%%8d' %% (i * 3)
    return 0
for c in range(n):
    if not os.fork():
        os._exit(child(c))
if any([os.wait()[1] for c in range(n)]):
    sys.exit('a child has failed')
bad = 0
for i in range(pages):
    bad += m[i * 4096 + 100:i * 4096 + 108] != b'%%8d' %% (i * 3)
print(bad, zlib.crc32(m))
'''

# One line of descent, deep: each generation changes some pages of those that it has inherited.
TREE = r'''
import mmap, os, sys, zlib
deep, pages = %(deep)d, %(megabytes)d << 8
m = mmap.mmap(-1, pages * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
owner = [0] * pages
def mark(i, g):
    m[i * 4096:i * 4096 + 20] = b'%%9d of %%7d' %% (i, g)
    owner[i] = g
def right():
    return all(m[i * 4096:i * 4096 + 20] == b'%%9d of %%7d' %% (i, owner[i]) for i in range(0, pages, 7))
for i in range(pages):
    mark(i, 0)
for g in range(1, deep + 1):
    pid = os.fork()
    if pid:
        st = os.waitpid(pid, 0)[1]
        # What the descendants did is not seen here.
        if st or not right():
            print('generation', g - 1, 'status', st, 'right', right())
            os._exit(1)
        if g > 1:
            os._exit(0)
        break
    for k in range(40):
        mark((g * 7919 + k * 131) %% pages, g)
    if g %% 10 == 0 and not right():
        os._exit(2)
    if g == deep:
        os._exit(0 if right() else 3)
print('right' if right() else 'wrong', zlib.crc32(m))
'''


class Case:
    """swap: pages that must go to swap and come back, at least."""

    def __init__(self, name, text, quick, full, shell=True, swap=1000):
        self.name, self.text, self.quick, self.full = name, text, quick, full
        self.shell, self.swap = shell, swap

    def words(self, full):
        text = self.text % (self.full if full else self.quick)
        return ['bash', '-c', 'set -o pipefail;' + text] if self.shell else [PY, '-c', text]


CASES = [
    Case('sort', SORT, {'lines': 1200000, 'buffer': 90}, {'lines': 10500000, 'buffer': 300}),
    Case('dictionary', DICT, {'entries': 700000}, {'entries': 2200000}, shell=False),
    Case('sqlite', SQLITE, {'rows': 120000, 'cache': 80000}, {'rows': 1300000, 'cache': 300000}),
    Case('gcc', GCC, {'functions': 100, 'rows': 130000},
         {'functions': 2000, 'rows': 600000}),
    Case('20 share', SHARED, {'megabytes': 72}, {'megabytes': 200}, shell=False),
    Case('fork tree', TREE, {'deep': 60, 'megabytes': 64}, {'deep': 500, 'megabytes': 96},
         shell=False),
]

FAILURES = ['failslab=every:1000', 'fail_page_alloc=every:1000', 'fail_block=every:1000',
            'fail_block=every:50']


def run(words, timeout):
    """Status and output, in a directory of its own."""
    with tempfile.TemporaryDirectory(dir=os.environ.get('LARGER_DIR')) as d:
        with subprocess.Popen(words, cwd=d, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, start_new_session=True) as p:
            try:
                out, err = p.communicate(timeout=timeout)
                return p.returncode, out.decode(), err.decode(errors='replace')
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                out, err = p.communicate()
                return 'hangs', out.decode(), err.decode(errors='replace')


class Tests:
    def __init__(self, o):
        self.o, self.passed, self.failed = o, 0, 0
        self.timeout = 3000 if o.full else 150
        build = os.path.abspath(os.environ.get('QUIRE_BUILD') or os.path.dirname(o.quire))
        self.integrity = os.path.join(build, 'tests', 'guests', 'integrity')

    def check(self, what, wrong, start, text=''):
        self.passed += not wrong
        self.failed += bool(wrong)
        print('%s %s (%.1f s)%s' % ('FAIL' if wrong else 'ok  ', what, time.monotonic() - start,
                                    ': %s\n%s' % (wrong, text[-2000:]) if wrong else ''), flush=True)

    def quire(self, words, cpus, fail=None):
        """Status, output, errors, and the report."""
        with tempfile.TemporaryDirectory() as d:
            options = [*MACHINE, '--cpus', cpus, '--report', 'json', '--output', d + '/report']
            options += ['--fail', fail] if fail else []
            result = run([self.o.quire, 'run', *options, '--', *words], self.timeout)
            try:
                with open(d + '/report', encoding='utf-8') as f:
                    return (*result, json.load(f))
            except (OSError, ValueError):
                return (*result, None)

    def whole(self, case, cpus, host):
        start = time.monotonic()
        status, out, err, report = self.quire(case.words(self.o.full), cpus)
        wrong = None
        if (status, out) != host[:2]:
            wrong = 'status %s and %r, not %s and %r' % (status, out[-200:], host[0], host[1][-200:])
        elif not report or report['leak'] is not None:
            wrong = 'leak'
        else:
            events = report['memory']['vm_events']
            moved = [events['pswpout'], events['pswpin']]
            if min(moved) < case.swap:
                wrong = 'pages out and in: %s' % moved
        self.check('%s, %s CPU' % (case.name, cpus), wrong, start, err)

    def soundness(self, status, err, report, words=()):
        if status == 'hangs':
            return status
        for line in err.splitlines():
            if line.startswith('quire: '):
                for word in ('leaked', 'panic', 'stopped', 'kernel fault', 'do not end', *words):
                    if word in line:
                        return line
        if status == 125 and 'memory' not in err:
            return 'status 125'
        if report and report['leak'] is not None:
            return 'leak'
        return None

    def broken(self, case, cpus, fail, host):
        """A program that ends well says what is right."""
        start = time.monotonic()
        status, out, err, report = self.quire(case.words(self.o.full), cpus, fail)
        wrong = self.soundness(status, err, report)
        if not wrong and status == 0 and out != host[1]:
            wrong = 'status 0 and %r, not %r' % (out[-200:], host[1][-200:])
        self.check('%s, %s CPU, %s' % (case.name, cpus, fail), wrong, start, err)

    def pages(self, cpus, seed, fail=None):
        start = time.monotonic()
        words = [self.integrity, '-s', str(seed)]
        words += ['-e'] if fail else []
        words += ['-t', '300' if not fail else '60'] if self.o.full else ['1200']
        status, out, err, report = self.quire(words, cpus, fail)
        wrong = self.soundness(status, err, report)
        if not wrong and ('FAIL' in out or (status and not fail)):
            wrong = 'status %s: %s' % (status, out)
        self.check('integrity %d, %s CPU, %s' % (seed, cpus, fail or 'nothing fails'), wrong, start, err)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('--full', action='store_true')
    p.add_argument('--cpus', default='1,2')
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('quire')
    p.add_argument('case', nargs='*')
    o = p.parse_args()
    o.quire = os.path.abspath(o.quire)
    t = Tests(o)
    known = {c.name: c for c in CASES}
    names = o.case or [*known, 'integrity']
    cpus = o.cpus.split(',')
    for i, name in enumerate(names):
        # The sample has each program on one number of CPUs, and one thing that fails.
        mine = cpus if o.full or o.case else cpus[i % len(cpus):][:1]
        if name == 'integrity':
            for n in cpus:
                t.pages(n, o.seed)
            for k, fail in enumerate(FAILURES):
                for n in cpus if o.full else cpus[k % len(cpus):][:1]:
                    t.pages(n, o.seed, fail)
            continue
        host = run(known[name].words(o.full), t.timeout)
        if host[0] != 0:
            t.check(name + ' on the host', host, time.monotonic())
            continue
        for n in mine:
            t.whole(known[name], n, host)
            for fail in FAILURES if o.full else FAILURES[i % len(FAILURES):][:1] if o.case else ():
                t.broken(known[name], n, fail, host)
    print('%d passed, %d failed' % (t.passed, t.failed))
    return 1 if t.failed else 0


if __name__ == '__main__':
    sys.exit(main())
