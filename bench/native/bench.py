#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What programs cost under quire, as ratios to the host.

    bench.py [--rounds N] [--cpu-time] [--json FILE] [--only PATTERN,..] [QUIRE]

Host and quire alternate within each round, so that a noisy machine disturbs both;
the figures are medians over the rounds. Operations of membench are in
nanoseconds each, whole programs in milliseconds of wall time, the machine's start
included; with --cpu-time of user and system time, for machines where others work.
Bars are printed as PASS or MISS; the exit status does not depend on them.

--mmbench PATH adds the cases of a benchmark binary that takes "CASE [percent]"
(and "list") and answers with lines "S name n insn/op ns/op".
"""
import argparse
import fnmatch
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PYTHON = '/usr/bin/python3'

SQL = '''
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO t SELECT i, 'row number ' || i, i * 7919 % 10007 FROM n;
COMMIT;
CREATE INDEX i ON t(c);
SELECT count(*), sum(c) FROM t;
'''


def c_source(functions):
    """A C file of some size: what a compiler meets, without headers that change."""
    out = ['#include <stdio.h>', '#include <stdlib.h>', '#include <string.h>',
           'struct s { int a[16]; struct s *next; double d; };']
    for i in range(functions):
        out.append('''
static int helper%(i)d(struct s *s, int n)
{
	int sum = %(i)d;

	for (int k = 0; k < n; k++) {
		switch ((k * %(m)d + s->a[k %% 16]) %% 7) {
		case 0: sum += s->a[k & 15] * %(i)d; break;
		case 1: sum ^= k << %(sh)d; break;
		case 2: s->d = s->d * 1.5 + sum; break;
		case 3: if (s->next) sum += s->next->a[k & 7]; break;
		default: s->a[(k + %(i)d) & 15] -= sum;
		}
	}
	return sum;
}

int function%(i)d(struct s *s, char *text)
{
	char buf[64];
	int r = helper%(i)d(s, (int)strlen(text)) + (int)(s->d * %(i)d);

	snprintf(buf, sizeof(buf), "%%d %%s", r, text);
	qsort(s->a, 16, sizeof(int), (int (*)(const void *, const void *))strcmp);
	return r + buf[%(i)d %% 64];
}''' % {'i': i, 'm': i % 13 + 3, 'sh': i % 5})
    return '\n'.join(out) + '\n'


def children_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Program:
    """A whole program, by wall time or the CPU time of all that it started."""
    unit = 'ms'

    def __init__(self, name, argv, bar=None, prepare=None):
        self.name, self.argv, self.bar, self.prepare = name, argv, bar, prepare

    def measure(self, before, directory):
        if self.prepare:
            self.prepare(directory)
        start, used = time.perf_counter(), children_time()
        p = subprocess.run(before + self.argv, cwd=directory, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
        seconds = children_time() - used if 'MEMBENCH_CPU' in os.environ else time.perf_counter() - start
        if p.returncode:
            raise RuntimeError('%s: status %d: %s' %
                               (self.name, p.returncode, p.stderr.decode(errors='replace')[-200:]))
        return seconds * 1e3


class Operation:
    """One figure that a benchmark binary measures itself."""
    unit = 'ns'

    def __init__(self, name, argv, pattern, bar=None):
        self.name, self.argv, self.pattern, self.bar = name, argv, pattern, bar

    def measure(self, before, directory):
        p = subprocess.run(before + self.argv, cwd=directory, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        m = re.search(self.pattern, p.stdout.decode(errors='replace'), re.M)
        if p.returncode or not m:
            raise RuntimeError('%s: status %d: %s' %
                               (self.name, p.returncode, (p.stdout + p.stderr)[-200:]))
        return float(m.group(1))


def remove_db(directory):
    for name in ('db', 'db-journal'):
        try:
            os.unlink(os.path.join(directory, name))
        except FileNotFoundError:
            pass


OPERATION_BARS = {'touch-seq-warm': 0.4, 'touch-scattered-warm': 3.5, 'null-call': 3,
                  'fork-exec-exit': 3}


def figures(opts):
    out = [
        Program('true', ['/bin/true']),
        Program('python3-start', [PYTHON, '-I', '-c', 'pass'], 1.7),
        Program('gcc-O2', ['/usr/bin/gcc', '-O2', '-c', 'big.c', '-o', 'big.o'], 1.15),
        Program('sqlite-200k', ['/usr/bin/sqlite3', 'db', SQL], 1.05, remove_db),
        Program('sh-200-forks', ['/bin/sh', '-c',
                                 'i=0; while [ $i -lt 200 ]; do /bin/true; i=$((i+1)); done']),
        Program('sort', ['/usr/bin/sort', '-o', 'sorted', 'big.c']),
    ]
    names = subprocess.run([opts.membench, 'list'], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.split()
    out += [Operation(n, [opts.membench, n], r'^%s ([\d.]+)' % re.escape(n), OPERATION_BARS.get(n))
            for n in names]
    if opts.mmbench:
        path = os.path.abspath(opts.mmbench)
        listed = subprocess.run([path, 'list'], stdout=subprocess.PIPE, text=True).stdout
        for n in (line.split()[0] for line in listed.splitlines() if line.strip()):
            out.append(Operation('mmbench:' + n, [path, n, str(opts.percent)],
                                 r'^S %s \d+ [\d.]+ ([\d.]+)' % re.escape(n)))
    if opts.only:
        patterns = opts.only.split(',')
        out = [f for f in out if any(fnmatch.fnmatch(f.name, p) for p in patterns)]
    return out


def run(figure, opts, directory):
    sides = {'host': [], 'quire': opts.before}
    samples = {'host': [], 'quire': []}
    for n in range(opts.rounds + 1):
        for side in sorted(sides, reverse=n & 1):
            value = figure.measure(sides[side], directory)
            if n:                               # the first round warms the caches
                samples[side].append(value)
    host, quire = (statistics.median(samples[s]) for s in ('host', 'quire'))
    ratios = [q / (h or 1e-9) for h, q in zip(samples['host'], samples['quire'])]
    return {'name': figure.name, 'unit': figure.unit, 'host': host, 'quire': quire,
            'ratio': quire / (host or 1e-9), 'ratio_min': min(ratios), 'ratio_max': max(ratios),
            'bar': figure.bar, 'passed': None if figure.bar is None else quire <= figure.bar * host}


def show(row):
    verdict = '' if row['bar'] is None else '%s (at most %.2f)' % (
        'PASS' if row['passed'] else 'MISS', row['bar'])
    print('%-24s %12.1f %12.1f %s %8.2f   %5.2f-%-6.2f %s' %
          (row['name'], row['host'], row['quire'], row['unit'], row['ratio'], row['ratio_min'],
           row['ratio_max'], verdict))
    sys.stdout.flush()


def parse():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('quire', nargs='?', default=os.environ.get('QUIRE'))
    p.add_argument('--rounds', type=int, default=5)
    p.add_argument('--cpu-time', action='store_true', help='user and system time, not wall time')
    p.add_argument('--json', metavar='FILE', help='write the figures there, too')
    p.add_argument('--only', metavar='PATTERN,..')
    p.add_argument('--ram', default='2G')
    p.add_argument('--cpus', default='2')
    p.add_argument('--option', action='append', default=[], help='one more for quire run')
    p.add_argument('--membench')
    p.add_argument('--mmbench', metavar='PATH')
    p.add_argument('--percent', type=int, default=10, help="of mmbench's sizes")
    o = p.parse_args()
    if o.cpu_time:
        os.environ['MEMBENCH_CPU'] = '1'
    quire = os.path.abspath(o.quire or os.path.join(ROOT, 'build', 'cli', 'quire'))
    build = os.path.dirname(quire)
    if os.path.basename(build) == 'cli':
        build = os.path.dirname(build)
    build = os.environ.get('QUIRE_BUILD') or build
    o.membench = os.path.abspath(o.membench or os.path.join(build, 'bench', 'native', 'membench'))
    o.before = [quire, 'run', '--ram', o.ram, '--cpus', o.cpus, '--report', 'none', *o.option, '--']
    return o


def main():
    o = parse()
    rows, failed = [], []
    print('%-24s %12s %12s %2s %8s   %s' % ('', 'host', 'quire', '', 'ratio', 'over the rounds'))
    with tempfile.TemporaryDirectory(prefix='quire-bench.') as directory:
        with open(os.path.join(directory, 'big.c'), 'w') as f:
            f.write(c_source(150))
        for figure in figures(o):
            try:
                row = run(figure, o, directory)
            except (RuntimeError, subprocess.TimeoutExpired, OSError) as e:
                failed.append({'name': figure.name, 'error': str(e)})
                print('%-24s failed: %s' % (figure.name, e))
                sys.stdout.flush()
                continue
            rows.append(row)
            show(row)
    if o.json:
        with open(o.json, 'w') as f:
            json.dump({'rounds': o.rounds, 'ram': o.ram, 'cpus': o.cpus, 'figures': rows,
                       'failed': failed}, f, indent=1)
            f.write('\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
