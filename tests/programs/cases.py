# SPDX-License-Identifier: MIT
"""The programs that must behave under quire as they do on the host.

A case is a shell script (run by `shell`) that finds the guest programs in $G and
prepared input in $DATA, and works in a new, empty directory. Its output, errors
and exit status are compared; so are the named files it leaves, from outside.
"""

# What a shell prints about a job: 'line 3: 4242 Killed'.
JOB_LINE = ((rb'(line \d+:) +\d+', rb'\1 PID'),)


class Case:
    def __init__(self, name, script, *, shell='/bin/sh', argv=None, quick=True, timeout=60,
                 files=(), dialogue=None, options=(), squeeze=None, may_leave=False, data=None,
                 max_seconds=None, expect=None, needs=None):
        self.name, self.script, self.shell = name, script, shell
        self.argv = argv                # instead of a script
        self.quick, self.timeout = quick, timeout
        self.files = files
        self.dialogue = dialogue        # (expected, answer) pairs: runs on a terminal
        self.options = list(options)    # more options for quire run
        self.squeeze = JOB_LINE if squeeze is None else squeeze  # (regex, replacement) on the output
        self.may_leave = may_leave      # on the host a process outlives the command
        self.data = data                # name of a file that run.py prepares
        self.max_seconds = max_seconds  # under quire
        self.needs = needs              # a directory to write to, without which there is no test
        self.expect = expect or {}      # what differs from the host on purpose

    def command(self):
        return self.argv or [self.shell, '-c', self.script]


def guest(name, *args, program=None, **kw):
    return Case(name, None, argv=['$G/' + (program or name), *args], **kw)


PIDS = ((rb' *\b\d{2,7}\b', b' PID'),)
PY = '/usr/bin/python3'

CASES = [
    # Guest programs, each a list of checks.
    guest('tiny', 'one', 'two'),
    guest('cow'),
    guest('cow-static'),
    guest('cow-static-pie'),
    guest('callsites'),
    guest('shm'),
    guest('sysctl'),
    guest('core'),
    guest('swap', options=['--ram', '64M', '--swap', '64M'], timeout=120),
    guest('swap-none', program='swap', timeout=120),
    guest('swap-little', program='swap', options=['--ram', '64M', '--swap', '1M,prio=1',
                                                  '--swap', '512K,prio=1'], timeout=120),
    Case('descriptors', r'''
ulimit -n 1024
/usr/bin/python3 -I -c '
import errno, os
held = []
try:
    while True:
        held.append(os.open("/dev/null", 0))
        os.fstat(held[-1])
except OSError as e:
    print(errno.errorcode[e.errno], len(held) > 900)
' 2>&1
'''),
    # A file system whose files were used can be unmounted.
    Case('umount', r'''
exec 2>&1
unshare -m sh -c 'mkdir m && mount -t tmpfs none m' || { echo cannot mount; exit 0; }
unshare -m sh -c 'mount -t tmpfs none m && cp /bin/true /bin/ls m && m/true && m/ls m && umount m; echo $?'
'''),
    guest('smaps', timeout=120),
    guest('efault'),
    guest('badptr', quick=False),
    guest('segv'),
    guest('jit'),
    guest('stack'),
    guest('memory'),
    guest('vmcalls'),
    guest('limits'),
    guest('aslr'),
    guest('seals', files=('punched',)),
    guest('membar'),
    guest('mempol', options=['--fill', '4k']),
    guest('frag', timeout=120),
    guest('threadfork', timeout=120),
    guest('forktree', '100', '100', '8', options=('--ram', '32M', '--swap', '128M'),
          timeout=120),
    # Files of twice the machine's memory.
    guest('thrash', '60', options=('--ram', '32M'), timeout=120),
    guest('thrash-private', '-a', '-p', '2', '60', program='thrash',
          options=('--ram', '32M', '--swap', '256M'), timeout=120),
    guest('thrash-shared', '-s', '-p', '2', '60', program='thrash',
          options=('--ram', '32M', '--swap', '256M'), timeout=120),
    guest('thrash-many', '-p', '20', '60', program='thrash', options=('--ram', '32M'),
          quick=False, timeout=200),
    guest('execthread'),
    guest('execrace'),
    guest('execrace-long', '1000', program='execrace', quick=False, timeout=200),
    guest('futexfork'),
    guest('robust'),
    guest('truncate'),
    guest('coherence'),
    guest('shootdown', timeout=120),
    guest('device'),
    guest('procmem'),
    guest('mapfiles'),
    guest('pages', options=['--fill', '4k']),
    guest('userfaultfd'),
    guest('usercopy'),
    guest('dirty', files=('by-msync', 'by-fsync', 'by-munmap', 'by-fixed', 'by-exec', 'by-kill',
                          'cut', 'mixed', 'by-exit', 'by-unlinked')),
    guest('spawn'),
    guest('eintr'),
    guest('fpu', timeout=120),
    guest('sigload', timeout=120),
    guest('sigsync'),
    guest('sigstress'),
    guest('sigcalls'),
    guest('sigrules'),
    guest('sigstop'),
    guest('pipes', timeout=120),
    guest('events'),
    guest('many', timeout=120),
    guest('deadly'),
    guest('killstorm', 'storm', '250', '1', timeout=120),
    guest('killstorm-long', 'storm', '10000', '2', program='killstorm', quick=False, timeout=600),
    guest('crowd-processes', 'processes', '500', program='crowd'),
    guest('crowd-threads', 'threads', '1000', program='crowd'),
    guest('crowd-bomb', 'bomb', program='crowd'),
    guest('crowd-short', 'short', '9000', program='crowd', quick=False),
    guest('locks', '1'),
    Case('asan', 'ASAN_OPTIONS=detect_leaks=0 exec $G/asan'),
    Case('asan-finds', 'ASAN_OPTIONS=detect_leaks=0 $G/asan overflow 2>report; echo $?; '
         'grep -c "heap-buffer-overflow" report; grep -o "WRITE of size 1" report'),

    # Exit statuses.
    Case('statuses', '''
        for i in $(seq 0 17 255) 255; do $G/status exit $i; echo $i $?; done
        for s in 1 2 3 4 6 8 9 11 13 14 15 24 31; do ($G/status kill $s) 2>/dev/null; echo $s $?; done
        $G/status segv 2>/dev/null; echo $?''', shell='/bin/bash'),
    guest('exit-3', 'exit', '3', program='status'),
    guest('exit-255', 'exit', '255', program='status'),
    guest('killed-9', 'kill', '9', program='status'),
    guest('killed-15', 'kill', '15', program='status'),
    guest('killed-11', 'segv', program='status'),

    # A process left behind ends with the machine, unless it is waited for.
    guest('orphan', 'orphan', '30000', program='status', files=('orphan-finished',),
          may_leave=True, max_seconds=20, expect={'orphan-finished': 'No such file or directory'}),
    guest('orphan-wait', 'orphan', '300', program='status', files=('orphan-finished',),
          may_leave=True, options=['--wait'],
          expect={'orphan-finished': '0 d41d8cd98f00b204e9800998ecf8427e'}),

    # Shells.
    Case('busybox', '''
        b=busybox
        $b seq 1 5000 | $b awk '{ s += $1 * $1 } END { print s }'
        $b find /usr/include/linux -name '*.h' | $b sort | $b md5sum
        $b seq 1 20000 | $b sed 's/1/one/g' | $b grep -c one
        $b seq 1 3000 | $b sort -rn | $b head -5 | $b tr '\\n' ' '; echo
        $b tar -cf - -C /usr/include linux | $b gzip | $b gunzip | $b tar -tf - | $b sort | $b md5sum
        $b dd if=/dev/zero bs=64k count=100 2>/dev/null | $b md5sum
        $b ls -l /etc/passwd | $b wc -l
        echo 'int x;' > a; $b cp a b; $b diff a b && echo same; $b rm a b; $b ls | $b wc -l
        $b sh -c 'for i in 1 2 3; do (echo sub $i; exit $i); echo $?; done'
        $b printf '%s\\n' c b a | $b sort | $b xargs echo
        $b false; echo $?; $b timeout 1 $b sleep 5; echo $?
        $b yes | $b head -100000 | $b md5sum''', shell='/bin/sh'),
    Case('busybox-sh', '''
        i=0; while [ $i -lt 300 ]; do i=$((i + 1)); x=$(echo $i | busybox cat); done; echo $x
        (trap 'echo bye' EXIT; echo in) | busybox cat; busybox ls / | busybox head -2 >/dev/null
        cat <<END | busybox tr a-z A-Z
here is a document
END
        ''', shell='/usr/bin/busybox sh'),
    Case('bash', '''
        trap 'echo usr1' USR1; kill -USR1 $$; trap 'echo exit' EXIT
        f() { local x=$1; ((x > 1)) && echo $((x * $(f $((x - 1))))) || echo 1; }
        f 10
        a=({1..1000}); echo ${#a[@]} ${a[@]: -1}; declare -A m=([k]=v); echo ${m[k]}
        (exit 7) || echo sub $?; { echo a; echo b >&2; } 2>&1 | sort
        for i in 1 2 3 4; do (sleep 0.0$i; exit $i) & p[i]=$!; done
        for i in 1 2 3 4; do wait ${p[i]}; echo wait $?; done
        diff <(seq 10) <(seq 10) && echo equal
        coproc cat; echo hello >&${COPROC[1]}; read -u ${COPROC[0]} l; echo $l; eval "exec ${COPROC[1]}>&-"
        wait; (kill -TERM $BASHPID); echo term $?
        trap 'echo int; exit 3' INT; (kill -INT $BASHPID; sleep 1); echo $?
        read -t 0.05 < <(sleep 1); echo read $((($? > 128)))
        set -o pipefail; false | true; echo pipe $?; printf '%s\\n' "${PIPESTATUS[@]}"
        mapfile -t lines < <(seq 2000); echo ${#lines[@]}
        x=$(for i in {1..200}; do echo $i; done | tail -1); echo $x; ulimit -n >/dev/null''',
         shell='/bin/bash'),
    Case('bash-jobs', '''
        set -m
        sleep 100 & sleep 101 &
        jobs | sed 's/ *&$//'; kill %1; wait %1; echo $?
        kill -STOP %2; sleep 0.2; jobs %2; kill -CONT %2; kill %2; wait %2; echo $?
        (sleep 0.1; exit 5) & fg >/dev/null; echo fg $?
        sh -c 'kill -STOP $$; exit 6'; echo stopped $?; jobs | wc -l; fg >/dev/null; echo $?
        sh -c 'kill -INT $$'; echo $?; cat /dev/null; [ -t 0 ] && echo tty; stty size >/dev/null; echo $?
        trap 'echo winch' WINCH; kill -WINCH $$; true''', shell='/bin/bash', dialogue=[],
         squeeze=PIDS),
    Case('bash-interactive', None,
         argv=['/usr/bin/env', 'PS1=% ', '/bin/bash', '--norc', '--noprofile', '--noediting', '-i'],
         dialogue=[(b'% ', b'echo h$((1+1))i\n'), (b'h2i\r\n% ', b'sleep 100\n'),
                   (b'sleep 100\r\n', b'\x03'), (b'% ', b'echo int $?\n'),
                   (b'int 130\r\n% ', b'sleep 100\n'), (b'sleep 100\r\n', b'\x1a'),
                   (b'% ', b'jobs\n'), (b'% ', b'bg; kill %1; wait; echo gone $?\n'),
                   (b'gone', b''), (b'% ', b'cat\n'), (b'cat\r\n', b'line\n'),
                   (b'line\r\nline\r\n', b'\x04'), (b'% ', b'exit 4\n')],
         squeeze=PIDS + ((rb'(?m)^.*Terminated.*\n', b''),)),

    # Languages.
    Case('python', None, argv=[PY, '-c', '''
import threading, subprocess, mmap, os, hashlib, tempfile, json, zlib, random, re, select, signal
r = []
def work(i):
    h = hashlib.sha256()
    for k in range(200): h.update(bytes(str(i * k), "ascii") * 50)
    r.append((i, h.hexdigest()))
t = [threading.Thread(target=work, args=(i,)) for i in range(8)]
[x.start() for x in t]; [x.join() for x in t]
print(hashlib.md5(json.dumps(sorted(r)).encode()).hexdigest())
print(subprocess.run(["sh", "-c", "cat; exit 3"], input=b"through cat", capture_output=True))
print(subprocess.check_output(["/bin/echo"] + [str(i) for i in range(500)]).__len__())
m = mmap.mmap(-1, 1 << 20); m[1000:1005] = b"hello"; print(m.find(b"hello"), m[:1])
if os.fork() == 0:
    m[0:5] = b"child"; os._exit(0)
os.wait(); print(m[0:5])
with open("f", "wb+") as f:
    f.truncate(100000); fm = mmap.mmap(f.fileno(), 0); fm[5000:5004] = b"data"; fm.flush()
    f.seek(5000); print(f.read(4)); f.write(b"more"); f.flush(); print(fm[5004:5008]); fm.resize(200000); print(len(fm))
random.seed(5); d = bytes(random.randrange(256) for _ in range(200000)); print(zlib.crc32(zlib.decompress(zlib.compress(d))))
x = {i: str(i) for i in range(200000)}; print(sum(len(v) for v in x.values())); del x
signal.signal(signal.SIGALRM, lambda *a: print("alarm")); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()
print(sorted(os.listdir("."))); print(re.sub("[aeiou]", "", "regular expressions"))
print(os.sysconf("SC_PAGESIZE"), len(open("/proc/self/maps").read()) > 100)
'''], files=('f',)),
    Case('python-multiprocessing', None, argv=[PY, '-c', '''
import multiprocessing as mp, multiprocessing.shared_memory as sm
def square(x): return x * x
def count(v, n):
    for _ in range(n):
        with v.get_lock(): v.value += 1
def fill(name, i):
    s = sm.SharedMemory(name=name); s.buf[i * 100:(i + 1) * 100] = bytes([i]) * 100; s.close()
if __name__ == "__main__":
    mp.set_start_method("fork")
    with mp.Pool(4) as p: print(sum(p.map(square, range(5000))))
    v = mp.Value("i", 0); ps = [mp.Process(target=count, args=(v, 500)) for _ in range(4)]
    [p.start() for p in ps]; [p.join() for p in ps]; print(v.value, [p.exitcode for p in ps])
    q = mp.Queue(); p = mp.Process(target=lambda: [q.put("x" * i) for i in range(0, 50000, 1000)]); p.start()
    print(sum(len(q.get()) for _ in range(50))); p.join()
    a, b = mp.Pipe(); p = mp.Process(target=lambda: (b.send(list(range(10000))), b.close())); p.start()
    print(len(a.recv())); p.join()
    s = sm.SharedMemory(create=True, size=1000)
    ps = [mp.Process(target=fill, args=(s.name, i)) for i in range(10)]; [p.start() for p in ps]; [p.join() for p in ps]
    print(sum(s.buf)); s.close(); s.unlink()
    e = mp.Event(); p = mp.Process(target=e.wait); p.start(); e.set(); p.join(); print(p.exitcode)
    p = mp.Process(target=lambda: __import__("time").sleep(100)); p.start(); p.terminate(); p.join(); print(p.exitcode)
'''], timeout=90, needs='/dev/shm'),
    Case('sqlite', '''
        sqlite3 db <<'END'
PRAGMA journal_mode=WAL;
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO t SELECT i, 'row number ' || i, i * 7919 % 10007 FROM n;
COMMIT;
CREATE INDEX i ON t(c);
SELECT count(*), sum(c), max(length(b)) FROM t;
SELECT a, b FROM t WHERE c = 77 ORDER BY a LIMIT 3;
PRAGMA mmap_size=100000000;
SELECT sum(a * c) FROM t;
DELETE FROM t WHERE a % 3 = 0;
VACUUM;
PRAGMA integrity_check;
END
        sqlite3 db 'SELECT count(*) FROM t; PRAGMA integrity_check' ''', timeout=120, files=('db',)),
    Case('sqlite-memory', '''
        sqlite3 :memory: <<'END'
CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c INTEGER);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO t SELECT i, 'row number ' || i, i * 7919 % 10007 FROM n;
CREATE INDEX i ON t(c);
SELECT count(*), sum(c) FROM t;
PRAGMA integrity_check;
END''', timeout=120),
    Case('perl', None, argv=['/usr/bin/perl', '-e', '''
use strict; my %h; $h{$_ % 977} .= chr(65 + $_ % 26) for 1..200000;
print length(join "", map { $h{$_} } sort keys %h), "\\n";
my $t = "the quick brown fox " x 20000; my $n = () = $t =~ /\\b\\w*o\\w*\\b/g; print "$n\\n";
my @a = sort { $a <=> $b } map { ($_ * 7919) % 100003 } 1..100000; print "$a[0] $a[-1]\\n";
for my $i (1..5) { my $pid = fork; if (!$pid) { exit $i } waitpid $pid, 0; print $? >> 8, "\\n" }
print `echo from a shell`; open my $p, "|-", "sort -n" or die; print $p "$_\\n" for reverse 1..5; close $p;
local $SIG{ALRM} = sub { print "alarm\\n" }; alarm 1; select undef, undef, undef, 3;
open my $f, ">", "out"; print $f "x" x 100000; close $f; print -s "out", "\\n"; exit 9''']),
    Case('node', None, argv=['/usr/bin/node', '-e', '''
const { Worker, isMainThread } = require("worker_threads"), cp = require("child_process"), crypto = require("crypto"), fs = require("fs"), zlib = require("zlib");
function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2) } console.log(fib(27));
let a = []; for (let i = 0; i < 300000; i++) a.push({ i, s: "x" + i }); console.log(a.filter(x => x.i % 7 == 0).length); a = null;
console.log(crypto.createHash("sha256").update(Buffer.alloc(1 << 20, 7)).digest("hex"));
fs.writeFileSync("n", Buffer.alloc(100000, 65)); console.log(fs.statSync("n").size, zlib.gunzipSync(zlib.gzipSync(fs.readFileSync("n"))).length);
console.log(cp.execSync("echo child; exit 0").toString().trim(), cp.spawnSync("sh", ["-c", "exit 5"]).status);
const w = new WebAssembly.Module(Uint8Array.of(0,97,115,109,1,0,0,0,1,7,1,96,2,127,127,1,127,3,2,1,0,7,7,1,3,97,100,100,0,0,10,9,1,7,0,32,0,32,1,106,11));
console.log(new WebAssembly.Instance(w).exports.add(40, 2));
let left = 3, sum = 0; for (let i = 0; i < 3; i++) { const w = new Worker("const{parentPort,workerData}=require(`worker_threads`);let s=0;for(let k=0;k<1e6;k++)s+=k%(workerData+2);parentPort.postMessage(s)", { eval: true, workerData: i });
w.on("message", m => { sum += m; }); w.on("exit", () => { if (!--left) { console.log(sum); setTimeout(() => { console.log("later"); process.exit(6) }, 20) } }) }
'''], timeout=120),
    Case('gcc', '''
        cat > a.h <<'END'
int twice(int);
END
        cat > a.c <<'END'
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "a.h"
static int cmp(const void *a, const void *b) { return *(int *)a - *(int *)b; }
int main(int c, char **v) { int x[1000]; for (int i = 0; i < 1000; i++) x[i] = i * 7919 % 1009;
  qsort(x, 1000, sizeof *x, cmp); printf("%d %d %s\\n", twice(x[500]), c, v[1]); return twice(8); }
END
        echo '#include "a.h"
int twice(int x) { return 2 * x; }' > b.c
        gcc -O2 -Wall -c a.c && gcc -O2 -c b.c && gcc -o prog a.o b.o && ./prog argument; echo $?
        gcc -O2 -static -o prog2 a.c b.c && ./prog2 static; echo $?
        gcc -O1 -shared -fPIC -o libb.so b.c && gcc -o prog3 a.c -L. -lb -Wl,-rpath,. && ./prog3 shared; echo $?
        echo 'int f( {' > bad.c; gcc -c bad.c; echo $?; nm prog | grep -c ' T '; md5sum prog prog2''',
         timeout=120),
    Case('make', '''
        for i in 1 2 3 4 5 6; do echo "int f$i(void) { return $i; }" > f$i.c; done
        printf 'OBJ = $(patsubst %%.c,%%.o,$(wildcard f*.c))\\nall: lib.a\\nlib.a: $(OBJ)\\n\\t@ar rcsD $@ $^\\n%%.o: %%.c\\n\\t@gcc -c -o $@ $<\\n' > Makefile
        make -j4 && ar t lib.a | sort | tr '\\n' ' ' && make -q && echo up to date''', timeout=120),

    # Tools.
    Case('tar', 'tar -C /usr -cf - include | gzip -1 | gunzip | md5sum', quick=False, timeout=300),
    Case('tar-part', 'tar -C /usr/include -cf - linux | gzip | gunzip | md5sum; '
         'tar -C /usr/include -cf - asm-generic | xz -1 -T2 | xz -d | md5sum; '
         'mkdir x && tar -C /usr/include -cf - linux | tar -C x -xf - && '
         'diff -r /usr/include/linux x/linux && echo same', timeout=120),
    Case('git', '''
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
        export GIT_AUTHOR_DATE='2001-01-01T00:00:00Z' GIT_COMMITTER_DATE='2001-01-01T00:00:00Z'
        export GIT_CONFIG_NOSYSTEM=1
        git init -q -b main . && for i in $(seq 50); do seq $i 500 > f$i; done && git add . && git commit -qm one
        for i in $(seq 8); do echo $i >> f$i; git commit -qam "change $i"; done
        git log --oneline | cat; git checkout -q -b side HEAD~3; echo z > z; git add z; git commit -qm z
        git merge -q --no-edit main; git log --oneline --graph | head -5; git diff HEAD~1 --stat | tail -1
        git gc -q; git fsck --full 2>&1; git rev-parse HEAD; git status --short | wc -l; git grep -c 499 | wc -l
        git clone -q . ../"$(basename "$PWD")"/c && git -C c log --oneline | wc -l''', timeout=120),
    Case('sort', 'sort $DATA/lines | md5sum; sort -n -k2 --parallel=2 $DATA/lines | md5sum',
         quick=False, timeout=400, data='lines'),
    Case('sort-part', 'head -c 8000000 $DATA/lines | sort | md5sum; '
         'head -c 8000000 $DATA/lines | sort -u -k2 --parallel=2 | wc', data='lines', timeout=90),
    Case('coreutils', '''
        seq 100000 | shuf --random-source=/etc/passwd 2>/dev/null | sort -n | md5sum
        seq 30000 | split -l 1000 - part. && cat part.* | md5sum; ls part.* | wc -l
        dd if=/dev/zero of=z bs=1M count=20 status=none && md5sum z && cp z y && cmp z y && truncate -s 5000 y && wc -c y
        cp --sparse=always z s; cmp z s; stat -c %s s; ln -s z l && readlink l; tac part.aa | head -1
        od -A d -t x1 /etc/hostname | tail -1 >/dev/null; printf '%s\\n' a b c | tee t | wc -l; comm -12 t t | wc -l
        timeout 0.2 sleep 9; echo $?; timeout -s KILL 0.2 sleep 9; echo $?; nice -n 5 true; echo $?
        env -i A=b env; seq 5 | xargs -P2 -I{} echo {} | sort; yes | head -c 3000000 | cksum; factor 1234567890123
        sha256sum /bin/ls | cut -c1-20; expr 3 + 4; mktemp -u XXX | wc -c; sleep 0.1; nproc --all >/dev/null; date -u -d @0
        ''', shell='/bin/bash'),
    Case('awk-sed-grep', '''
        awk 'BEGIN { for (i = 0; i < 300000; i++) a[i % 5003] += i; for (k in a) s += a[k]; print s }'
        seq 100000 | sed -n '/7$/{s/^/x/;p}' | md5sum; grep -r 'define' /usr/include/linux | wc -l
        find /usr/include/linux -type f | xargs -P2 -n20 cat | wc -c; bc <<END
2^1000 % 99991
END''', timeout=90),

    # exec.
    Case('scripts', r'''
        printf '#!/bin/sh\necho script "$@"; exit 3\n' > s; chmod +x s; ./s a 'b c'; echo $?
        printf '#!%s/s -x\n' "$PWD" > t; chmod +x t; ./t one | sed "s:$PWD::g"; echo $?
        printf 'echo no hash bang $1\n' > u; chmod +x u; ./u yes; echo $?
        printf '#!/nonexistent\n' > v; chmod +x v; ./v 2>/dev/null; echo $?
        printf '#!/usr/bin/env -S python3 -u\nprint(5)\n' > w; chmod +x w; ./w; echo $?
        printf 'plain' > x; ./x 2>/dev/null; echo $?; ./nothing 2>/dev/null; echo $?; / 2>/dev/null; echo $?
        : > e; chmod +x e; ./e; echo $?''', shell='/bin/bash'),
    Case('missing', None, argv=['./no-such-program'], expect={'status': 127, 'any output': True}),
    Case('not-executable', None, argv=['/etc/passwd'], expect={'status': 126, 'any output': True}),
    Case('directory', None, argv=['/'], expect={'status': 126, 'any output': True}),
    Case('by-path', None, argv=['echo', 'found', 'in', 'PATH']),
    Case('relative', 'cp /bin/echo ./e && ./e relative && (mkdir d; cd d; ../e deeper)'),
    Case('stdin-closed', 'cat <&- 2>&1; echo $?; echo x >&- 2>/dev/null; echo $?', shell='/bin/bash'),
    Case('system-view', '''
        cat /proc/self/comm; tr '\\0' ' ' < /proc/self/cmdline; echo; readlink /proc/self/exe
        head -c 4 /proc/self/exe | od -c | head -1; ls /proc/self/fd | wc -l; wc -l < /proc/filesystems
        cat /proc/sys/kernel/ostype; uname -s -m; getconf PAGESIZE; id -u; pwd | wc -l; umask; ls /proc/self/task | wc -l'''),
]
