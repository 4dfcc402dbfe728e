/* SPDX-License-Identifier: MIT */
/* The native kernel's ELF file, as bytes in the quire command. */
	.section .rodata
	.balign 4096
	.globl quire_kernel_elf
	.globl quire_kernel_elf_end
quire_kernel_elf:
	.incbin QUIRE_KERNEL_ELF
quire_kernel_elf_end:
	.section .note.GNU-stack, "", @progbits
