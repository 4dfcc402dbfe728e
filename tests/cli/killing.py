#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What happens when guests, the command or the keeper are killed from outside. killing.py QUIRE; TAP."""
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

QUIRE = os.path.abspath(sys.argv[1])
STORM = os.path.join(os.path.dirname(QUIRE), 'tests', 'guests', 'killstorm')
# Guests of all kinds, among them one that nothing but its machine ties to the others.
FAMILY = '''
    setsid sh -c 'setsid sleep 1001 & setsid sh -c "while :; do :; done" & exit 0'
    (trap "" TERM HUP INT; sleep 1002 & while :; do :; done) &
    sleep 1003 &
    echo ready
    wait'''


def children(pid):
    found = []
    try:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children', encoding='ascii') as f:
                found += map(int, f.read().split())
    except OSError:
        pass
    return found


def descendants(pid):
    return [p for c in children(pid) for p in [c] + descendants(c)]


def stat_fields(pid):
    with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
        return f.read().rsplit(')', 1)[1].split()


def identity(pid):
    """What no other process that ever has this number is called; None for one that is no more."""
    try:
        fields = stat_fields(pid)
    except OSError:
        return None
    return None if fields[0] in 'ZX' else (pid, fields[19])


def name(pid):
    try:
        with open(f'/proc/{pid}/comm', encoding='utf-8', errors='replace') as f:
            return f.read().strip()
    except OSError:
        return ''


def left_behind(directory):
    """Files and mounts. directory: the only place for temporary files that the command was told."""
    found = [f'{d}/{n}' for d in (directory, '/dev/shm') if os.path.isdir(d)
             for n in os.listdir(d) if d == directory or 'quire' in n]
    with open('/proc/self/mounts', encoding='utf-8') as f:
        return found + [line for line in f if line.startswith('quire')]


class Machine:
    """quire run SCRIPT, when its output has begun."""

    def __init__(self, script, *options, argv=None):
        self.command = subprocess.Popen(
            [QUIRE, 'run', *options, '--', *(argv or ['/bin/sh', '-c', script])],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, bufsize=1)
        if script:
            assert self.command.stdout.readline() == 'ready\n'
        time.sleep(0.1)

        end = time.monotonic() + 5
        while not self.keeper() and time.monotonic() < end:
            time.sleep(0.01)

    def keeper(self):
        return next((p for p in children(self.command.pid) if name(p) == 'quire-keeper'), None)

    def first(self):
        return next(p for p in children(self.command.pid) if name(p) != 'quire-keeper')

    def everybody(self):
        return [i for i in map(identity, descendants(self.command.pid)) if i]

    def end(self, timeout=20):
        out, err = self.command.communicate(timeout=timeout)
        return self.command.returncode, out, err


def wait_gone(people, timeout=5.0):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        rest = [i for i in people if identity(i[0]) == i]
        if not rest:
            return
        time.sleep(0.01)
    for pid, _ in rest:
        os.kill(pid, signal.SIGKILL)
    raise AssertionError(f'still there: {rest}')


def expect(what, got, wanted):
    assert got == wanted, f'{what}: {got!r}, not {wanted!r}'


def kill_one(script, pick, **wanted):
    """Kills the process that pick() finds; what the others say of it."""
    for cpus in '1', '2':
        for _ in range(3):  # such a kill is rare here, and another matter
            m = Machine(script, '--cpus', cpus)
            os.kill(pick(m), signal.SIGKILL)
            status, out, err = m.end()
            if 'critical section' not in err:
                break
        expect('status', status, wanted.get('status', 0))
        expect('output', out, wanted.get('out', ''))
        assert 'quire:' not in err, err


def test_guest_in_its_own_code():
    kill_one('sh -c "while :; do :; done" & echo ready; wait $!; echo $?',
             lambda m: children(m.first())[0], out='137\n')


def test_guest_in_a_host_call():
    kill_one('sleep 1000 & echo ready; wait $!; echo $?',
             lambda m: children(m.first())[0], out='137\n')


def test_first_guest():
    kill_one('echo ready; while :; do :; done', lambda m: m.first(), status=137)
    kill_one('sleep 1000 & echo ready; wait', lambda m: m.first(), status=137)


def test_grandchild_of_a_parent_that_does_not_wait():
    kill_one('trap "" CHLD; sleep 1000 & echo ready; sleep 0.5; echo over',
             lambda m: children(m.first())[0], out='over\n')


def test_threads():
    program = '''
import os, sys, threading, time
pid = os.fork()
if pid:
    print("ready", flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    sys.exit()
lock = threading.Lock()
def wait():
    with lock:
        time.sleep(1000)
def spin():
    while True:
        pass
for f in wait, wait, spin, spin:
    threading.Thread(target=f).start()
sys.exit(0) if len(sys.argv) > 1 else time.sleep(1000)'''
    for arg in '', 'leader-exits':
        kill_one(f"exec python3 -c '{program}' {arg}", lambda m: children(m.first())[0],
                 out='-9\n')


def test_vfork_parent_and_child():
    script = '''
        python3 -c 'if 1:
            import subprocess
            p = subprocess.Popen(["sleep", "1000"])
            print("ready", flush=True)
            print(p.wait())' '''
    kill_one(script, lambda m: [p for p in descendants(m.first()) if name(p) == 'sleep'][0],
             out='-9\n')


def test_writer_of_a_mapped_file():
    """The cache of a file whose writer was killed shows what is in the file."""
    program = '''
import mmap, os, signal, sys, time
f = open("file", "w+b")
f.write(bytes(1 << 20))
f.flush()
m = mmap.mmap(f.fileno(), 1 << 20)
m.read(1 << 20)
print("ready", flush=True)
for round in range(15):
    pid = os.fork()
    if not pid:
        n = 0
        while True:
            n += 1
            os.pwrite(f.fileno(), bytes([n & 255]) * (1 << 20), 0)
    open("pid", "w").write(str(pid) + "\\n")
    os.waitpid(pid, 0)
    time.sleep(0.1)
    data = os.pread(f.fileno(), 1 << 20, 0)
    if m[:] != data:
        print("differs", flush=True)
print("over")'''
    with tempfile.TemporaryDirectory() as top:
        m = Machine(f"cd {top}; exec python3 -c '{program}'")
        first = m.first()
        while m.command.poll() is None:
            kids = children(first)
            time.sleep(random.random() * 0.02)
            for p in kids:
                try:
                    os.kill(p, signal.SIGKILL)
                except OSError:
                    pass
        status, out, err = m.end()
    assert (status, out) == (0, 'over\n') or (status == 125 and 'critical section' in err), \
        (status, out, err)


def storm(cpus, seconds, seed):
    """(kills, whether the machine stopped) of a busy machine that guests of are killed at random."""
    m = Machine(None, '--cpus', cpus, argv=[STORM, 'bear', str(seconds), str(seed)])
    first, keeper, kills = m.first(), m.keeper(), 0
    end = time.monotonic() + seconds - 0.3
    while m.command.poll() is None and time.monotonic() < end:
        guests = [p for p in descendants(first) if p != keeper]
        if guests:
            try:
                os.kill(random.choice(guests), signal.SIGKILL)
                kills += 1
            except OSError:
                pass
        time.sleep(random.random() * 0.02)
    people = m.everybody()
    status, out, err = m.end()
    if status == 125:
        assert re.fullmatch(r'quire: the machine stopped: process \d+ \(.*\) was killed from '
                            r'outside in a critical section of the guest kernel\n', err), err
        wait_gone(people)
        return kills, True
    assert (status, out, err) == (0, 'borne\n', ''), (status, out, err)
    return kills, False


def test_storm_from_outside():
    seconds = float(os.environ.get('KILL_SECONDS', '3'))
    for cpus in '1', '2':
        kills = stops = 0
        end = time.monotonic() + seconds / 2
        while not kills or time.monotonic() < end:
            n, stopped = storm(cpus, 1.5, random.randrange(1 << 20))
            kills += n
            stops += stopped
        print(f'# {cpus} CPUs: {kills} kills, {stops} met a critical section')


DEAF = '''
import os, signal
r, w = os.pipe()
for i in range(50):
    os.write(w, b'x')
    os.read(r, 1)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGSEGV})
signal.signal(signal.SIGALRM, lambda *_: os.write(w, b'heard'))
print('ready', flush=True)
print(os.read(r, 5).decode())'''


def test_blocked_fault_signal_from_outside():
    """It comes to nothing, in a call that came by a jump: what comes after it is heard."""
    m = Machine(DEAF, argv=['/usr/bin/python3', '-c', DEAF])
    os.kill(m.first(), signal.SIGSEGV)
    time.sleep(0.2)
    os.kill(m.first(), signal.SIGALRM)
    try:
        expect('the answer', m.end(timeout=5)[:2], (0, 'heard\n'))
    finally:
        m.command.kill()


def test_command_killed():
    with tempfile.TemporaryDirectory() as top:
        os.environ['TMPDIR'] = top
        command_killed()
        del os.environ['TMPDIR']
        expect('left behind', left_behind(top), [])


def command_killed():
    for sig in signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSEGV:
        m = Machine(FAMILY)
        people = m.everybody()
        assert len(people) >= 6, people
        os.kill(m.command.pid, sig)
        m.command.wait(10)
        if sig == signal.SIGKILL:
            expect('status', m.command.returncode, -sig)
        else:
            expect('status', m.command.returncode, 128 + sig)
        wait_gone(people)
        m.end()


def test_keeper_killed():
    m = Machine(FAMILY)
    people = m.everybody()
    os.kill(m.keeper(), signal.SIGKILL)
    status, _, err = m.end()
    expect('status', status, 125)
    assert 'quire: the machine stopped: its keeper' in err, err
    wait_gone(people, 1)


def test_command_and_keeper_killed():
    m = Machine(FAMILY)
    people = m.everybody()
    keeper = m.keeper()
    os.kill(m.command.pid, signal.SIGKILL)
    os.kill(keeper, signal.SIGKILL)
    wait_gone(people)
    m.end()


def test_first_guest_ends_others_stay():
    m = Machine(FAMILY.replace('wait', 'sleep 0.2; kill -KILL $$'))
    people = m.everybody()
    expect('status', m.end()[0], 137)
    wait_gone(people, 1)


def main():
    tests = [(n[5:], f) for n, f in globals().items() if n.startswith('test_')]
    wanted = sys.argv[2:]
    failed = 0
    tests = [t for t in tests if not wanted or t[0] in wanted]
    print(f'1..{len(tests)}')
    for n, (title, function) in enumerate(tests, 1):
        try:
            function()
            print(f'ok {n} {title}', flush=True)
        except (AssertionError, subprocess.TimeoutExpired, OSError, StopIteration) as e:
            failed += 1
            print(f'# {type(e).__name__}: {e}'.replace('\n', '\n# '))
            print(f'not ok {n} {title}', flush=True)
    sys.exit(failed > 0)


main()
