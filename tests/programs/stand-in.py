#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Stands for quire in tests of the tests: takes its options and runs the program on the host.

--fault=WHAT plants a fault: status, output, stderr, hang, leak, report, leave.
"""
import json
import os
import signal
import subprocess
import sys
import time

import sandbox

VALUED = ('--ram', '--cpus', '--report', '--output', '--trace', '--fill')


def main():
    args, opts = sys.argv[2:], {}
    sandbox.become_subreaper()
    while args and args[0].startswith('-'):
        a = args.pop(0)
        if a == '--':
            break
        opts[a] = args.pop(0) if a in VALUED else True
    fault = next((a[8:] for a in opts if a.startswith('--fault=')), '')
    if fault == 'hang':
        subprocess.Popen(['sleep', '1000'], start_new_session=True)
        signal.pause()
    if fault == 'output':
        print('one line more')
        sys.stdout.flush()
    if fault == 'stderr':
        print('quire: kernel: BUG', file=sys.stderr)
        sys.stderr.flush()
    if fault == 'leave':
        subprocess.Popen(['sleep', '1000'], start_new_session=True)
    try:
        p = subprocess.Popen(args)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        status = p.wait()
    except FileNotFoundError:
        return 127
    except PermissionError:
        return 126
    while '--wait' in opts and sandbox.descendants(os.getpid()):
        time.sleep(0.01)
    if fault != 'leave':
        sandbox.kill_rest()
    if '--output' in opts and fault != 'report':
        with open(opts['--output'], 'w') as f:
            json.dump({'faults': {str(i): i for i in range(20)},
                       'leaked_frames': int(fault == 'leak')}, f)
    status = status if status >= 0 else 128 - status
    return status ^ 1 if fault == 'status' else status


sys.exit(main())
