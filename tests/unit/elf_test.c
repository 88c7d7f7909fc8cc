/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Executables made by hand: what marks a Go binary is found, and nothing else is taken for it. */

#include <elf.h>
#include <errno.h>

#include "kernel/elf.h"
#include "unit.h"

/* A file of one segment of notes and one named section. */
struct image {
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	Elf64_Shdr sections[2]; /* names; the other one */
	struct {
		Elf64_Nhdr head;
		char name[4];
		char id[8];
	} notes[2];
	char names[32];
};

static struct image make(void)
{
	struct image image = {0};
	memcpy(image.header.e_ident, ELFMAG, SELFMAG);
	image.header.e_ident[EI_CLASS] = ELFCLASS64;
	image.header.e_ident[EI_DATA] =
	        __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	image.header.e_phoff = offsetof(struct image, segment);
	image.header.e_phnum = 1;
	image.header.e_phentsize = sizeof(image.segment);
	image.header.e_shoff = offsetof(struct image, sections);
	image.header.e_shnum = 2;
	image.header.e_shentsize = sizeof(image.sections[0]);
	image.segment.p_type = PT_NOTE;
	image.segment.p_offset = offsetof(struct image, notes);
	image.segment.p_filesz = sizeof(image.notes);
	image.sections[0].sh_offset = offsetof(struct image, names);
	image.sections[0].sh_size = sizeof(image.names);
	image.sections[1].sh_name = 1;
	memcpy(image.names + 1, ".text", sizeof(".text"));
	for (int i = 0; i < 2; i++) {
		image.notes[i].head = (Elf64_Nhdr){.n_namesz = 4, .n_descsz = 8, .n_type = 3};
		memcpy(image.notes[i].name, "GNU", 4);
	}
	return image;
}

struct bytes {
	const char *items;
	size_t n;
};

static ssize_t read_bytes(void *context, void *buf, size_t size, uint64_t offset)
{
	const struct bytes *bytes = context;
	if (offset >= bytes->n)
		return 0;
	size_t left = bytes->n - (size_t)offset;
	size_t n = size < left ? size : left;
	memcpy(buf, bytes->items + offset, n);
	return (ssize_t)n;
}

static int is_go(const void *items, size_t n)
{
	struct bytes bytes = {items, n};
	const struct lp_elf_source source = {.read = read_bytes, .context = &bytes};
	return lp_elf_is_go(&source);
}

static void the_note_tells(void **state)
{
	(void)state;
	struct image image = make();
	assert_int_equal(is_go(&image, sizeof(image)), 0);
	memcpy(image.notes[1].name, "Go\0", 4);
	assert_int_equal(is_go(&image, sizeof(image)), 0); /* its type is another */
	image.notes[1].head.n_type = 4;
	assert_int_equal(is_go(&image, sizeof(image)), 1);
	image.segment.p_type = PT_LOAD;
	assert_int_equal(is_go(&image, sizeof(image)), 0);
}

static void the_section_tells(void **state)
{
	(void)state;
	struct image image = make();
	memcpy(image.names + 1, ".go.buildinfo", sizeof(".go.buildinfo"));
	assert_int_equal(is_go(&image, sizeof(image)), 1);
	memcpy(image.names + 1, ".go.buildinfo2", sizeof(".go.buildinfo2"));
	assert_int_equal(is_go(&image, sizeof(image)), 0);
}

static void what_is_no_executable_is_refused(void **state)
{
	(void)state;
	struct image image = make();
	assert_int_equal(is_go(&image, 0), -ENOEXEC);
	assert_int_equal(is_go(&image, EI_NIDENT), -ENOEXEC);
	image.header.e_ident[EI_DATA] ^= 3; /* the other byte order */
	assert_int_equal(is_go(&image, sizeof(image)), -ENOEXEC);
	assert_int_equal(is_go("#!/bin/sh\nexec sleep 1\n", 23), -ENOEXEC);
}

/* Cut at any place, nothing beyond it is read. */
static void torn_files_do_no_harm(void **state)
{
	(void)state;
	struct image image = make();
	image.notes[0].head.n_type = 4;
	memcpy(image.notes[0].name, "Go\0", 4);
	for (size_t n = 0; n < sizeof(image); n++) {
		char *part = malloc(n + 1);
		assert_non_null(part);
		memcpy(part, &image, n);
		assert_in_range(is_go(part, n) + ENOEXEC, 0, ENOEXEC + 1);
		free(part);
	}
}

static void lying_sizes_do_no_harm(void **state)
{
	(void)state;
	struct image image = make();
	image.notes[0].head.n_namesz = UINT32_MAX;
	image.notes[0].head.n_descsz = UINT32_MAX;
	assert_int_equal(is_go(&image, sizeof(image)), 0);
	image.segment.p_offset = UINT64_MAX;
	image.segment.p_filesz = UINT64_MAX;
	image.sections[0].sh_offset = UINT64_MAX;
	image.header.e_phnum = image.header.e_shnum = UINT16_MAX;
	assert_int_equal(is_go(&image, sizeof(image)), 0);
	image.header.e_phoff = image.header.e_shoff = UINT64_MAX;
	assert_int_equal(is_go(&image, sizeof(image)), 0);
}

UNIT_MAIN(cmocka_unit_test(the_note_tells), cmocka_unit_test(the_section_tells),
          cmocka_unit_test(what_is_no_executable_is_refused),
          cmocka_unit_test(torn_files_do_no_harm), cmocka_unit_test(lying_sizes_do_no_harm))
