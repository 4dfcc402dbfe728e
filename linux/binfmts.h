/* SPDX-License-Identifier: MIT */
/* binfmts.h - what exec.c and the loaders of executable formats share. */
#ifndef QUIRE_LINUX_BINFMTS_H
#define QUIRE_LINUX_BINFMTS_H

#include <quire/sched.h>

enum executable_stack {
	EXSTACK_DEFAULT,
	EXSTACK_DISABLE_X,
	EXSTACK_ENABLE_X
};

/* The last word of the stack stays zero, above the strings. */
#define ARG_TOP_GAP sizeof(void *)

u64 get_random_u64(void);

/* Put one more string below the others. -E2BIG, -ENOMEM. */
int bprm_push_string(struct linux_binprm *bprm, const char *s);
/* Take away the lowest string, argv[0]. */
void bprm_pop_string(struct linux_binprm *bprm);
/* Bytes of the string at offset pos of the argument area, without the NUL. */
unsigned long bprm_strlen(struct linux_binprm *bprm, unsigned long pos);

/* The fresh mm with its layout; from here on Linux can only kill. -ENOMEM. */
int begin_new_exec(struct linux_binprm *bprm);
/* The stack VMA with the strings on it; bprm->sp is then the lowest string. */
int setup_arg_pages(struct linux_binprm *bprm, enum executable_stack executable);
/* All segments are mapped: give up what was held free for the vdso. */
int finalize_exec(struct linux_binprm *bprm);

/* buf: the first BINPRM_BUF_SIZE bytes of the file, zeros beyond its end. */
int load_elf_binary(struct linux_binprm *bprm, struct file *file, const char *buf);
/* Rewrites the arguments and bprm->interp_path, to be opened next. */
int load_script(struct linux_binprm *bprm, const char *buf);

#endif
