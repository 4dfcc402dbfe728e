#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Run programs on the host and under quire; output, exit status and files must be the same.

    run.py [--quick] [--rounds N] [--jobs N] [--cpus 1,2] [QUIRE] [CASE...]

Each case (cases.py) is run once on the host and then, for each round and number
of CPUs, under `quire run`, which also must write a sane report, leak nothing, and
leave no process behind. A case that does not end in time is killed and has
failed. The last line is "N passed, N failed".
"""
import argparse
import difflib
import fnmatch
import json
import multiprocessing.connection
import os
import re
import signal
import sys
import tempfile
import time

import sandbox
from cases import CASES

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
OWN_LINE = re.compile(rb'^quire: .*(kernel|panic|leak|bug).*$', re.M | re.I)


class Runner:
    def __init__(self, opts):
        self.opts = opts
        self.host_results = {}
        self.env = {'G': opts.guests, 'DATA': opts.data}

    def words(self, case):
        words = case.command()
        if not case.argv:
            words = case.shell.split() + ['-c', case.script]
        return [w.replace('$G/', self.opts.guests + '/') for w in words]

    def host(self, case):
        if case.name not in self.host_results:
            self.host_results[case.name] = self.inside(case, [], case.timeout)
        return self.host_results[case.name]

    def quire(self, case, cpus):
        o = self.opts
        return self.inside(
            case, [o.quire, 'run', '--ram', o.ram, '--cpus', cpus, '--report', 'json',
                   '--output', '@/report.json'] + case.options + o.option + ['--'],
            case.timeout * o.patience)

    def inside(self, case, before, timeout):
        top = sandbox.fresh_directory()
        directory = os.path.join(top, 'w')
        os.mkdir(directory)
        before = [w.replace('@', top) for w in before]
        try:
            r = sandbox.run(before + self.words(case), directory,
                            sandbox.environment(directory, self.env), timeout, case.dialogue,
                            grace=0.2 if case.may_leave and not before else 5.0)
            r.files = sandbox.file_sums(directory, case.files)
            r.report = read_report(os.path.join(top, 'report.json')) if before else None
            # The directory's own name may be in the output.
            r.out = r.out.replace(directory.encode(), b'DIR')
            r.err = r.err.replace(directory.encode(), b'DIR')
            return r
        finally:
            sandbox.remove(top)


def read_report(path):
    try:
        with open(path) as f:
            return json.load(f)
    except (OSError, ValueError) as e:
        return 'no report: %s' % e


def numbers(value, path=''):
    """All (path, number) pairs of a report."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from numbers(v, path + '/' + str(k))
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from numbers(v, '%s/%d' % (path, i))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def report_faults(report):
    """What is wrong with a report, as a list of lines."""
    if not isinstance(report, dict):
        return [str(report)]
    wrong, figures = [], list(numbers(report))
    if len(figures) < 10:
        wrong.append('report: only %d figures' % len(figures))
    for path, n in figures:
        if n < 0 or n > 1 << 60:
            wrong.append('report: %s is %s' % (path, n))
        if 'leak' in path.lower() and n != 0:
            wrong.append('report: %s is %s' % (path, n))
    if not any('fault' in path.lower() and n > 0 for path, n in figures):
        wrong.append('report: no faults')
    return wrong


def squeezed(case, text):
    for pattern, by in case.squeeze:
        text = re.sub(pattern, by, text)
    return text


def compare(case, host, quire):
    """What differs, as a list of lines; empty when all is well."""
    wrong = []
    if quire.timed_out:
        wrong.append('did not end within %.0f s' % quire.seconds)
    want = case.expect.get('status', host.status)
    if quire.status != want and not quire.timed_out:
        wrong.append('exit status %s instead of %s' % (quire.status, want))
    if not case.expect.get('any output'):
        for name in ('out', 'err'):
            a, b = (squeezed(case, getattr(r, name)) for r in (host, quire))
            if a != b:
                wrong += ['std%s differs:' % name] + text_diff(a, b)
    for name in case.files:
        a = case.expect.get(name, host.files[name])
        if quire.files[name] != a:
            wrong.append('file %s: %s instead of %s' % (name, quire.files[name], a))
    if quire.left_behind and not quire.timed_out:
        wrong.append('left %d process(es) behind' % quire.left_behind)
    if case.max_seconds and quire.seconds > case.max_seconds:
        wrong.append('took %.1f s' % quire.seconds)
    for line in OWN_LINE.findall(quire.err):
        wrong.append('a complaint of quire itself')
        break
    if not wrong and quire.status not in (125, 126, 127):
        wrong += report_faults(quire.report)
    return wrong


def text_diff(a, b, limit=30):
    a, b = (x.decode(errors='backslashreplace').splitlines() for x in (a, b))
    lines = list(difflib.unified_diff(a, b, 'host', 'quire', lineterm='', n=1))
    cut = ['  %s' % x[:300] for x in lines[:limit]]
    return cut + (['  (%d more lines)' % (len(lines) - limit)] if len(lines) > limit else [])


# A worker is a process, so that whatever a command leaves behind becomes its child. (No
# multiprocessing.Pool: its locks want /dev/shm.)
worker = {}


def work(opts, cases, jobs):
    """A worker's life: one job after the other from the pipe @jobs, until there are no more."""
    sandbox.become_subreaper()
    worker['runner'] = Runner(opts)
    worker['cases'] = cases
    while (job := jobs.recv()) is not None:
        jobs.send(one_round(job))


def start_worker(opts, cases, job):
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=work, args=(opts, cases, theirs), daemon=True)
    process.start()
    theirs.close()
    ours.send(job)
    return ours, (process, job)


def in_workers(opts, cases, jobs):
    """The jobs' lists of outcomes, as they end. A worker's death is an outcome, too."""
    todo, busy = list(reversed(jobs)), {}
    while todo or busy:
        while todo and len(busy) < opts.jobs:
            pipe, state = start_worker(opts, cases, todo.pop())
            busy[pipe] = state
        for pipe in multiprocessing.connection.wait(list(busy)):
            process, job = busy.pop(pipe)
            try:
                yield pipe.recv()
            except EOFError:
                process.join()
                yield [(cases[job[0]].name, ['the worker died: %s' % process.exitcode], 0, 0)]
                continue
            job = todo.pop() if todo else None
            pipe.send(job)
            if job:
                busy[pipe] = process, job


def one_round(job):
    """Run a case once for each number of CPUs; a list of outcomes."""
    index, number = job
    runner, case, outcomes = worker['runner'], worker['cases'][index], []
    host = runner.host(case)
    for cpus in runner.opts.cpus.split(','):
        label = '%s --cpus %s' % (case.name, cpus)
        if runner.opts.rounds > 1:
            label += ' round %d' % (number + 1)
        quire = runner.quire(case, cpus)
        wrong = ['the host itself did not end in time'] if host.timed_out else []
        outcomes.append((label, wrong + compare(case, host, quire), host.seconds, quire.seconds))
    return outcomes


class Suite:
    def __init__(self, opts, cases):
        self.opts = opts
        # The long ones first, so that none is left alone at the end.
        self.cases = sorted(cases, key=lambda c: -c.timeout)
        self.passed, self.failed, self.times = 0, [], []

    def count(self, label, wrong, host_seconds, seconds):
        self.times.append((seconds, label))
        if wrong:
            self.failed.append(label)
        else:
            self.passed += 1
        if wrong or self.opts.verbose:
            print('%s %s  %.2f s (host %.2f)' %
                  ('FAIL' if wrong else 'ok  ', label, seconds, host_seconds))
            print(''.join('     %s\n' % w for w in wrong), end='')
            sys.stdout.flush()

    def run(self):
        start = time.monotonic()
        jobs = [(i, n) for n in range(self.opts.rounds) for i in range(len(self.cases))]
        for job in in_workers(self.opts, self.cases, jobs):
            for outcome in job:
                self.count(*outcome)
        if self.opts.verbose:
            print('slowest: ' + ', '.join('%s %.1f s' % (name, t)
                                          for t, name in sorted(self.times, reverse=True)[:8]))
        for label in self.failed:
            print('failed: ' + label)
        print('%.0f s' % (time.monotonic() - start))
        print('%d passed, %d failed' % (self.passed, len(self.failed)))
        return 1 if self.failed else 0


def prepare(directory, cases):
    """The input that cases name: 100 MB of lines, the same each time."""
    if any(c.data == 'lines' for c in cases):
        size = 100e6 if any(c.data == 'lines' and not c.quick for c in cases) else 8e6
        x, written = 1, 0
        with open(os.path.join(directory, 'lines'), 'w', encoding='ascii') as f:
            while written < size:
                block = []
                for _ in range(10000):
                    x = x * 6364136223846793005 + 1442695040888963407 & (1 << 64) - 1
                    block.append('%016x %d line\n' % (x, x >> 40))
                text = ''.join(block)
                written += f.write(text)


def default_quire():
    for name in ('build/cli/quire', 'build/quire'):
        path = os.path.join(ROOT, name)
        if os.access(path, os.X_OK):
            return path
    return os.path.join(ROOT, 'build/cli/quire')


def build_directory(quire):
    d = os.path.dirname(quire)
    return os.path.dirname(d) if os.path.basename(d) == 'cli' else d


def parse():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('names', nargs='*', metavar='[QUIRE] CASE',
                   help='the command (else $QUIRE, build/cli/quire) and patterns of cases')
    p.add_argument('--quick', action='store_true', help='leave out what takes long')
    p.add_argument('--rounds', type=int, default=1)
    p.add_argument('--jobs', type=int, default=2)
    p.add_argument('--cpus', default='1,2')
    p.add_argument('--ram', default='2G')
    p.add_argument('--patience', type=float, default=1, help='factor of the time limits')
    p.add_argument('--option', action='append', default=[], help='one more for quire run')
    p.add_argument('--list', action='store_true')
    p.add_argument('-v', '--verbose', action='store_true', help='name what passes too')
    o = p.parse_args()
    o.quire = os.environ.get('QUIRE')
    if o.names and '/' in o.names[0]:
        o.quire = o.names.pop(0)
    o.quire = os.path.abspath(o.quire or default_quire())
    build = os.environ.get('QUIRE_BUILD') or build_directory(o.quire)
    o.guests = os.path.abspath(os.path.join(build, 'tests', 'guests'))
    return o


def take_signals():
    """What is ignored here (nohup, a job in the background) would be ignored by the programs, too."""
    for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        if signal.getsignal(sig) == signal.SIG_IGN:
            signal.signal(sig, signal.SIG_DFL)


def main():
    o = parse()
    take_signals()
    cases = [c for c in CASES if c.quick or not o.quick]
    if o.names:
        cases = [c for c in CASES if any(fnmatch.fnmatch(c.name, n) for n in o.names)]
    if o.list or not cases:
        print('\n'.join(c.name for c in cases) or 'no such case')
        return 0 if cases else 2
    for need, what in ((o.quire, 'quire'), (os.path.join(o.guests, 'cow'), 'guest programs')):
        if not os.path.exists(need):
            print('%s: no %s' % (need, what))
            return 2
    for c in [c for c in cases if c.needs and not os.access(c.needs, os.W_OK)]:
        print('off: %s: %s cannot be written' % (c.name, c.needs))
        cases.remove(c)
    with tempfile.TemporaryDirectory(prefix='quire-data.') as o.data:
        prepare(o.data, cases)
        return Suite(o, cases).run()


if __name__ == '__main__':
    sys.exit(main())
