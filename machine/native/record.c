/* SPDX-License-Identifier: MIT */
/* record.c - what the report says of each process, kept in memory the command reads at the end. */
#include <quire/string.h>

#include "native.h"

_Static_assert(NR_MM_EVENTS <= PROC_RECORD_EVENTS, "process_record.events");
_Static_assert(NR_FOLIO_ORDERS <= PROC_RECORD_ORDERS, "process_record.folios");

void record_begin(struct native_task *t, pid_t parent)
{
	u32 i = __atomic_fetch_add(&kernel_shared.nr_records, 1, __ATOMIC_RELAXED);
	struct process_record *r;

	if (i >= MAX_PROCESS_RECORDS)
		return;
	r = &kernel_shared.record[i];
	r->pid = t->task.tgid;
	r->parent = parent;
	r->threads = 1;
	r->status = -1;
	r->start_ns = machine_clock_ns();
	t->hmm->record = r;
}

static void max_u64(u64 *to, u64 v)
{
	if (v > *to)
		*to = v;
}

void record_image(struct hmm *hmm, struct mm_struct *mm)
{
	struct process_record *r = hmm->record;

	/* Whoever uses an mm last accounts for it; a vfork child has done nothing of its own. */
	if (!r || atomic_read(&mm->mm_users) > 1)
		return;
	for (unsigned int e = 0; e < NR_MM_EVENTS; e++)
		r->events[e] += (u64)atomic_long_read(&mm->events[e]);
	for (unsigned int o = 0; o < NR_FOLIO_ORDERS; o++)
		r->folios[o] += (u64)atomic_long_read(&mm->folios[o]);
	update_hiwater_rss(mm);
	max_u64(&r->peak_rss, mm->hiwater_rss);
	max_u64(&r->peak_vmas, (u64)max(mm->hiwater_maps, mm->map_count));
	max_u64(&r->peak_pgtables,
		(u64)max(mm->hiwater_pgtables, atomic_long_read(&mm->pgtables_bytes)) >>
			PAGE_SHIFT);
}

void record_end(struct native_task *t, int wait_status)
{
	struct signal_struct *signal = t->task.signal;
	struct process_record *r = t->hmm->record;

	if (!r)
		return;
	memcpy(r->comm, t->task.comm, sizeof(r->comm));
	r->status = wait_status;
	r->min_flt = (u64)atomic_long_read(&signal->min_flt);
	r->maj_flt = (u64)atomic_long_read(&signal->maj_flt);
	r->nsyscalls = (u64)atomic_long_read(&signal->nsyscalls);
	r->end_ns = machine_clock_ns();
}
