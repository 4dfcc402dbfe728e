/* SPDX-License-Identifier: MIT */
/* misc.c - system calls on the caller itself: exit, prctl, arch_prctl, parent. */
#include <quire/string.h>

#include "callsite.h"
#include "signal.h"

#define PR_THP_DISABLE_EXCEPT_ADVISED 2ul
#define ARCH_SET_GS 0x1001
#define ARCH_SET_FS 0x1002
#define ARCH_GET_FS 0x1003
#define ARCH_GET_GS 0x1004
#define ARCH_GET_CPUID 0x1011
#define ARCH_SET_CPUID 0x1012

enum {
	PR_SET_PDEATHSIG = 1,
	PR_GET_PDEATHSIG,
	PR_GET_DUMPABLE,
	PR_SET_DUMPABLE,
	PR_GET_UNALIGN,
	PR_GET_KEEPCAPS = 7,
	PR_SET_KEEPCAPS,
	PR_GET_FPEMU,
	PR_GET_FPEXC = 11,
	PR_GET_TIMING = 13,
	PR_SET_TIMING,
	PR_SET_NAME,
	PR_GET_NAME,
	PR_GET_ENDIAN = 19,
	PR_GET_SECCOMP = 21,
	PR_SET_SECCOMP,
	PR_CAPBSET_READ,
	PR_CAPBSET_DROP,
	PR_GET_TSC,
	PR_SET_TSC,
	PR_GET_SECUREBITS,
	PR_SET_SECUREBITS,
	PR_SET_TIMERSLACK,
	PR_GET_TIMERSLACK,
	PR_MCE_KILL = 33,
	PR_MCE_KILL_GET,
	PR_SET_MM,
	PR_SET_CHILD_SUBREAPER,
	PR_GET_CHILD_SUBREAPER,
	PR_SET_NO_NEW_PRIVS,
	PR_GET_NO_NEW_PRIVS,
	PR_GET_TID_ADDRESS,
	PR_SET_THP_DISABLE,
	PR_GET_THP_DISABLE,
	PR_CAP_AMBIENT = 47,
	PR_GET_SPECULATION_CTRL = 52,
	PR_SET_SPECULATION_CTRL,
	PR_SET_PTRACER = 0x59616d61,
	PR_SET_VMA = 0x53564d41,
};

static long put_int(struct native_task *t, unsigned long uaddr, long ret, const s32 *v)
{
	if (ret < 0)
		return ret;
	return copy_to_mm(t->task.mm, uaddr, v, sizeof(*v)) ? -EFAULT : 0;
}

/* The result of PR_GET_THP_DISABLE from then on: 0, 1, or 3 with the flag. */
static long set_thp_disable(struct hmm *hmm, const unsigned long *a)
{
	if (a[3] || a[4] || (a[2] & ~(a[1] ? PR_THP_DISABLE_EXCEPT_ADVISED : 0)))
		return -EINVAL;
	hmm->thp_disable = a[1] ? (u8)(1 | a[2]) : 0;
	return 0;
}

static long sys_prctl(struct native_task *t, const unsigned long *a)
{
	char name[TASK_COMM_LEN] = { 0 };
	s32 v = 0;
	long ret;

	switch ((int)a[0]) {
	case PR_SET_NAME:
		ret = strncpy_from_mm(t->task.mm, name, a[1], TASK_COMM_LEN - 1);
		if (ret < 0)
			return ret;
		name[TASK_COMM_LEN - 1] = 0;
		memcpy(t->task.comm, name, sizeof(name));
		return host_syscall(__NR_prctl, PR_SET_NAME, name);
	case PR_GET_NAME:
		memcpy(name, t->task.comm, sizeof(name));
		return copy_to_mm(t->task.mm, a[1], name, sizeof(name)) ? -EFAULT : 0;
	case PR_SET_PDEATHSIG:
		return deadly_set_pdeath(t, a[1]);
	case PR_GET_PDEATHSIG:
		v = t->hmm->pdeath_signal;
		return put_int(t, a[1], 0, &v);
	case PR_GET_UNALIGN:
	case PR_GET_FPEMU:
	case PR_GET_FPEXC:
	case PR_GET_ENDIAN:
	case PR_GET_TSC:
	case PR_GET_CHILD_SUBREAPER:
		ret = host_syscall(__NR_prctl, a[0], &v);
		return put_int(t, a[1], ret, &v);
	case PR_GET_TID_ADDRESS:
		return copy_to_mm(t->task.mm, a[1], &t->task.clear_child_tid, 8) ? -EFAULT : 0;
	case PR_GET_DUMPABLE:
	case PR_SET_DUMPABLE:
	case PR_GET_KEEPCAPS:
	case PR_SET_KEEPCAPS:
	case PR_GET_TIMING:
	case PR_SET_TIMING:
	case PR_CAPBSET_READ:
	case PR_CAPBSET_DROP:
	case PR_GET_SECUREBITS:
	case PR_SET_SECUREBITS:
	case PR_SET_TIMERSLACK:
	case PR_GET_TIMERSLACK:
	case PR_MCE_KILL:
	case PR_MCE_KILL_GET:
	case PR_SET_CHILD_SUBREAPER:
	case PR_SET_NO_NEW_PRIVS:
	case PR_GET_NO_NEW_PRIVS:
	case PR_CAP_AMBIENT:
	case PR_GET_SPECULATION_CTRL:
	case PR_SET_SPECULATION_CTRL:
	case PR_SET_PTRACER:
		return host_syscall(__NR_prctl, a[0], a[1], a[2], a[3], a[4]);
	case PR_SET_THP_DISABLE:
		return set_thp_disable(t->hmm, a);
	case PR_GET_THP_DISABLE:
		return a[1] || a[2] || a[3] || a[4] ? -EINVAL : t->hmm->thp_disable;
	case PR_GET_SECCOMP:
		return 0;
	case PR_SET_MM:
		return -EPERM;
	default: /* user dispatch, seccomp, anonymous VMA names: not for guests */
		return -EINVAL;
	}
}

static long sys_arch_prctl(struct native_task *t, int code, unsigned long addr)
{
	u64 base;
	long ret;

	switch (code) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		/* What lies in the kernel could pass for a task of ours. */
		if (addr >= TASK_SIZE_MAX ||
		    (code == ARCH_SET_GS && addr - KERNEL_BASE < KERNEL_END - KERNEL_BASE))
			return -EPERM;
		ret = host_syscall(__NR_arch_prctl, code, addr);
		if (code == ARCH_SET_GS)
			fastcall_init_thread(t, addr);
		return ret;
	case ARCH_GET_FS:
	case ARCH_GET_GS:
		ret = host_syscall(__NR_arch_prctl, code, &base);
		if (ret)
			return ret;
		if (code == ARCH_GET_GS && base == (u64)t)
			base = 0;
		return copy_to_mm(t->task.mm, addr, &base, sizeof(base)) ? -EFAULT : 0;
	case ARCH_GET_CPUID:
	case ARCH_SET_CPUID:
		return host_syscall(__NR_arch_prctl, code, addr);
	default:
		return -EINVAL;
	}
}

/* An orphan's parent is process 1, not the command that inherits it. */
static long sys_getppid(void)
{
	long ppid = host_syscall(__NR_getppid);

	return ppid == machine_params.command_pid && !current_native()->hmm->first ? 1 : ppid;
}

/* The time since the start and the load are the host's. */
static long sys_sysinfo(struct native_task *t, unsigned long uinfo)
{
	struct sysinfo info = { 0 };
	long ret = host_syscall(__NR_sysinfo, &info);

	if (ret)
		return ret;
	linux_sysinfo(&info);
	return copy_to_mm(t->task.mm, uinfo, &info, sizeof(info)) ? -EFAULT : 0;
}

/* The host decides; we know the result for messages. */
static long sys_setuid(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	long ret = host_syscall(nr, args[0], args[1], args[2]);

	t->task.uid = (u32)host_syscall(__NR_getuid);
	return ret;
}

/* What changes the host's mappings must not reach the host. */
static long sys_personality(struct native_task *t, u32 persona)
{
	u32 old = t->task.personality;

	if (persona != ~0u) {
		host_syscall(__NR_personality, persona & ~(u32)READ_IMPLIES_EXEC);
		t->task.personality = persona;
	}
	return old;
}

long task_syscall(struct native_task *t, unsigned long nr, const unsigned long *args)
{
	switch (nr) {
	case __NR_exit:
		do_exit(t, (int)(args[0] & 0xff) << 8);
	case __NR_exit_group:
		signal_group_exit(t, (int)(args[0] & 0xff) << 8);
		return 0; /* WORK_KILL does the rest */
	case __NR_prctl:
		return sys_prctl(t, args);
	case __NR_arch_prctl:
		return sys_arch_prctl(t, (int)args[0], args[1]);
	case __NR_getppid:
		return sys_getppid();
	case __NR_sysinfo:
		return sys_sysinfo(t, args[0]);
	case __NR_personality:
		return sys_personality(t, (u32)args[0]);
	case __NR_swapon:
		return native_swapon(t, args[0], (int)args[1]);
	case __NR_swapoff:
		return native_swapoff(t, args[0]);
	case __NR_setuid:
	case __NR_setreuid:
	case __NR_setresuid:
		return sys_setuid(t, nr, args);
	default:
		return SYSCALL_NOT_OURS;
	}
}
