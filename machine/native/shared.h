/* SPDX-License-Identifier: MIT */
/*
 * shared.h - what the quire command (a libc program) and the guest kernel (freestanding, its own
 * ELF) know of each other. Only plain integers; both include nothing but <stdint.h> for it.
 */
#ifndef NATIVE_SHARED_H
#define NATIVE_SHARED_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Addresses, the same in every process of the machine; between the sanitizers' shadows and the
 * usual mmap area.
 */
#define KERNEL_BASE 0x680000000000ul	 /* the kernel's image */
#define DIRECT_MAP_BASE 0x690000000000ul /* all RAM */
#define KERNEL_END 0x700000000000ul

#endif
