#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Broken executables: each must end on the machine as it does on the host.

    broken.py [--count N] [--seed N] QUIRE

A tiny program whose headers are mutated, and files that are none, are run one after the other by this
script itself, on the host and under quire; what execve() says, or how the program ended, is
compared. The last line is "N passed, N failed".
"""
import argparse
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile

BASE = 0x400000
MIN_ADDR = 458752                       # vm.mmap_min_addr of the machine
# exit_group(42), and nothing else that does anything.
CODE = bytes.fromhex('b8e7000000' 'bf2a000000' '0f05') + b'\x0f\x0b' * 2000
NUMBERS = (0, 1, 2, 3, 4, 6, 8, 16, 55, 56, 57, 63, 64, 73, 255, 256, 0xfff, 0x1000, 0x1001, 0x2000,
           0x7fff, 0x8000, 0xffff, 0x10000, 0x200000, 0x7fffffff, 1 << 31, 1 << 32, 1 << 38,
           (1 << 47) - 0x2000, (1 << 47) - 0x1000, 1 << 47, 1 << 48, (1 << 63) - 1, 1 << 63,
           (1 << 64) - 0x1000, (1 << 64) - 1)


def program(kind=2, interp=None):
    """An ELF file of one page of text and one of data, with room for more."""
    phdrs = [(1, 5, 0, BASE, BASE, 0x1000, 0x1000, 0x1000),
             (1, 6, 0x1000, BASE + 0x1000, BASE + 0x1000, 0x400, 0x1800, 0x1000),
             (0x6474e551, 6, 0, 0, 0, 0, 0, 16)]
    if kind == 3:
        phdrs = [(p[0], p[1], p[2], p[3] % BASE, p[4] % BASE, *p[5:]) for p in phdrs]
    if interp:
        phdrs.insert(0, (3, 4, 0x1100, 0, 0, len(interp) + 1, len(interp) + 1, 1))
    entry = (BASE if kind == 2 else 0) + 0x200
    data = struct.pack('<16sHHIQQQIHHHHHH', b'\x7fELF\2\1\1', kind, 62, 1, entry, 64, 0, 0, 64, 56,
                       len(phdrs), 64, 0, 0)
    data += b''.join(struct.pack('<IIQQQQQQ', *p) for p in phdrs)
    data = bytearray((data.ljust(0x200, b'\0') + CODE).ljust(0x2000, b'\xcc'))
    if interp:
        data[0x1100:0x1100 + len(interp) + 1] = interp + b'\0'
    return data


def runs_alike(data):
    """False: it asks for a place that is the machine's own, as the README says."""
    if any(b'\x68' <= data[at + 5:at + 6] <= b'\x70' for at in range(0, 0x120, 8)):
        return False
    if len(data) < 64:
        return True
    kind, phoff, number = (struct.unpack_from(f, data, at)[0]
                           for f, at in (('<H', 16), ('<Q', 32), ('<H', 56)))
    for at in range(phoff, min(phoff + 56 * number, len(data) - 55), 56):
        what, vaddr, align = (struct.unpack_from(f, data, at + o)[0]
                              for f, o in (('<I', 0), ('<Q', 16), ('<Q', 48)))
        if what == 1 and (vaddr < MIN_ADDR if kind == 2 else align >= 1 << 46):
            return False
    return True


def mutated(draw, data):
    data = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        size = draw.choice((1, 2, 4, 8, 8, 8))
        at = draw.randrange(0, 64 + 4 * 56 - size) // size * size
        number = draw.choice(NUMBERS) if draw.random() < 0.7 else draw.getrandbits(64)
        data[at:at + size] = (number & (1 << 8 * size) - 1).to_bytes(size, 'little')
    if draw.random() < 0.1:
        del data[draw.randrange(len(data)):]
    return data


def files(count, seed):
    draw = random.Random(seed)
    loader = b'/lib64/ld-linux-x86-64.so.2'
    whole = {
        'good': program(), 'good-pie': program(3), 'good-interp': program(3, loader),
        'empty': b'', 'short': b'\x7fEL', 'header': program()[:64], 'text': b'text\n',
        'wrong-machine': program()[:18] + b'\xb7' + program()[19:],
        'wrong-class': program()[:4] + b'\1' + program()[5:],
        'many-phdrs': program()[:56] + b'\x63' + program()[57:],
        'no-interp': program(2, b'/no/such/loader'), 'dir-interp': program(2, b'/tmp'),
        'text-interp': program(2, b'/etc/passwd'), 'self-interp': program(2, b'./self-interp'),
        'interp-unended': program(2, b'/bin/true').replace(b'/bin/true\0', b'/bin/true!'),
        'script-none': b'#!/no/such/program\n', 'script-empty': b'#!\n', 'script-blank': b'#!   \n',
        'script-loop': b'#!./script-loop\n', 'script-dir': b'#!/tmp\n',
        'script-long': b'#!/' + b'x' * 300 + b'\n', 'script-true': b'#!/bin/true',
        'script-long-arg': b'#!/bin/true ' + b'x' * 300 + b'\n',
        'script-nul': b'#!/bin/tr\0ue\n', 'script-binary': b'#!\x7fELF\n',
    }
    for i in range(6):
        whole['script-%d' % i] = b'#!./script-%d\n' % (i + 1) if i else b'#!/bin/true\n'
    for n in range(1, 7):
        whole['chain-%d' % n] = b'#!./chain-%d\n' % (n - 1) if n > 1 else b'#!/bin/true\n'
    bases = [program(), program(3), program(3, loader), program(2, loader)]
    for i in range(count):
        data = mutated(draw, bases[i % len(bases)])
        if runs_alike(data):
            whole['mutant-%d' % i] = data
    return whole


def run_one(name):
    """What becomes of it: an errno, a status, or a signal."""
    pid = os.fork()
    if not pid:
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            null = os.open('/dev/null', os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
            os.execv('./' + name, [name])
        except OSError as e:
            os._exit(100 + e.errno)
        os._exit(99)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return signal.Signals(-status).name
    return os.strerror(status - 100) if status >= 100 else 'status %d' % status


def inside():
    for name in sys.stdin.read().split():
        print(name, run_one(name))


def outcomes(words, directory, names):
    r = subprocess.run(words + [sys.executable, os.path.abspath(__file__), '--inside', '-'],
                       cwd=directory, input='\n'.join(names), capture_output=True, text=True,
                       timeout=300, check=False)
    if r.returncode:
        print('status %d: %s' % (r.returncode, r.stderr[-500:]))
    return dict(line.split(' ', 1) for line in r.stdout.splitlines())


def alike(host, quire):
    """Where a program that has lost its way ends depends on what lies beside it."""
    lost = ('SIGSEGV', 'SIGILL', 'SIGBUS', 'SIGTRAP', 'SIGKILL')
    return host == quire or (host in lost and quire in lost)


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    p.add_argument('quire')
    p.add_argument('--count', type=int, default=200)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--inside', action='store_true')
    o = p.parse_args()
    if o.inside:
        return inside()
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        whole = files(o.count, o.seed)
        for name, data in whole.items():
            with open(os.path.join(d, name), 'wb') as f:
                f.write(data)
            os.chmod(f.name, 0o755)
        os.mkdir(os.path.join(d, 'directory'))
        with open(os.path.join(d, 'not-executable'), 'wb') as f:
            f.write(program())
        names = list(whole) + ['directory', 'not-executable', 'missing']
        host = outcomes([], d, names)
        # What is too large for a machine depends on its size.
        ram = '%dM' % (os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20)
        quire = outcomes([os.path.abspath(o.quire), 'run', '--ram', ram, '--'], d, names)
    failed = 0
    for name in names:
        a, b = host.get(name, 'nothing'), quire.get(name, 'nothing')
        if not alike(a, b):
            failed += 1
            print('FAIL %s: %s instead of %s' % (name, b, a))
    print('%d passed, %d failed' % (len(names) - failed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
