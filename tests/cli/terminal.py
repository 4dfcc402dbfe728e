#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Keys of a terminal, a terminal that vanishes, closed descriptors: as on the host. terminal.py QUIRE; TAP.

Each test is done twice, with $R empty and with $R `quire run`: what is seen must be the same.
"""
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

QUIRE = os.path.abspath(sys.argv[1])
RUNNERS = '', QUIRE + ' run'


def environment(runner):
    return dict(os.environ, R=runner, PS1='$ ', TERM='dumb', HISTFILE='', LC_ALL='C',
                BASH_SILENCE_DEPRECATION_WARNING='1')


class Terminal:
    """A program on a terminal of its own, as leader of the session."""

    def __init__(self, argv, runner):
        self.seen = ''
        self.pid, self.fd = pty.fork()
        if not self.pid:
            attr = termios.tcgetattr(0)
            attr[3] &= ~termios.ECHO
            termios.tcsetattr(0, termios.TCSANOW, attr)
            os.execvpe(argv[0], argv, environment(runner))

    def expect(self, text, timeout=10):
        end = time.monotonic() + timeout
        while not re.search(text, self.seen):
            left = end - time.monotonic()
            assert left > 0 and self.read(left), f'no {text!r} in {self.seen!r}'

    def read(self, timeout):
        if not select.select([self.fd], [], [], timeout)[0]:
            return False
        try:
            data = os.read(self.fd, 4096)
        except OSError:
            return False
        self.seen += data.decode(errors='replace').replace('\r', '')
        return bool(data)

    def send(self, keys):
        os.write(self.fd, keys.encode())

    def end(self):
        """Its status, when all that it wrote has been read."""
        while self.read(5):
            pass
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if self.fd >= 0:
            os.close(self.fd)
        return status


def both(dialogue):
    """dialogue(runner) on the host and under quire; returns what must be the same."""
    host, quire = (dialogue(r) for r in RUNNERS)
    assert host == quire, f'\nhost:  {host!r}\nquire: {quire!r}'
    return host


def shell_dialogue(*steps):
    """Steps are (keys, pattern to wait for) in an interactive bash."""
    def talk(runner):
        t = Terminal(['bash', '--norc', '--noprofile', '--noediting', '-i'], runner)
        t.expect(r'\$ $')
        for keys, pattern in steps:
            t.seen += '\n'
            start = len(t.seen)
            t.send(keys)
            end = time.monotonic() + 10
            while not re.search(pattern, t.seen[start:]):
                left = end - time.monotonic()
                assert left > 0 and t.read(left), \
                    f'no {pattern!r} after {keys!r} with {runner!r} in {t.seen!r}'
            time.sleep(0.1)
        t.send('exit\n')
        status = t.end()
        seen = re.sub('Terminated ', 'Exit 143   ', t.seen)  # the status that quire has for it
        return re.sub(r'\b\d{4,}\b', 'PID', seen), status
    return lambda: both(talk)


READY = "'echo rea''dy; %s'\n"

test_ctrl_c = shell_dialogue(
    ("$R sh -c " + READY % 'exec sleep 100', 'ready'), ('\x03', r'\$ $'),
    ('echo status $?\n', r'status \d+\n\$ $'),
    ("$R sh -c " + READY % 'trap "echo trapped; exit 5" INT; while :; do sleep 1; done', 'ready'),
    ('\x03', r'\$ $'), ('echo status $?\n', r'status \d+\n\$ $'),
    ("$R sh -c " + READY % 'exec sleep 100', 'ready'), ('\x1c', r'\$ $'),
    ('echo status $?\n', r'status \d+\n\$ $'))

test_ctrl_z_and_fg = shell_dialogue(
    ("$R sh -c " + READY % 'sleep 1; echo over; exit 3', 'ready'), ('\x1a', r'Stopped[^\n]*\n\$ $'),
    ('jobs\n', r'Stopped[^\n]*\n\$ $'), ('fg\n', r'over\n\$ $'),
    ('echo status $?\n', r'status \d+\n\$ $'),
    ("$R sh -c " + READY % 'while :; do :; done', 'ready'), ('\x1a', r'Stopped[^\n]*\n\$ $'),
    ('bg\n', r'&\n\$ $'), ('kill -TERM %%; wait; echo ended\n', r'ended\n\$ $'))

test_background_reads = shell_dialogue(
    ('$R cat & sleep 1\n', r'Stopped[^\n]*\n\$ $'), ('fg\n', 'cat'),
    ('line\n', 'line'), ('\x04', r'\$ $'), ('echo status $?\n', r'status \d+\n\$ $'))

test_stopped_from_outside = shell_dialogue(
    ("$R sh -c " + READY % 'exec sleep 1', 'ready'), ('\x1a', r'Stopped[^\n]*\n\$ $'),
    ('kill -CONT $(jobs -p); wait; echo ended\n', r'ended\n\$ $'))


def vanish(program):
    """The terminal goes away under a program, which leaves in a file what it saw."""
    def talk(runner):
        with tempfile.TemporaryDirectory() as top:
            os.environ['OUT'] = top + '/out'
            t = Terminal([*runner.split(), 'bash', '-c', program], runner)
            t.expect('ready')
            os.close(t.fd)
            t.fd = -1
            end = time.monotonic() + 10
            while not os.waitpid(t.pid, os.WNOHANG)[0]:
                assert time.monotonic() < end, 'does not end'
                time.sleep(0.02)
            time.sleep(0.2)
            try:
                with open(top + '/out', encoding='ascii') as f:
                    return f.read()
            except OSError:
                return None
    return lambda: both(talk)


test_terminal_vanishes = vanish('sleep 100 & echo ready; wait; echo no > $OUT')
test_terminal_vanishes_handler = vanish(
    'trap "echo hup > $OUT; exit 3" HUP; echo ready; while :; do sleep 0.1; done')
test_terminal_vanishes_inner_shell = vanish('''
    set -m; trap 'echo hup > $OUT; kill %1; exit' HUP
    sleep 100 & echo ready; wait; echo no > $OUT''')


def closed(redirection):
    def run(runner):
        script = 'ls -l /proc/self/fd | wc -l; echo out; echo err >&2; read x; echo $? >&3'
        with tempfile.TemporaryFile() as file:
            done = subprocess.run(['bash', '-c', f"$R sh -c '{script}' 3>&{file.fileno()} "
                                   f'{redirection}'], env=environment(runner),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, pass_fds=[file.fileno()], timeout=20,
                                  check=False)
            file.seek(0)
            err = re.sub(rb'line \d+', b'line', done.stderr)
            return done.returncode, done.stdout, err, file.read()
    return lambda: both(run)


test_stdin_closed = closed('<&-')
test_stdout_closed = closed('>&-')
test_stderr_closed = closed('2>&-')
test_all_closed = closed('<&- >&- 2>&-')


def have_terminals():
    try:
        for fd in pty.openpty():
            os.close(fd)
    except OSError as e:
        print(f'1..0 # SKIP no pseudo-terminal: {e}')
        return False
    return True


def main():
    if not have_terminals():
        return
    tests = [(n[5:], f) for n, f in globals().items() if n.startswith('test_')]
    wanted = sys.argv[2:]
    tests = [t for t in tests if not wanted or t[0] in wanted]
    failed = 0
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    print(f'1..{len(tests)}')
    for n, (title, function) in enumerate(tests, 1):
        try:
            function()
            print(f'ok {n} {title}', flush=True)
        except (AssertionError, subprocess.TimeoutExpired, OSError) as e:
            failed += 1
            print(f'# {type(e).__name__}: {e}'.replace('\n', '\n# '))
            print(f'not ok {n} {title}', flush=True)
    sys.exit(failed > 0)


main()
