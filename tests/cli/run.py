#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The quire command itself: options, exit statuses, report and trace. run.py QUIRE; TAP."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

QUIRE = os.path.abspath(sys.argv[1])
DOCS = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs')
FORK = 'echo a; (echo b); (exit 3); sh -c true; :'


def quire(*words, **more):
    return subprocess.run([QUIRE, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, **more)


def expect(what, got, wanted):
    assert got == wanted, f'{what}: {got!r}, not {wanted!r}'


def fails(words, status, text):
    done = quire(*words)
    expect(f'status of {words}', done.returncode, status)
    assert text in done.stderr, f'{words}: {done.stderr!r} does not say {text!r}'


def report(*words, status=0):
    with tempfile.NamedTemporaryFile() as out:
        done = quire('run', '--report', 'json', '--output', out.name, *words)
        expect('status', done.returncode, status)
        return json.load(open(out.name, encoding='utf-8'))


def test_help_and_version():
    for words in (['--help'], ['-h'], ['run', '--help'], ['help']):
        done = quire(*words)
        expect('status', done.returncode, 0)
        assert 'default 4G' in done.stdout and '--trace FILE' in done.stdout
        assert max(map(len, done.stdout.splitlines())) <= 100
    assert re.fullmatch(r'quire \d+\.\d+\.\d+\n', quire('--version').stdout)
    with open('/dev/full', 'w', encoding='ascii') as full:
        done = subprocess.run([QUIRE, '--help'], stdout=full, stderr=subprocess.PIPE, check=False)
    expect('help to a full disk', done.returncode, 125)


def test_wrong_usage():
    fails([], 125, 'usage:')
    fails(['run'], 125, 'usage:')
    fails(['run', '--'], 125, 'usage:')
    fails(['walk'], 125, "unknown command 'walk'")
    fails(['--walk'], 125, 'unknown option --walk')
    fails(['run', '--walk', 'true'], 125, 'unknown option --walk')
    fails(['run', '-w', 'true'], 125, 'unknown option -w')
    fails(['run', '--ram'], 125, 'needs a value')
    fails(['run', '--wait=1', 'true'], 125, 'takes no value')


def test_wrong_values():
    fails(['run', '--ram', 'much', 'true'], 125, 'not a size')
    fails(['run', '--ram', '-1', 'true'], 125, 'not a size')
    fails(['run', '--ram', '1Q', 'true'], 125, 'not a size')
    fails(['run', '--ram', '15M', 'true'], 125, 'too little')
    fails(['run', '--ram', '8T', 'true'], 125, 'too much')
    fails(['run', '--ram', '99999999999999999999', 'true'], 125, 'too much')
    fails(['run', '--ram', '99999999999T', 'true'], 125, 'too much')
    for cpus in '0', '65', 'two', '', '-1':
        fails(['run', '--cpus', cpus, 'true'], 125, 'from 1 to 64')
    fails(['run', '--report', 'xml', 'true'], 125, 'none, text, json')
    fails(['run', '--fill', '8k', 'true'], 125, '4k, auto')
    fails(['run', '--fallback', 'memfd,none', 'true'], 125, 'memfd, seccomp')
    for ram in '0', '', '1E', 'G', '0x10000000', '1.5G', ' 64M', '64M ', '99999999G', '18446744073709551616':
        fails(['run', '--ram', ram, 'true'], 125, '--ram')
    for swap in '', 'x', '1M,,', '1M,a,b', '1M,prio=', '1M,prio=-1', '1M,prio=32768', '1K', '9T', '-1M':
        fails(['run', '--swap', swap, 'true'], 125, '--swap')
    fails(['run', *['--swap', '1M'] * 17, 'true'], 125, 'at most')
    for fail in ('failslab', 'failslab=', 'failslab=0', 'failslab=x', 'slab=1', '=1', 'failslab=1x',
                 'failslab=every:', 'failslab=every:0', 'fail_blocks=1', 'fail_bloc=1'):
        fails(['run', '--fail', fail, 'true'], 125, '--fail')
    fails(['run', '--kernel-args', 'x' * 512, 'true'], 125, '--kernel-args')


def objects_of(cache, *options):
    """Bytes from one object of the cache to the next."""
    text = quire('run', *options, 'cat', '/proc/slabinfo').stdout
    expect('version', text.splitlines()[0], 'slabinfo - version: 2.1')
    return int(re.search(rf'^{cache} +\d+ +\d+ +(\d+)', text, re.M)[1])


def test_slab_debug():
    expect('plain', objects_of('kmalloc-64'), 64)
    expect('debugged', objects_of('kmalloc-64', '--kernel-args', 'slab_debug=FZPU,kmalloc-64') > 64, True)
    expect('another', objects_of('kmalloc-96', '--kernel-args', 'slab_debug=FZPU,kmalloc-64'), 96)
    done = quire('run', '--kernel-args', 'slab_debug', 'sh', '-c', 'for i in 1 2 3; do ls /; done | sort -u | wc -l')
    expect('status', done.returncode, 0)
    expect('nothing is found', done.stderr, '')


def test_slabtop():
    """Where there is one."""
    if not shutil.which('slabtop'):
        return
    text = quire('run', 'slabtop', '-o').stdout
    expect('caches', re.search(r'^ *\d+ +\d+ +\d+% +[\d.]+K +\d+ +\d+ +\d+K vm_area_struct', text, re.M) is not None, True)


def test_status_is_the_programs():
    for status in 0, 1, 42, 125, 255:
        expect('status', quire('run', 'sh', '-c', f'exit {status}').returncode, status)
    for sig in 'TERM', 'KILL', 'SEGV':
        done = quire('run', 'sh', '-c', f'kill -{sig} $$')
        wanted = subprocess.run(['sh', '-c', f'kill -{sig} $$'], check=False).returncode
        expect(f'status after SIG{sig}', done.returncode, 128 - wanted)


def test_cannot_run():
    fails(['run', 'no-such-program-here'], 127, "cannot run 'no-such-program-here'")
    fails(['run', '/no/such/program'], 127, "cannot run '/no/such/program'")
    with tempfile.TemporaryDirectory() as d:
        for name, text, status, why in (
                ('empty', b'', 126, 'Exec format error'),
                ('cut', b'\x7fELF', 126, 'Exec format error'),
                ('arm', b'\x7fELF\2\1\1' + bytes(11) + b'\xb7' + bytes(200), 126,
                 'Exec format error'),
                ('loop', b'#!' + d.encode() + b'/loop\n', 126, 'Too many levels'),
                ('lost', b'#!/no/such/shell\n', 127, 'No such file'),
                ('long', b'#!/' + b'x' * 300 + b'\n', 126, 'Exec format error')):
            with open(os.path.join(d, name), 'wb') as f:
                f.write(text)
            os.chmod(f.name, 0o755)
            fails(['run', f.name], status, why)
    fails(['run', 'bash', '-c', '/bin/true $(printf %0131072d 1)'], 126, 'Argument list too long')
    fails(['run', ''], 127, 'cannot run')
    fails(['run', '/etc/passwd'], 126, "cannot run '/etc/passwd'")
    fails(['run', '/'], 126, "cannot run '/'")


def test_limits_of_the_host():
    def limited(limits, status, text, *words):
        script = f'{limits}; exec "$0" run "$@"'
        done = subprocess.run(['bash', '-c', script, QUIRE, *words], capture_output=True,
                              text=True, timeout=60, check=False)
        expect(f'status with {limits}', done.returncode, status)
        assert text in done.stderr + done.stdout, done.stderr

    limited('ulimit -n 8', 125, 'open files', 'true')
    limited('ulimit -n 16', 0, 'hi', 'sh', '-c', 'echo hi | cat')
    limited('ulimit -v 1000000', 125, "cannot map the machine's RAM", 'true')
    limited('ulimit -v 1000000', 0, 'hi', '--ram', '256M', 'sh', '-c', 'echo hi | cat')
    limited('ulimit -Sf 100', 0, '100', 'bash', '-c', 'ulimit -f')
    limited('ulimit -Sf 100', 153, '', 'bash', '-c', 'exec head -c 200000 /dev/zero >$(mktemp -d)/big')
    if os.geteuid():
        limited('ulimit -u 1', 125, 'cannot start', 'true')


def test_programs_own_options():
    expect('output', quire('run', 'echo', '--ram', '-n').stdout, '--ram -n\n')
    expect('output', quire('run', '--', 'echo', '--', 'x').stdout, '-- x\n')


def test_sizes():
    for ram, size in ('16M', 16 << 20), ('65536k', 64 << 20), ('1GiB', 1 << 30), ('7T', 7 << 40):
        expect('ram_bytes', report('--ram', ram, 'true')['machine']['ram_bytes'], size)
    expect('cpus', report('--cpus', '64', 'true')['machine']['cpus'], 64)
    expect('nproc', quire('run', '--cpus', '3', 'nproc').stdout, '3\n')


def documented_keys():
    keys = set()
    for line in open(os.path.join(DOCS, 'report.md'), encoding='utf-8'):
        if line.startswith('| `'):
            for key in re.findall(r'`([a-z_.]+)`', line.split('|')[1]):
                keys.update(key.split('.'))
    return keys


def keys_of(value):
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    keys = set(value)
    for name, part in value.items():
        if name not in ('by_name', 'vm_events'):
            keys |= keys_of(part)
    return keys


def test_json_report():
    r = report('sh', '-c', FORK)
    expect('argv', r['program']['argv'], ['sh', '-c', FORK])
    expect('exit_status', r['program']['exit_status'], 0)
    expect('leak', r['leak'], None)
    expect('forks', r['total']['forks'], 3)
    expect('execs', r['total']['execs'], 2)
    expect('processes', len(r['processes']), 4)
    expect('statuses', sorted(p['exit_status'] for p in r['processes']), [0, 0, 0, 3])
    for key in r['total']['faults']:
        expect(key, r['total']['faults'][key], sum(p['faults'][key] for p in r['processes']))
    expect('calls', r['system_calls']['total'], sum(r['system_calls']['by_name'].values()))
    free = sum(n << order for zone in r['memory']['zones']
               for order, n in enumerate(zone['free_blocks']))
    assert free <= r['memory']['free_pages'] <= r['memory']['total_pages']
    unknown = keys_of(r) - documented_keys()
    assert not unknown, f'not in docs/report.md: {unknown}'
    absent = documented_keys() - keys_of(r) - {'frames', 'objects', 'swap_slots', 'text'}
    assert not absent, f'in docs/report.md only: {absent}'


def test_signal_in_report():
    r = report('sh', '-c', 'kill -KILL $$', status=137)
    expect('signal', (r['program']['signal'], r['program']['exit_status']), (9, None))


def test_unknown_calls():
    known = report(sys.executable, '-c', 'import ctypes')['system_calls']
    script = ('import ctypes, errno\n'
              'libc = ctypes.CDLL(None, use_errno=True)\n'
              'for nr in 600, 1023, 1024, 0x7f8610e00000, -1, 156, 180:\n'
              '    assert libc.syscall(ctypes.c_long(nr)) == -1\n'
              '    assert ctypes.get_errno() == errno.ENOSYS, nr\n')
    r = report(sys.executable, '-c', script)['system_calls']
    expect('unknown calls', r['unknown'], known['unknown'] + 7)


def test_peaks():
    """Of mappings and tables that are gone again, also before an exec."""
    script = ('import mmap, os\n'
              'm = [mmap.mmap(-1, 4096, prot=p) for p in [1, 3] * 300]\n'
              'far = mmap.mmap(-1, 1 << 30, flags=mmap.MAP_PRIVATE | 0x4000)\n'
              'for i in range(0, 1 << 30, 2 << 20):\n'
              '    far[i] = 1\n'
              'far.close()\n'
              'for x in m:\n'
              '    x.close()\n'
              'os.execv("/bin/true", ["a-long-name-it-"])')
    r = report('--ram', '256M', sys.executable, '-c', script)['processes'][0]
    assert 600 < r['peak_vmas'] < 1000, r['peak_vmas']
    assert 512 < r['peak_page_table_pages'] < 800, r['peak_page_table_pages']


def test_names_that_are_no_text():
    with tempfile.TemporaryDirectory() as top:
        name = os.path.join(top.encode(), b'caf\xe9')
        os.symlink(b'/bin/busybox', name + b'-sh')
        os.symlink(b'/bin/sh', name)
        r = report(name, '-c', ':')
        expect('name', r['processes'][0]['name'], 'caf?')
        assert r['program']['argv'][0].endswith('caf?')


def test_fill_4k():
    touch = 'head -c 3000000 /dev/zero | tail -c 2000000 > /dev/null'
    r = report('--fill', '4k', 'sh', '-c', touch)
    expect('larger folios', sum(r['total']['folios'][1:]), 0)
    r = report('sh', '-c', touch)
    assert sum(r['total']['folios'][1:]) > 0


def test_text_report():
    done = quire('run', '--report', 'text', 'sh', '-c', FORK)
    expect('output', done.stdout, 'a\nb\n')
    for part in 'Machine', 'Program', 'Processes', 'Faults', 'System calls', 'Memory':
        assert re.search(f'^{part}', done.stderr, re.M), part
    assert max(map(len, done.stderr.splitlines())) <= 100
    assert not re.search(r'[ \t]$', done.stderr, re.M), 'blank at the end of a line'
    with tempfile.NamedTemporaryFile() as out:
        expect('stderr', quire('run', '--output', out.name, 'true').stderr, '')
        assert 'Machine' in open(out.name, encoding='utf-8').read()


def test_report_not_writable():
    fails(['run', '--output', '/dev/full', 'true'], 125, 'No space left')
    fails(['run', '--report', 'json', '--output', '/dev/full', 'true'], 125, 'No space left')
    fails(['run', '--output', '/dev/full', 'sh', '-c', 'exit 7'], 7, 'No space left')
    fails(['run', '--output', '/no/dir/file', 'true'], 125, 'No such file')
    fails(['run', '--trace', '/no/dir/file', 'true'], 125, 'No such file')
    fails(['run', '--trace', '/dev/full', 'true'], 125, 'No space left')


def trace(*words):
    with tempfile.NamedTemporaryFile() as out:
        done = quire('run', '--trace', out.name, *words)
        expect('status', done.returncode, 0)
        return json.load(open(out.name, encoding='utf-8'))


def test_trace():
    t = trace('sh', '-c', FORK)
    expect('lost', t['otherData']['lost_events'], 0)
    events = [e for e in t['traceEvents'] if e['ph'] != 'M']
    count = {}
    for e in events:
        count[e['name']] = count.get(e['name'], 0) + 1
        assert e['ph'] in 'Xi' and (e['ph'] == 'i') == ('dur' not in e), e
        assert {'name', 'cat', 'ts', 'pid', 'tid', 'args'} <= set(e), e
    expect('forks', count['fork'], 3)
    expect('execs', count['exec'], 2)
    expect('exits', count['exit'], 4)
    assert count['fault: copy on write'] and count['mmap'] and count['munmap']
    named = {e['pid'] for e in t['traceEvents'] if e['name'] == 'process_name'}
    expect('processes named', named, {e['pid'] for e in events})
    listed = open(os.path.join(DOCS, 'trace.md'), encoding='utf-8').read()
    for name in count:
        assert f'`{name}`' in listed, f'not in docs/trace.md: {name}'


def test_samples():
    names = None
    for suffix in ('.csv', '.json'):
        with tempfile.NamedTemporaryFile('r', suffix=suffix, encoding='ascii') as out:
            done = quire('run', '--ram', '128M', '--samples', out.name, 'python3', '-c',
                         'import time; a = b"x" * (40 << 20); time.sleep(1)')
            expect('status', done.returncode, 0)
            if suffix == '.json':
                rows = json.load(out)
            else:
                head, *lines = out.read().splitlines()
                names = head.split(',')
                rows = [dict(zip(names, map(float, line.split(',')))) for line in lines]
        expect('fields', list(rows[0]), names)
        times = [row['time_s'] for row in rows]
        assert times == sorted(times) and times[-1] > 1 and len(rows) >= 5, times
        assert max(row['anon_kib'] for row in rows) > 40 << 10, rows
        assert min(row['free_kib'] for row in rows) < 88 << 10, rows
        expect('KiB in use at the end', rows[-1]['anon_kib'], 0)
        faults = [row['faults'] for row in rows]
        assert faults == sorted(faults) and faults[-1] > 100, faults
    listed = open(os.path.join(DOCS, 'samples.md'), encoding='utf-8').read()
    for name in names:
        assert f'`{name}`' in listed, f'not in docs/samples.md: {name}'
    fails(['run', '--samples', '/no/dir/file', 'true'], 125, 'No such file')
    fails(['run', '--samples', '/dev/full', 'true'], 125, 'No space left')


def test_references_and_replay():
    with tempfile.NamedTemporaryFile('r+', encoding='ascii') as out:
        done = quire('run', '--ram', '128M', '--references', out.name, '/usr/bin/python3', '-c',
                     'a = bytearray(24 << 20)\nfor t in range(3):\n for i in range(0, 24 << 20, 4096): a[i] = t')
        expect('status', done.returncode, 0)
        lines = out.read().splitlines()
        expect('head', lines[:2], ['quire-references 1', 'interval_ms 100'])
        pages = [int(line) for line in lines if line.isdigit()]
        expect('end', lines[-1], f'end pages {max(pages) + 1} references {len(pages)}')
        assert max(pages) > 6000 and len(pages) > max(pages), lines[-1]
    # Four pages in turn: LRU always misses with three frames. Each policy on what it is known for.
    with tempfile.NamedTemporaryFile('w', encoding='ascii') as ref:
        turns = 40
        ref.write('quire-references 1\n' + ''.join(
            f'@{t}\n' + ''.join(f'{p}\n' for p in range(1000)) for t in range(turns)) +
            'end pages 1000 references 40000\n')
        ref.flush()
        done = quire('replay', ref.name)
        expect('replay', (done.returncode, done.stderr), (0, ''))
        rows = [list(map(int, re.findall(r'\b\d+\b(?!%)', line)))
                for line in done.stdout.splitlines() if '%' in line]
        expect('sizes', len(rows), 5)
        for frames, opt, lru, clock, ours in rows:
            expect('LRU in a loop', lru, (turns - 1) * 1000)
            expect('CLOCK in a loop', clock, (turns - 1) * 1000)
            assert opt <= ours <= lru + 100, done.stdout
            # Of each turn OPT keeps all frames but one for what was there.
            assert abs(opt - (turns - 1) * (1000 - frames)) <= 2 * turns, done.stdout
    fails(['replay'], 125, 'one file')
    fails(['replay', '/no/file'], 125, 'No such file')
    fails(['replay', QUIRE], 125, 'is not a file of')
    for bad in ('1\n', '0\nx\n', '0\n2\n', '0\n1x\n', '', '99999999\n'):
        with tempfile.NamedTemporaryFile('w', encoding='ascii') as ref:
            ref.write('quire-references 1\n' + bad)
            ref.flush()
            done = quire('replay', ref.name)
            assert done.returncode == 125 or bad == '0\nx\n', (bad, done)
    fails(['run', '--references', '/no/dir/file', 'true'], 125, 'No such file')
    fails(['run', '--references', 'a', '--trace', 'b', 'true'], 125, 'one of them')


def test_progress():
    done = quire('run', '--progress', 'true')
    expect('status', done.returncode, 0)
    assert 'no terminal' in done.stderr, done.stderr


def test_long_name_in_trace():
    with tempfile.TemporaryDirectory() as top:
        os.symlink('/bin/true', top + '/a-name-of-15-it')
        names = {e['args']['name'] for e in trace(top + '/a-name-of-15-it')['traceEvents']
                 if e['name'] == 'process_name'}
    assert 'a-name-of-15-it' in names, names


def test_trace_longer_than_the_ring():
    t = trace('--fill', '4k', 'python3', '-c',
              'import mmap; [mmap.mmap(-1, 4096).close() for i in range(90000)]')
    expect('lost', t['otherData']['lost_events'], 0)
    calls = sum(e['name'] == 'mmap' for e in t['traceEvents'])
    assert calls >= 90000, calls


SWAPPER = '''
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    return 0 if getattr(libc, name)(*args) == 0 else -ctypes.get_errno()
def pages(value):
    for i in range(0, len(m), 4096):
        m[i:i + 8] = (i + value).to_bytes(8, 'little')
def good(value):
    return all(int.from_bytes(m[i:i + 8], 'little') == i + value for i in range(0, len(m), 4096))
def swaps():
    return [line.split() for line in open('/proc/swaps').read().splitlines()[1:]]
m = mmap.mmap(-1, 2000 * 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
'''


def test_swap():
    with tempfile.TemporaryDirectory() as d:
        name = os.path.join(d, 'swap')
        script = SWAPPER + '''
pages(5)
m.madvise(21)
print(swaps(), good(5))
m.madvise(21)
print([line.split()[1] for line in open('/proc/self/status') if line.startswith('VmSwap')][0] > '4000')
'''
        r = report('--swap', '8M,' + name + ',prio=9', '--swap', '1M', '/usr/bin/python3', '-c', script)
        expect('slots', r['memory']['swap_pages'], 2047 + 255)
        expect('leak', r['leak'], None)
        assert r['memory']['swap_peak_pages'] >= 2000 and r['memory']['vm_events']['pswpin'] >= 2000
        done = quire('run', '--swap', '8M,' + name + ',prio=9', '/usr/bin/python3', '-c', script)
        expect('output', done.stdout, f"[['{name}', 'file', '8188', '8000', '9']] True\nTrue\n")
        fails(['run', '--swap', '4M,' + name, 'true'], 125, 'has 8388608 bytes')
        with open(name, 'r+b') as f:
            f.write(bytes(4096))
        fails(['run', '--swap', '8M,' + name, 'true'], 125, 'is no swap file')
        fails(['run', '--swap', '8M,' + d, 'true'], 125, 'Is a directory')
        fails(['run', '--swap', '8M,/dev/zero', 'true'], 125, 'not a regular file')
        fails(['run', '--swap', '8M,' + d + '/none/swap', 'true'], 125, 'No such file')
        expect('a file that cannot be', os.listdir(d), ['swap'])


def test_swap_in_use():
    with tempfile.TemporaryDirectory() as d:
        name = os.path.join(d, 'swap')
        with subprocess.Popen([QUIRE, 'run', '--swap', '1M,' + name, 'sh', '-c', 'echo; read x'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
            p.stdout.readline()
            fails(['run', '--swap', '1M,' + name, 'true'], 125, 'in use')
            p.communicate(b'x\n')
        expect('afterwards', quire('run', '--swap', '1M,' + name, 'true').returncode, 0)


def test_swapon():
    if os.geteuid():
        return
    with tempfile.TemporaryDirectory() as d:
        script = SWAPPER + f'''
name = '{d}/swap'
header = bytearray(4096)
header[1024] = 1
header[1028:1032] = (4095).to_bytes(4, 'little')
open(name, 'wb').write(header + bytes(4095 * 4096))
print(call('swapon', name.encode(), 0), call('swapon', b'/none', 0), call('swapon', b'/tmp', 0),
      call('swapon', b'/etc/passwd', 1 << 30), call('swapoff', name.encode()))
header[4086:] = b'SWAPSPACE2'
open(name, 'r+b').write(header)
print(call('swapon', name.encode(), 0x8000 | 3), call('swapon', name.encode(), 0))
print(swaps() == [[name, 'file', '16380', '0', '3']])
for value in range(4):
    pages(value)
    m.madvise(21)
    print(swaps()[0][3], call('swapoff', name.encode()), swaps(), good(value))
    print(call('swapon', name.encode(), 0x8000 | 3))
pages(9)
m.madvise(21)
if not os.fork():
    os.setuid(65534)
    print(good(9), call('swapoff', name.encode()), call('swapon', name.encode(), 0))
    os._exit(0)
os.wait()
sys.stdout.flush()
os._exit(0)
'''
        done = quire('run', '--ram', '128M', '/usr/bin/python3', '-uc', script)
        expect('errors', done.stderr, '')
        expect('output', done.stdout.splitlines(),
               ['-22 -2 -22 -22 -22', '0 -16', 'True'] + ['8000 0 [] True', '0'] * 4 + ['True -1 -1'])
        expect('status', done.returncode, 0)


def test_fallbacks():
    m = report('--fallback', 'memfd,seccomp', 'sh', '-c', FORK)['machine']
    expect('machine', (m['ram_object'], m['dispatch']), ('memfd', 'seccomp'))


def main():
    tests = [(name[5:], f) for name, f in globals().items() if name.startswith('test_')]
    print(f'1..{len(tests)}')
    bad = 0
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print(f'ok {number} - {name}', flush=True)
        except Exception as error:  # pylint: disable=broad-except
            bad += 1
            print(f'not ok {number} - {name}')
            print('# ' + str(error).replace('\n', '\n# '), flush=True)
    sys.exit(bad > 0)


main()
