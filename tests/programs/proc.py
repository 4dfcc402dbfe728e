#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""/proc and the calls that tell of the machine: Linux's layout, Quire's figures.

    proc.py [QUIRE]

One script dumps what a guest sees, on the host and under quire. What quire gives
must have the host's keys in the host's order and the host's line format; the
figures must be those of the machine (--ram, --cpus) and move with what the guest
does. The tools that everyone reads them with must work. The last line is
"N passed, N failed".
"""
import json
import os
import re
import subprocess
import sys
import tempfile

from run import default_quire

PYTHON = '/usr/bin/python3'
RAM_MB = 512

DUMP = r'''
import json, mmap, os, resource, subprocess, sys
def read(p):
    try:
        with open(p, "rb") as f: return f.read().decode("latin-1")
    except OSError as e: return "error: " + e.strerror
def fields(p, key): return [l for l in read(p).split("\n") if l.startswith(key)][0].split()
def kb(p, key): return int(fields(p, key)[1])
d = {}
for n in ("meminfo", "vmstat", "buddyinfo", "stat", "cpuinfo", "self/maps", "self/smaps", "self/status",
          "self/stat", "self/statm", "self/cmdline", "self/comm", "self/auxv"):
    d[n] = read("/proc/" + n)
d["exe"] = os.readlink("/proc/self/exe")
d["pid"], d["ppid"] = os.getpid(), os.getppid()
d["pages"], d["avail"], d["cpus"] = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_AVPHYS_PAGES"), os.sysconf("SC_NPROCESSORS_ONLN")
d["affinity"] = len(os.sched_getaffinity(0))
def state():
    r = resource.getrusage(resource.RUSAGE_SELF)
    return {"rss": kb("/proc/self/status", "VmRSS"), "size": kb("/proc/self/status", "VmSize"),
            "anon": kb("/proc/self/status", "RssAnon"), "free": kb("/proc/meminfo", "MemFree"),
            "statm": int(read("/proc/self/statm").split()[1]) * 4, "hwm": kb("/proc/self/status", "VmHWM"),
            "minflt": r.ru_minflt, "maxrss": r.ru_maxrss, "stat_minflt": int(read("/proc/self/stat").rsplit(")", 1)[1].split()[7]),
            "smaps": sum(int(l.split()[1]) for l in read("/proc/self/smaps").split("\n") if l.startswith("Rss:")),
            "pgfault": kb("/proc/vmstat", "pgfault"), "tables": kb("/proc/self/status", "VmPTE")}
d["before"] = state()
m = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
d["mapped"] = state()
for i in range(0, 64 << 20, 4096): m[i] = 1
d["touched"] = state()
m.close()
d["unmapped"] = state()
pid = os.fork()
if not pid:
    import time; time.sleep(100)
d["child"] = {n: read("/proc/%d/%s" % (pid, n)) for n in ("status", "stat", "maps", "cmdline", "comm", "statm")}
d["child_pid"] = pid
os.kill(pid, 9); os.wait()
def tool(*a):
    try: p = subprocess.run(a, capture_output=True, text=True)
    except FileNotFoundError: return None
    return [p.returncode, p.stdout, p.stderr]
d["free"] = tool("free", "-b"); d["vmstat_tool"] = tool("vmstat", "-s"); d["ps"] = tool("ps", "-o", "pid,rss,vsz,comm", "-p", str(os.getpid()))
d["pmap"] = tool("pmap", str(os.getpid())); d["pmapx"] = tool("pmap", "-x", str(os.getpid())); d["nproc"] = tool("nproc"); d["uptime"] = tool("uptime")
for n, a in (("pmapX", ["pmap", "-X", str(os.getpid())]), ("vmstat_m", ["vmstat", "-m"]), ("vmstat_line", ["vmstat"]), ("psaux", ["ps", "aux"]),
             ("top", ["top", "-b", "-n1", "-w", "200", "-p", str(os.getpid())]), ("slabtop", ["slabtop", "-o"]), ("ipcs", ["ipcs", "-m"])):
    d[n] = tool(*a)
d["slab"] = kb("/proc/meminfo", "Slab")
for n in ("self/smaps_rollup", "self/numa_maps", "zoneinfo", "pagetypeinfo", "slabinfo", "swaps", "iomem", "sysvipc/shm"):
    d[n] = read("/proc/" + n)
json.dump(d, sys.stdout)
'''


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, ok, what, detail=''):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print('FAIL %s%s' % (what, ': %s' % (detail,) if detail != '' else ''))


def in_order(keys, reference):
    """The first of @keys that is not in @reference, or out of its order; None: all is well."""
    at = 0
    for k in keys:
        if k not in reference[at:]:
            return k
        at += reference[at:].index(k) + 1
    return None


def keys_of(text, separator=':'):
    return [line.split(separator)[0].strip() for line in text.splitlines() if line.strip()]


def same_keys(c, name, quire, host, needed, separator=':'):
    mine, reference = keys_of(quire, separator), keys_of(host, separator)
    wrong = in_order(mine, reference)
    c.check(wrong is None, name + ': keys in the order of the host', wrong)
    missing = [k for k in needed if k not in mine]
    c.check(not missing, name + ': the usual keys', missing)


def lines_match(c, name, text, pattern):
    bad = [line for line in text.splitlines() if not re.fullmatch(pattern, line)]
    c.check(text.strip() and not bad, name + ': line format', repr(bad[:2]) if bad else 'empty')


def machine_files(c, q, h, cpus):
    lines_match(c, 'meminfo', q['meminfo'], r'[\w()]+: +\d+( kB)?')
    widths = {len(x) for x in q['meminfo'].splitlines() if x.endswith('kB')}
    c.check(widths <= {len(x) for x in h['meminfo'].splitlines() if x.endswith('kB')},
            'meminfo: line width')
    same_keys(c, 'meminfo', q['meminfo'], h['meminfo'],
              ['MemTotal', 'MemFree', 'MemAvailable', 'Buffers', 'Cached', 'Active', 'Inactive',
               'SwapTotal', 'SwapFree', 'Dirty', 'AnonPages', 'Mapped', 'Shmem', 'Slab',
               'PageTables', 'Committed_AS', 'CommitLimit'])
    lines_match(c, 'vmstat', q['vmstat'], r'\w+ \d+')
    same_keys(c, 'vmstat', q['vmstat'], h['vmstat'],
              ['nr_free_pages', 'nr_anon_pages', 'nr_mapped', 'nr_file_pages', 'pgfault',
               'pgmajfault', 'pgfree', 'pgpgin', 'pgpgout'], ' ')
    lines_match(c, 'buddyinfo', q['buddyinfo'], r'Node \d+, zone +\w+ ( *\d+ ){11}')
    c.check(len(re.findall(r'^cpu\d+ ', q['stat'], re.M)) == cpus, 'stat: a line for each CPU')
    c.check(re.match(r'cpu  \d+( \d+){9}\n', q['stat']), 'stat: the first line')
    order = [k for k in (x.split()[0] for x in q['stat'].splitlines()) if not k.startswith('cpu')]
    wrong = in_order(order, [x.split()[0] for x in h['stat'].splitlines()])
    c.check(wrong is None, 'stat: keys in the order of the host', wrong)
    c.check(len(re.findall(r'^processor\t: \d+$', q['cpuinfo'], re.M)) == cpus, 'cpuinfo: CPUs')
    first_q, first_h = q['cpuinfo'].split('\n\n')[0], h['cpuinfo'].split('\n\n')[0]
    same_keys(c, 'cpuinfo', first_q, first_h, ['processor', 'model name', 'flags'])


def process_files(c, q, h):
    pattern = (r'[0-9a-f]{8,16}-[0-9a-f]{8,16} [r-][w-][x-][sp] [0-9a-f]{8,} [0-9a-f]{2,}:[0-9a-f]{2,}'
               r' \d+ *(\S.*)?')
    lines_match(c, 'maps', q['self/maps'], pattern)
    with_name = [x for x in q['self/maps'].splitlines() if re.search(r'[/\[]', x)]
    c.check(all(re.search(r'[/\[]', x).start() == 73 for x in with_name if '7f' in x[:2]),
            'maps: names start in column 74')
    for name in ('[stack]', '[heap]', '[vdso]', 'libc', 'python'):
        c.check(name in q['self/maps'], 'maps: %s' % name)
    starts = [int(x.split('-')[0], 16) for x in q['self/maps'].splitlines()]
    c.check(starts == sorted(starts), 'maps: ascending')
    head = re.compile(pattern)
    blocks = [[]]
    for line in q['self/smaps'].splitlines():
        if head.fullmatch(line):
            blocks.append([])
        else:
            blocks[-1].append(line.split(':')[0])
    reference = []
    for line in h['self/smaps'].splitlines()[1:]:
        if head.fullmatch(line):
            break
        reference.append(line.split(':')[0])
    c.check(len(blocks) > 5 and not blocks[0], 'smaps: a block for each area')
    wrong = [in_order(b, reference) for b in blocks[1:] if in_order(b, reference)]
    c.check(not wrong, 'smaps: keys in the order of the host', wrong[:1])
    c.check(all({'Size', 'Rss', 'Pss', 'Private_Dirty', 'Anonymous', 'VmFlags'} <= set(b)
                for b in blocks[1:]), 'smaps: the usual keys')
    same_keys(c, 'status', q['self/status'], h['self/status'],
              ['Name', 'State', 'Tgid', 'Pid', 'PPid', 'Uid', 'VmPeak', 'VmSize', 'VmHWM', 'VmRSS',
               'RssAnon', 'RssFile', 'RssShmem', 'VmData', 'VmStk', 'VmExe', 'VmLib', 'VmPTE',
               'Threads', 'SigQ', 'SigBlk', 'SigCgt'])
    lines_match(c, 'status', q['self/status'], r'\w+:(\t.*| +\d.*)?')
    c.check(re.search(r'^VmRSS:\t *\d+ kB$', q['self/status'], re.M), 'status: VmRSS line')
    m = re.fullmatch(r'(\d+) \((.*)\) (\w)((?: -?\d+){49})\n', q['self/stat'])
    c.check(m and int(m[1]) == q['pid'] and int(m[4].split()[0]) == q['ppid'], 'self/stat: 52 fields')
    c.check(re.fullmatch(r'\d+( \d+){6}\n', q['self/statm']), 'self/statm: 7 fields')
    for name in ('self/cmdline', 'self/comm', 'exe'):
        c.check(q[name] == h[name], name, repr(q[name]))

    def tags(text):
        data = text.encode('latin-1')
        return [int.from_bytes(data[i:i + 8], 'little') for i in range(0, len(data), 16)]
    missing = set(tags(h['self/auxv'])) - set(tags(q['self/auxv'])) - {27, 28, 51, 33}
    c.check(q['self/auxv'] and not missing, 'auxv: the host\'s entries', sorted(missing))
    child = q['child']
    c.check(re.search(r'^Pid:\t%d$' % q['child_pid'], child['status'], re.M) and
            re.search(r'^PPid:\t%d$' % q['pid'], child['status'], re.M), 'another process\'s status')
    c.check('[stack]' in child['maps'] and child['comm'] == h['child']['comm'] and
            child['cmdline'] == h['child']['cmdline'], 'another process\'s maps, comm, cmdline')


def layouts(c, q, h):
    """Line for line the host's, values masked: those of the machine stand in the same places."""
    def head(text, n):
        return text.splitlines()[:n]
    c.check(head(q['pagetypeinfo'], 4) == head(h['pagetypeinfo'], 4), 'pagetypeinfo: the head')
    lines_match(c, 'pagetypeinfo', '\n'.join(x for x in q['pagetypeinfo'].splitlines() if ', type' in x),
                r'Node {4}0, zone [ \w]{8}, type [ \w]{12} ([ \d]{6} ){11}')
    c.check(head(q['slabinfo'], 2) == head(h['slabinfo'], 2), 'slabinfo: the head')
    c.check(head(q['swaps'], 1) == head(h['swaps'], 1), 'swaps: the head')
    c.check(head(q['sysvipc/shm'], 1) == head(h['sysvipc/shm'], 1), 'sysvipc/shm: the head')
    lines_match(c, 'iomem', q['iomem'], r'(  )?[0-9a-f]{8,}-[0-9a-f]{8,} : [A-Z].*')
    lines_match(c, 'numa_maps', q['self/numa_maps'],
                r'[0-9a-f]{8,} default( file=\S+| heap| stack)?( \w+=\d+)*')
    keys = [keys_of(x['self/smaps_rollup'])[1:] for x in (q, h)]
    c.check(in_order(keys[0], keys[1]) is None and set(keys[0]) == set(keys[1]), 'smaps_rollup: keys')

    def shapes(text):
        return [re.sub(r'\d+', '#', re.sub(r' +(?=[\d#(])', ' ', x)) for x in text.splitlines()]
    mine = [x for x in shapes(q['zoneinfo']) if 'protection' not in x and not x.startswith('Node')]
    known = set(shapes(h['zoneinfo']))
    c.check(all(x in known for x in mine), 'zoneinfo: lines of the host\'s',
            [x for x in mine if x not in known][:3])


def report(c, quire):
    """What the process is told of itself is what the report says at the end."""
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, 'report')
        p = subprocess.run([quire, 'run', '--ram', '%dM' % RAM_MB, '--report', 'json', '--output', path,
                            '--', PYTHON, '-I', '-c', '''
m = bytearray(32 << 20); del m
print(*[l.split()[1] for l in open("/proc/self/status") if l.startswith(("VmHWM", "Pid"))])'''],
                           stdout=subprocess.PIPE, timeout=60)
        pid, hwm = (int(x) for x in p.stdout.split())
        process = [x for x in json.load(open(path))['processes'] if x['pid'] == pid]
    c.check(process and abs(process[0]['peak_rss_pages'] * 4 - hwm) < 1024,
            'VmHWM is the peak RSS of the report', (hwm, process))


def figures(c, q, cpus):
    total = int(re.search(r'MemTotal: +(\d+)', q['meminfo'])[1])
    c.check(RAM_MB * 1024 * 0.9 < total <= RAM_MB * 1024, 'MemTotal is --ram', total)
    c.check(abs(q['pages'] * 4 - total) < 64, 'sysinfo agrees', q['pages'] * 4)
    c.check(q['cpus'] == cpus and q['affinity'] == cpus, '--cpus', (q['cpus'], q['affinity']))
    c.check(q['nproc'][1].strip() == str(cpus), 'nproc', q['nproc'])
    b, m, t, u = (q[k] for k in ('before', 'mapped', 'touched', 'unmapped'))
    mb64 = 64 << 10
    c.check(mb64 <= m['size'] - b['size'] < mb64 + 1024, 'VmSize grows at mmap', m['size'] - b['size'])
    c.check(m['rss'] - b['rss'] < 1024, 'VmRSS does not')
    c.check(mb64 <= t['rss'] - m['rss'] < mb64 + 2048, 'VmRSS grows at touch', t['rss'] - m['rss'])
    c.check(mb64 <= t['anon'] - m['anon'] < mb64 + 2048, 'RssAnon, too')
    c.check(m['free'] - t['free'] >= mb64 * 0.95, 'MemFree falls', m['free'] - t['free'])
    c.check(t['statm'] == t['rss'] or abs(t['statm'] - t['rss']) < 256, 'statm agrees')
    c.check(abs(t['smaps'] - t['rss']) < 512, 'smaps agrees', (t['smaps'], t['rss']))
    c.check(t['minflt'] > m['minflt'] and t['stat_minflt'] >= t['minflt'] - 64, 'minor faults count')
    c.check(t['pgfault'] > m['pgfault'], 'pgfault counts')
    c.check(t['hwm'] >= t['rss'] - 256 and t['maxrss'] >= t['rss'] - 256, 'peak RSS')
    c.check(t['tables'] >= m['tables'] + 120, 'page tables count', (m['tables'], t['tables']))
    c.check(u['rss'] - b['rss'] < 2048 and u['free'] - t['free'] >= mb64 * 0.9, 'all is back at munmap')


def tools(c, q, h):
    absent = [k for k in q if q[k] is None]
    if absent:
        print('# not here, so not tested, nor are the others of procps:', *absent)
        return
    for name in ('free', 'vmstat_tool', 'ps', 'pmap', 'pmapx', 'uptime'):
        code, out, err = q[name]
        c.check(code == 0 and not err, name + ' works', (code, err))
        if name in ('free', 'vmstat_tool'):
            c.check(len(out.splitlines()) == len(h[name][1].splitlines()), name + ': its lines')
    m = re.search(r'Mem: +(\d+)', q['free'][1])
    c.check(m and int(m[1]) <= RAM_MB << 20, 'free tells of --ram')
    m = re.search(r'^ *%d +(\d+) +(\d+) ' % q['pid'], q['ps'][1], re.M)
    c.check(m and int(m[1]) > 1000, 'ps finds the process and its RSS')
    m = re.search(r'total +(\d+)K', q['pmap'][1])
    c.check(m and int(m[1]) > 5000, 'pmap adds up')
    for name in ('pmapX', 'vmstat_m', 'vmstat_line', 'psaux', 'top', 'slabtop', 'ipcs'):
        code, out, err = q[name]
        c.check(code == 0 and not err, name + ' works', (code, err))
        c.check(out.split()[:1] == h[name][1].split()[:1] or name in ('pmapX', 'top'),
                name + ': begins as on the host', out[:80])
    rollup = int(re.search(r'Rss: +(\d+)', q['self/smaps_rollup'])[1])
    lines = q['pmapX'][1].splitlines()
    c.check(lines[1].split() == h['pmapX'][1].splitlines()[1].split(), 'pmap -X: its columns', lines[1])
    rss = int(lines[-1].split()[1])
    c.check(abs(rss - rollup) < 512, 'pmap -X agrees with smaps_rollup', (rss, rollup))
    m = re.search(r'^ *%d .*?(\d+) +(\d+) +\d+ [A-Z] ' % q['pid'], q['top'][1], re.M)
    c.check(m and abs(int(m[2]) - rollup) < 1024, 'top finds the process and its RSS',
            (m and m[0], rollup))
    m = re.search(r'Mem : +([\d.]+) total', q['top'][1])
    c.check(m and RAM_MB * 0.9 < float(m[1]) <= RAM_MB, 'top tells of --ram', m and m[0])
    m = re.search(r'^\S+ +%d +\S+ +\S+ +\d+ +(\d+) ' % q['pid'], q['psaux'][1], re.M)
    c.check(m and abs(int(m[1]) - rollup) < 1024, 'ps aux finds the process and its RSS')
    m = re.search(r'Total Size.*/ ([\d.]+)K', q['slabtop'][1])
    c.check(m and q['slab'] * 0.7 < float(m[1]) < q['slab'] * 1.3, 'slabtop agrees with meminfo',
            (m and m[0], q['slab']))
    caches = {x.split()[0] for x in q['slabinfo'].splitlines()[2:]}
    told = {x.split()[0] for x in q['vmstat_m'][1].splitlines()[1:] if not x.startswith('Cache')}
    c.check(len(told) > 5 and all(any(y.startswith(x) for y in caches) for x in told),
            'vmstat -m names the caches', sorted(told)[:3])


def dump(before):
    with tempfile.TemporaryDirectory() as d:
        p = subprocess.run(before + [PYTHON, '-I', '-c', DUMP], cwd=d, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    try:
        return json.loads(p.stdout)
    except ValueError:
        print('status %d, no dump: %s' % (p.returncode, p.stderr.decode(errors='replace')[-2000:]))
        return None


def main():
    quire = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                            os.environ.get('QUIRE') or default_quire())
    c = Checks()
    host = dump([])
    for cpus in (1, 2):
        q = dump([quire, 'run', '--ram', '%dM' % RAM_MB, '--cpus', str(cpus), '--report', 'none', '--'])
        c.check(q is not None, '--cpus %d: the dump' % cpus)
        if q is None:
            continue
        for part in ((machine_files, q, host, cpus), (process_files, q, host), (figures, q, cpus),
                     (layouts, q, host), (tools, q, host)):
            try:
                part[0](c, *part[1:])
            except Exception as e:              # a file that cannot be parsed at all
                c.check(False, '%s, --cpus %d' % (part[0].__name__, cpus), repr(e))
    report(c, quire)
    print('%d passed, %d failed' % (c.passed, c.failed))
    return 1 if c.failed else 0


if __name__ == '__main__':
    sys.exit(main())
