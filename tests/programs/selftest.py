#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The suite tested: a stand-in that runs everything on the host must pass, planted faults must fail.

    selftest.py [--quick]
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
STAND_IN = os.path.join(HERE, 'stand-in.py')
FAULTS = {
    'status': 'exit status', 'output': 'stdout differs', 'stderr': 'stderr differs',
    'hang': 'did not end', 'leak': 'leaked_frames', 'report': 'no report',
    'leave': 'process(es) behind',
}


def run(fault, *words):
    p = subprocess.run([sys.executable, os.path.join(HERE, 'run.py'), STAND_IN, *words,
                        '--option=--fault=' + fault],
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return p.returncode, p.stdout


def main():
    failed = 0
    for fault, says in FAULTS.items():
        code, text = run(fault, 'tiny', '--patience', '0.03' if fault == 'hang' else '1')
        ok = code == 1 and says in text and '0 passed, 2 failed' in text
        failed += not ok
        print('planted %s: %s' % (fault, 'found' if ok else 'FAIL\n' + text))
    words = ['tiny', 'bash*', 'orphan*', 'python', 'dirty'] if '--quick' in sys.argv else ['--quick']
    code, text = run('', *words)
    failed += code != 0
    print('the host itself: %s' % ('equal' if code == 0 else 'FAIL\n' + text))
    print('%d passed, %d failed' % (len(FAULTS) + 1 - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
