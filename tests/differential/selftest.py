#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The tester tested: the host must equal itself, and planted faults must be found.

    selftest.py [QUIRE]

difftest --lie N breaks one call in its own process: 1 MADV_DONTNEED does nothing,
2 munmap forgets the last page, 3 SIGSEGV always says MAPERR, 4 PROT_NONE can be
read. Each must be found, and shrunk to a few steps.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
LIES = (1, 2, 3, 4)


def run(*words):
    p = subprocess.run([sys.executable, os.path.join(HERE, 'run.py'), *words, *sys.argv[1:]],
                       stdout=subprocess.PIPE, text=True)
    return p.returncode, p.stdout


def main():
    failed = 0
    for mode in ([], ['--rss', '--extra', '--vma', 'raw']):
        code, text = run('--host-only', '--steps', '20000', '--shrink', '0', *mode)
        ok = code == 0
        failed += not ok
        print('host against host %s: %s' % (' '.join(mode), 'equal' if ok else 'FAIL\n' + text))
    for lie in LIES:
        code, text = run('--lie', str(lie), '--steps', '5000', '--max-differences', '1', '--vma',
                         'none')
        m = re.search(r'(\d+) step\(s\) suffice', text)
        ok = code == 1 and m and int(m.group(1)) <= 8
        failed += not ok
        print('planted fault %d: %s' %
              (lie, 'found, %s steps' % m.group(1) if ok else 'FAIL\n' + text))
    print('%d passed, %d failed' % (len(LIES) + 2 - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
