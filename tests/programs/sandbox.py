# SPDX-License-Identifier: MIT
"""Run one command in a directory of its own and let nothing of it survive.

The command gets a session and a new directory, a fixed environment, no input,
and files (or a pseudo terminal) for its output, so that a process which outlives
it cannot hold the caller up. The caller's process becomes a subreaper: whatever
the command leaves behind ends up as its child, is reported, and is killed by id.
"""
import ctypes
import errno
import fcntl
import hashlib
import os
import pty
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time

PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(root):
    """The ids of all living processes below @root."""
    parents = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                with open('/proc/%s/stat' % entry) as f:
                    fields = f.read().rsplit(')', 1)[1].split()
            except OSError:
                continue
            if fields[0] not in 'ZX':
                parents[int(entry)] = int(fields[1])
    found = []
    for pid in parents:
        at = pid
        while at in parents and at != root:
            at = parents[at]
        if at == root and pid != root:
            found.append(pid)
    return found


def kill_rest():
    """Kill what is left below this process; how many there were."""
    first = descendants(os.getpid())
    left = first
    for _ in range(100):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
        left = descendants(os.getpid())
        if not left:
            break
        time.sleep(0.02)
    return len(first)


def environment(directory, extra):
    env = {
        'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        'HOME': directory, 'TMPDIR': directory, 'LC_ALL': 'C', 'TZ': 'UTC', 'TERM': 'dumb',
        'USER': 'guest', 'LOGNAME': 'guest',
    }
    env.update(extra)
    return env


class Result:
    """How a command ended, what it said, and what it left."""

    def __init__(self):
        self.status = None      # as a shell has it: 128+N for a signal
        self.timed_out = False
        self.left_behind = 0
        self.seconds = 0.0
        self.out = self.err = b''
        self.files = {}


def shell_status(returncode):
    return returncode if returncode >= 0 else 128 - returncode


def stuck(pids):
    """What the processes that did not end in time were doing."""
    lines = []
    for pid in pids[:12]:
        try:
            with open('/proc/%d/cmdline' % pid) as f:
                cmd = f.read().replace('\0', ' ')[:80]
            for task in sorted(os.listdir('/proc/%d/task' % pid))[:8]:
                base = '/proc/%d/task/%s/' % (pid, task)
                with open(base + 'wchan') as f:
                    wchan = f.read()
                with open(base + 'stat') as f:
                    state = f.read().rsplit(')', 1)[1].split()[0]
                with open(base + 'syscall') as f:
                    call = f.read().strip()[:90]
                lines.append('  %d/%s %s %s [%s] %s' % (pid, task, state, wchan, call, cmd))
        except OSError:
            pass
    return ('\nprocesses at the time limit:\n' + '\n'.join(lines) + '\n').encode()


def wait_ended(p, deadline):
    while time.monotonic() < deadline:
        if p.poll() is not None:
            return True
        time.sleep(0.003)
    return p.poll() is not None


def controlling_terminal():
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def talk(p, master, dialogue, deadline):
    """Read a terminal until the command ends; answer each expected text in turn."""
    said, fresh, todo = b'', b'', list(dialogue)
    while time.monotonic() < deadline:
        ready = select.select([master], [], [], 0.05)[0]
        if ready:
            try:
                data = os.read(master, 65536)
            except OSError:
                data = b''
            if not data:
                break
            said += data
            fresh += data
        elif p.poll() is not None:
            break
        while todo and todo[0][0] in fresh:
            expect, answer = todo.pop(0)
            fresh = fresh.split(expect, 1)[1]
            time.sleep(0.15)
            os.write(master, answer)
    return said


def start_command(argv, directory, env, out, err, dialogue):
    if dialogue is None:
        return subprocess.Popen(argv, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=err, start_new_session=True), None
    master, slave = pty.openpty()
    try:
        return subprocess.Popen(argv, cwd=directory, env=env, stdin=slave, stdout=slave,
                                stderr=slave, preexec_fn=controlling_terminal), master
    finally:
        os.close(slave)


def run(argv, directory, env, timeout, dialogue=None, grace=1.0):
    """Run @argv in @directory. With a @dialogue (may be empty) it has a terminal."""
    r = Result()
    start = time.monotonic()
    deadline = start + timeout
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    try:
        p, master = start_command(argv, directory, env, out, err, dialogue)
    except OSError as e:
        r.status = 127 if e.errno == errno.ENOENT else 126
        return r
    if dialogue is not None:
        r.out = talk(p, master, dialogue, deadline)
    r.timed_out = not wait_ended(p, deadline)
    r.seconds = time.monotonic() - start
    if not r.timed_out:
        end = time.monotonic() + grace
        while descendants(os.getpid()) and time.monotonic() < end:
            time.sleep(0.01)
    notes = stuck(descendants(os.getpid())) if r.timed_out else b''
    if p.poll() is None:
        p.send_signal(signal.SIGKILL)
        p.wait()
    r.left_behind = kill_rest()
    r.status = shell_status(p.returncode)
    if dialogue is None:
        out.seek(0)
        r.out = out.read()
    else:
        os.close(master)
    err.seek(0)
    r.err = err.read() + notes
    return r


def file_sums(directory, names):
    sums = {}
    for name in names:
        try:
            with open(os.path.join(directory, name), 'rb') as f:
                data = f.read()
            sums[name] = '%d %s' % (len(data), hashlib.md5(data).hexdigest())
        except OSError as e:
            sums[name] = e.strerror
    return sums


def fresh_directory():
    return tempfile.mkdtemp(prefix='quire-test.')


def remove(directory):
    shutil.rmtree(directory, ignore_errors=True)
