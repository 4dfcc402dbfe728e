#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What lies at a user's address is reached through include/quire/uaccess.h and in no other way.

    check-user-pointers.py ROOT SOURCE...

1. In linux/ and mm/ a user's address is an integer, so nothing there may make a pointer of an integer, but
   the direct map (an address with page_offset_base in it, pages of the allocator) and the functions in
   ALLOWED. gcc's own dump of what it has read of each function tells of every such conversion, macros
   and inline functions of the headers included.
2. The pointers that u64_to_user_ptr() makes are marked __user, and sparse refuses whatever is done with one
   but to hand it on. Without sparse this half is left out, and the check says so.
3. linux/ reaches the caller's memory by uaccess.h's names: none is told `task->mm` for it.

Before that the check is tried on bad sources, each of which it must refuse.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

# A function of a header, or of a file: what its integers are, none of which is a user's address.
ALLOWED = {
    'u64_to_user_ptr': 'the one way; sparse sees to the rest',
    'ERR_PTR': 'a negative errno',
    'xa_mk_value': 'a number in an xarray, marked as such',
    'compound_head': 'a pointer to a frame with a mark in bit 0',
    'mm/anon_vma.c:page_anon_vma': "a frame's mapping without its marks",
    'page_move_anon_rmap': "a frame's mapping with its mark",
    'mm/memory.c:page_init_swapped': "a frame's mapping with its mark",
    'slab_page': "the frame behind an object of the kernel's",
    'mm/vmap_area.c:find_lowest': 'a node of an augmented tree, for comparison',
    'mm/vmap_area.c:propagate': 'a node of an augmented tree, for comparison',
    'mm/pgtable.c:free_pgd_range': 'the next table to free, a frame with a mark',
    'mm/vmalloc.c:get_vm_area': 'an address of the vmalloc area',
    'mm/vmalloc.c:vmalloc_fault': 'an address that is looked up in the vmalloc area',
    'mm/slab_debug.c:print_track': "an address of the kernel's text, for %p",
    'mm/slab_debug.c:slab_debug_alloc': "an address of the kernel's text, kept",
    'mm/slab_debug.c:slab_debug_free': "an address of the kernel's text, kept",
}

# Each must be refused: what is wrong with it, and the source.
BAD = {
    'an argument is dereferenced': '''
long bad(const unsigned long *args);
long bad(const unsigned long *args)
{
	return *(const long *)args[0];
}''',
    'an address is hidden in an inline function and arithmetic': '''
static inline char *hidden(unsigned long a)
{
	return (char *)(a + 8) - 8;
}
char bad(struct vm_area_struct *vma);
char bad(struct vm_area_struct *vma)
{
	return hidden(vma->vm_start)[1];
}''',
    'an address is handed to memcpy': '''
void bad(unsigned long addr, char *to);
void bad(unsigned long addr, char *to)
{
	memcpy(to, (void *)addr, 8);
}''',
    'the caller\'s memory by another name': '''
long bad(struct task_struct *task, unsigned long addr);
long bad(struct task_struct *task, unsigned long addr)
{
	u32 x = 0;

	return copy_to_mm(task->mm, addr, &x, sizeof(x));
}''',
}
BAD_SPARSE = {
    'a __user pointer is dereferenced': '''
u32 bad(u64 addr);
u32 bad(u64 addr)
{
	return *user_ptr(u32, addr);
}''',
    'a __user pointer becomes one of the kernel\'s': '''
void bad(u64 addr, char *to);
void bad(u64 addr, char *to)
{
	const char *from = u64_to_user_ptr(addr);

	memcpy(to, from, 8);
}''',
}
GOOD = '''
long good(const unsigned long *args);
long good(const unsigned long *args)
{
	u32 __user *to = u64_to_user_ptr(args[1]);
	u32 x;

	if (get_user(x, user_ptr(u32, args[0])) || clear_user(to, 4))
		return -EFAULT;
	return put_user(x + 1, to + 1);
}'''
HEAD = '#include <quire/uaccess.h>\n'

FUNCTION = re.compile(r'^[A-Za-z_].*?([\w.]+) \(')
ASSIGNED = re.compile(r'^\s+(.+?) = (.*);$')
TO_POINTER = re.compile(r'^\([^()]*\*[^()]*\) (\S+)$')
# What the operands of an integer are looked for in: sums, and casts of integers.
SUM = re.compile(r'^[\w.]+(?: [+-] [\w.]+)?$|^\([^()*]*\) [\w.]+$')


class Checker:
    def __init__(self, root):
        self.flags = ['-std=gnu11', '-I', root + '/include', '-I', root + '/machine/native/inline']
        self.used = set()  # of ALLOWED

    def conversions(self, source):
        """(function, statement) for each pointer that is made of an integer."""
        with tempfile.TemporaryDirectory() as d:
            subprocess.run(['gcc', *self.flags, '-w', '-fno-inline', '-fdump-tree-gimple=' + d + '/dump',
                            '-S', '-o', '/dev/null', source], check=True)
            if not os.path.exists(d + '/dump'):  # there is no function in it
                return
            with open(d + '/dump', encoding='utf-8') as f:
                dump = f.read()
        function, defined = '', {}
        for line in dump.splitlines():
            head = FUNCTION.match(line)
            if head:
                function, defined = head[1], {}
            m = ASSIGNED.match(line)
            if not m:
                continue
            defined[m[1]] = m[2]
            cast = TO_POINTER.match(m[2])
            if cast and not self.is_kernels(cast[1], defined):
                yield function, line.strip()

    @staticmethod
    def is_kernels(name, defined):
        """Whether the integer is an address of the direct map."""
        todo, seen = [name], set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            value = defined.get(name, '')
            if name.startswith('page_offset_base') or \
                    re.match(r'__get_free_pages? \(|get_zeroed_page \(', value):
                return True
            if SUM.match(value):
                todo += re.findall(r'[\w.]+', value)
        return False

    def check(self, source, path):
        """What is wrong with a file."""
        wrong = []
        for function, statement in self.conversions(source):
            keys = {function, path + ':' + function} & set(ALLOWED)
            self.used |= keys
            if not keys:
                wrong.append('%s(): a pointer of an integer: %s' % (function, statement))
        if path.startswith('linux/'):
            with open(source, encoding='utf-8') as f:
                for n, line in enumerate(f, 1):
                    if re.search(r'\b(copy_to|copy_from|clear|strncpy_from|strnlen)_mm\('
                                 r'(task|current)->mm\b', line):
                        wrong.append('line %d: uaccess.h has a name for this' % n)
        return wrong

    def sparse(self, source):
        done = subprocess.run(['sparse', *self.flags, '-Wno-decl', '-Wcast-from-as', source],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wrong = [line for line in done.stdout.splitlines() if line]
        return wrong or (['sparse fails'] if done.returncode else [])


def try_out(checker, with_sparse):
    """The check, of sources that are known to be bad or good. What it gets wrong."""
    wrong = []
    cases = [(what, text, True, checker.check) for what, text in BAD.items()]
    cases.append(('nothing', GOOD, False, checker.check))
    if with_sparse:
        cases += [(what, text, True, checker.sparse) for what, text in BAD_SPARSE.items()]
        cases.append(('nothing', GOOD, False, checker.sparse))
    with tempfile.TemporaryDirectory() as d:
        for what, text, refused, check in cases:
            with open(d + '/t.c', 'w', encoding='utf-8') as f:
                f.write(HEAD + text + '\n')
            found = check(d + '/t.c', 'linux/t.c') if check == checker.check else check(d + '/t.c')
            if bool(found) != refused:
                wrong.append('The check does not work: %s is %s: %s' %
                             (what, 'taken' if refused else 'refused', ' '.join(found)))
    return wrong


def main():
    root, sources = os.path.abspath(sys.argv[1]), sys.argv[2:]
    if not shutil.which('gcc'):
        print('SKIP: gcc is not there, whose dumps this check reads.')
        return 77
    with_sparse = bool(shutil.which('sparse'))
    checker = Checker(root)
    wrong, checked = try_out(checker, with_sparse), 0
    for source in sources:
        path = os.path.relpath(os.path.abspath(source), root)
        folder = path.split('/', maxsplit=1)[0]
        if folder not in ('linux', 'mm') or not path.endswith('.c'):
            continue
        checked += 1
        wrong += ['%s: %s' % (path, w) for w in checker.check(source, path)]
        if with_sparse:
            wrong += checker.sparse(source)
    if checked:
        wrong += ['%s: allowed without need' % f for f in ALLOWED if f not in checker.used]
    for line in wrong:
        print(line)
    print('%d files, %d objections%s.' %
          (checked, len(wrong), '' if with_sparse else '; without sparse, which is not installed'))
    return 1 if wrong or not checked else 0


if __name__ == '__main__':
    sys.exit(main())
