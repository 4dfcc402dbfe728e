/* SPDX-License-Identifier: MIT */
/* The native kernel's ELF file, as bytes in the quire command. */
	.section .rodata
	.balign 4096
	.globl quire_kernel_elf
quire_kernel_elf:
	.incbin QUIRE_KERNEL_ELF
	.section .note.GNU-stack, "", @progbits
