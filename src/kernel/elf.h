/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Notes of an executable (elf(5)), as far as they tell what made it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where the bytes come from: as pread(), 0 beyond the end, a negative errno. */
struct lp_elf_source {
	ssize_t (*read)(void *context, void *buf, size_t size, uint64_t offset);
	void *context;
};

enum {
	LP_ELF_SEGMENTS = 64,     /* looked at, of those that hold notes */
	LP_ELF_SECTIONS = 128,    /* looked at by name */
	LP_ELF_NOTE_BYTES = 4096, /* of one segment */
};

/*
 * Whether the Go toolchain linked it: a note "Go" (cmd/internal/buildid writes it as
 * .note.go.buildid), or a section .go.buildinfo (debug/buildinfo). 1, 0, or -ENOEXEC where it is no
 * ELF file of this machine's byte order.
 */
int lp_elf_is_go(const struct lp_elf_source *source);
