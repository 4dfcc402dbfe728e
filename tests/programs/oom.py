#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Memory that does not suffice: who is killed, what is said, and that the others go on.

    oom.py [--rounds N] QUIRE

Nothing may leak or hang, whoever is killed while he does what. The last line is
"N passed, N failed".
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

passed, failed = 0, []
ROW = re.compile(r'^quire: \[ *(\d+)\] +(\d+) +\1 +\d+ +\d+ +\d+ +0 +(-?\d+) (\S+)$', re.M)
KILLED = re.compile(r'^quire: Out of memory: Killed process (\d+) \((\S+)\) total-vm:\d+kB', re.M)


class Result:
    def __init__(self, quire, guests, script, ram, cpus, timeout=60):
        with tempfile.TemporaryDirectory() as d:
            words = [quire, 'run', '--ram', ram, '--cpus', cpus, '--report', 'json',
                     '--output', d + '/report', 'bash', '-c', script]
            try:
                r = subprocess.run(words, cwd=d, stdin=subprocess.DEVNULL, capture_output=True,
                                   timeout=timeout, text=True, check=False,
                                   env=dict(os.environ, G=guests, LC_ALL='C'))
                self.status, self.out, self.err = r.returncode, r.stdout, r.stderr
            except subprocess.TimeoutExpired as e:
                self.status, self.out, self.err = 'hangs', str(e.stdout), str(e.stderr)
            try:
                with open(d + '/report', encoding='utf-8') as f:
                    self.report = json.load(f)
            except (OSError, ValueError):
                self.report = {}
        self.victims = [name for _, name in KILLED.findall(self.err)]
        self.counted = self.report.get('memory', {}).get('vm_events', {}).get('oom_kill')

    def sound(self):
        return (self.report.get('leak', 1) is None and self.counted == len(self.victims)
                and 'panic' not in self.err)


def check(what, ok, r):
    global passed
    if ok and r.sound():
        passed += 1
        return
    failed.append(what)
    print('FAIL %s: status %s, oom_kill %s, leak %s\n%s%s' % (
        what, r.status, r.counted, r.report.get('leak', 'no report'), r.out[-1500:], r.err[-1500:]))


def cases(run):
    r = run('exec $G/hog 300')
    check('a program alone', r.status == 137 and r.victims == ['hog'] and not r.out, r)
    check('the table of tasks', 'oom_score_adj name' in r.err and
          [row[3] for row in ROW.findall(r.err)] == ['hog'], r)

    r = run('$G/hog 300; echo $?; grep oom_kill /proc/vmstat; $G/hog 20')
    check('its parent goes on', (r.status, r.out) == (0, '137\noom_kill 1\ntouched\nheld\n'), r)

    for how in ('-m shared', '-m read', '-m file', '-t 4', '-t 3 -r'):
        r = run('$G/hog %s 300; echo $?' % how)
        check('hog ' + how, r.out == '137\n' and r.victims == ['hog'], r)

    r = run('$G/hog -s 20000 -a 500 25 & sleep 0.3; $G/hog 40; echo $?; wait $!; echo $?')
    check('oom_score_adj chooses', r.out == 'touched\ntouched\nheld\n0\n137\n', r)

    r = run('cd /proc/self; cat oom_score_adj oom_adj; echo 300 >oom_score_adj; cat oom_score_adj '
            'oom_adj; bash -c "cat /proc/self/oom_score_adj; exec cat /proc/self/oom_score_adj"; '
            'echo 2000 >oom_score_adj; echo x >oom_score_adj; (echo 15 >/proc/self/oom_adj; cat '
            'oom_score_adj); (( $(</proc/$$/oom_score) > 800 )) && echo high; '
            'echo 1 2>&1 >/proc/self/oom_score >/dev/null')
    check('oom_score_adj is a file and inherited',
          r.out.split()[:6] == ['0', '0', '300', '5', '300', '300'] and 'high' in r.out and
          r.err.count('Invalid argument') == 2, r)

    # All are there before the first begins: a fork that finds no stack in one piece may fail.
    many = ('for i in 1 2 3 4 5 6; do (sleep 0.3; exec $G/hog -s 200 %s 20) & p="$p $!"; done; '
            'for i in $p; do wait $i; echo $?; done')
    for how in ('', '-t 3', '-m file', '-m shared'):
        r = run(many % how)
        ended = [w for w in r.out.split() if w.isdigit()]
        check('many at once ' + how, set(ended) == {'0', '137'} and 'lost' not in r.out and
              ended.count('137') == len(r.victims), r)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('quire')
    p.add_argument('--rounds', type=int, default=1)
    o = p.parse_args()
    o.quire = os.path.abspath(o.quire)
    build = os.path.abspath(os.environ.get('QUIRE_BUILD') or os.path.dirname(o.quire))
    guests = os.path.join(build, 'tests', 'guests')
    for _ in range(o.rounds):
        for cpus in '1', '2':
            cases(lambda script, n=cpus: Result(o.quire, guests, script, '64M', n))
    print('%d passed, %d failed' % (passed, len(failed)))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
