#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Page tables to look at: --dump-page-tables, /proc/<pid>/page_tables, and the examples.

    pagetables.py [QUIRE]

What is dumped must be the tables of x86-64 in themselves (indexes, addresses, the tables that
entries lead to), and agree with what /proc/<pid>/pagemap and maps say. The last line is
"N passed, N failed".
"""
import os
import re
import subprocess
import sys
import tempfile

from run import default_quire

HERE = os.path.dirname(os.path.abspath(__file__))
LEVELS = ('pgd', 'pud', 'pmd', 'pte')
SHIFTS = {'pgd': 39, 'pud': 30, 'pmd': 21, 'pte': 12}
LINE = re.compile(r'( *)(pgd|pud|pmd|pte)\[([0-9a-f]{3})(?:-([0-9a-f]{3}))?\] 0x([0-9a-f]{16}) (.*)')
TABLE = re.compile(r'(pud|pmd|pte) 0x([0-9a-f]+)')
PAGE = re.compile(r'(frame|zero|swap) (?:(\d+):)?0x([0-9a-f]+)(?:-0x([0-9a-f]+))?'
                  r'( PROTNONE|( USR)? (RW|ro)( PWT)?( PCD)? (NX|x)( A)?( D)?)?')
HEAD = re.compile(r'(?:page tables of (\d+) \((.*)\) before (exec|exit): )?'
                  r'cr3 0x([0-9a-f]+), (\d+) kB of tables below it')

passed = failed = 0


def check(ok, what, detail=''):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print('FAIL %s%s' % (what, ': %s' % (detail,) if detail != '' else ''))


def quire_run(*words, **kw):
    p = subprocess.run([quire, 'run', '--ram', '256M', *words], stdin=subprocess.DEVNULL,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, **kw)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def parse(lines):
    """The pages, {number: (kind, frame, attributes)}, and how many tables there are below the top."""
    pages, tables, last = {}, 0, {}
    end = -1
    for line in lines:
        m = LINE.fullmatch(line)
        assert m, 'no line of a dump: %r' % line
        level, index, addr = m[2], int(m[3], 16), int(m[5], 16)
        assert len(m[1]) == 2 * LEVELS.index(level), line
        assert (addr >> SHIFTS[level]) & 511 == index, 'index: ' + line
        assert addr & ((1 << SHIFTS[level]) - 1) == 0, 'address: ' + line
        above = LEVELS[LEVELS.index(level) - 1] if level != 'pgd' else None
        if above:
            assert addr >> SHIFTS[above] == last[above] >> SHIFTS[above], 'below another: ' + line
        last[level] = addr
        if level != 'pte':
            t = TABLE.fullmatch(m[6])
            assert t and t[1] == LEVELS[LEVELS.index(level) + 1] and int(t[2], 16) % 4096 == 0, line
            tables += 1
            continue
        p = PAGE.fullmatch(m[6])
        assert p, line
        n = int(m[4], 16) - index + 1 if m[4] else 1
        assert (int(p[4], 16) - int(p[3], 16) + 1 if p[4] else 1) == n, 'a run: ' + line
        assert addr > end, 'ascending: ' + line
        end = addr + (n - 1) * 4096
        for i in range(n):
            pages[addr // 4096 + i] = (p[1], int(p[3], 16) + i, p[5])
    return pages, tables


def blocks(text):
    """[(pid, name, when, pages)] of a file of dumps."""
    found = []
    for block in text.split('\n\n'):
        lines = block.splitlines()
        if not lines:
            continue
        m = HEAD.fullmatch(lines[0])
        assert m, 'head line: %r' % lines[0]
        pages, tables = parse(lines[1:])
        assert tables * 4 == int(m[5]), '%d tables, but %s kB' % (tables, m[5])
        found.append((int(m[1] or 0), m[2], m[3], pages))
    return found


def dumps(d):
    path = os.path.join(d, 'dump')
    option = '--dump-page-tables=' + path
    status, _, err = quire_run(option, '--', 'sh', '-c', '(exit 3); exec cat /dev/null')
    check(status == 0 and not err, 'a dump into a file', (status, err))
    found = blocks(open(path).read())
    check([(b[1], b[2]) for b in found] == [('sh', 'exit'), ('sh', 'exec'), ('cat', 'exit')],
          'before exec and exit', [b[:3] for b in found])
    check(found[1][0] == found[2][0] != found[0][0], 'pids', [b[:3] for b in found])
    check(all(len(b[3]) > 50 for b in found), 'pages', [len(b[3]) for b in found])
    status, _, err = quire_run('--dump-page-tables', '--', 'true')
    check(status == 0 and len(blocks(err)) == 1, 'a dump to standard error', err[:200])
    status, _, err = quire_run('--dump-page-tables=/nowhere/at/all', '--', 'true')
    check(status == 125 and 'No such file' in err, 'a file that cannot be', (status, err))
    # Many at once, each in one piece; and what threads and vfork share is dumped once.
    status, _, err = quire_run(option, '--cpus', '2', '--', 'bash', '-c',
                               'for i in {1..40}; do cat /dev/null & done; wait')
    found = blocks(open(path).read())
    check(status == 0 and sum(b[1] == 'cat' and b[2] == 'exit' for b in found) == 40,
          'forty at once', (status, len(found)))


LOOK = r'''
import json, mmap, os, struct, sys, threading
def words(start, n):
    fd = os.open("/proc/self/pagemap", os.O_RDONLY)
    data = os.pread(fd, 8 * n, start // 4096 * 8)
    os.close(fd)
    return struct.unpack("%dQ" % (len(data) // 8), data)
m = mmap.mmap(-1, 64 << 12, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(0, 64, 3): m[i << 12] = 1
for i in range(1, 64, 9): m[i << 12]
maps = open("/proc/self/maps").read()
pagemap = {}
tables = open("/proc/self/page_tables").read()
for line in maps.splitlines():
    start, end = (int(x, 16) for x in line.split()[0].split("-"))
    if start >> 47: continue
    for i, w in enumerate(words(start, (end - start) // 4096)):
        if w: pagemap[start // 4096 + i] = w
try:
    open("/proc/self/page_tables", "w"); wrote = "ok"
except OSError as e: wrote = e.strerror
st = os.stat("/proc/self/page_tables")
others = [open("/proc/%d/%s" % (os.getpid(), n)).readline().split()[0] for n in
          ("page_tables", "task/%d/page_tables" % os.getpid())]
json.dump([tables, pagemap, wrote, st.st_mode & 0o777, others, os.path.exists("/proc/1/page_tables")], sys.stdout)
'''


def inside():
    import json
    status, out, err = quire_run('--fill', '4k', '--', '/usr/bin/python3', '-I', '-c', LOOK)
    check(status == 0, 'a process looks at its tables', (status, err))
    tables, pagemap, wrote, mode, others, one = json.loads(out)
    pages = blocks(tables)[0][3]
    pagemap = {int(k): v for k, v in pagemap.items()}
    have_frames = any(v & ((1 << 55) - 1) for v in pagemap.values())
    wrong = [hex(k) for k, v in pagemap.items() if v >> 63 and
             (k not in pages or (have_frames and pages[k][1] != v & ((1 << 55) - 1)))]
    # The text itself was made in memory that is touched meanwhile, hence a few more there.
    check(len(pagemap) > 500 and len(wrong) < 80, 'as pagemap has it', (len(pagemap), wrong[:5]))
    check(mode == 0o400 and wrote == 'Permission denied' or os.geteuid() == 0, 'mode', (mode, wrote))
    check(others == ['cr3', 'cr3'] and not one, 'of a number, of a thread', (others, one))


def examples():
    build = os.environ.get('QUIRE_BUILD') or os.path.dirname(quire)
    p = subprocess.run([os.path.join(build, 'examples', 'walk')], stdout=subprocess.PIPE, timeout=60)
    out = p.stdout.decode()
    m = re.search(r'virtual address 0x([0-9a-f]+),.*?pte\[ *(\d+)\] = 0x([0-9a-f]+)\n'
                  r'  physical address 0x([0-9a-f]+), and there stands: (.*?)\n', out, re.S)
    check(p.returncode == 0 and m and m[5] == 'hello, frame', 'walk finds what was written', out)
    if m:
        virt, phys, entry = int(m[1], 16), int(m[4], 16), int(m[3], 16)
        check(phys & 4095 == virt & 4095 and phys >> 12 == (entry & (1 << 52) - 1) >> 12 and
              int(m[2]) == virt >> 12 & 511, 'walk: the address', m[0])
        check('pte[%s] 0x%x -> 0x%x' % (m[2], virt & ~4095, phys & ~4095) in out,
              'walk: the dump agrees')
    check('not mapped to a frame' in out, 'walk: what was not touched')
    status, out, err = quire_run('--', os.path.join(build, 'examples', 'physaddr'))
    check(status == 0 and not err, 'physaddr', (status, err))
    head, _, tables = out.partition('cr3 ')
    pages = blocks('cr3 ' + tables)[0][3]
    told = re.findall(r'(\w+) +virtual 0x([0-9a-f]+) (not present|present|physical 0x([0-9a-f]+), '
                      r'mapped (\d+) times)\n', head)
    check(len(told) == 6, 'physaddr: six places', head)
    for name, virt, what, phys, _ in told:
        virt = int(virt, 16)
        if what == 'not present':
            check(name == 'untouched' and virt // 4096 not in pages, 'physaddr: ' + name)
        elif phys:
            check(pages[virt // 4096][1] == int(phys, 16) // 4096 and
                  int(phys, 16) % 4096 == virt % 4096, 'physaddr: ' + name, (hex(virt), phys))
        else:
            check(virt // 4096 in pages and os.geteuid(), 'physaddr: ' + name, what)


def main():
    global quire
    quire = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else
                            os.environ.get('QUIRE') or default_quire())
    with tempfile.TemporaryDirectory() as d:
        for part, args in ((dumps, (d,)), (inside, ()), (examples, ())):
            try:
                part(*args)
            except Exception as e:              # a dump that cannot be parsed at all
                check(False, part.__name__, repr(e))
    print('%d passed, %d failed' % (passed, failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
