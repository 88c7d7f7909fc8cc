/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/elf.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

/* What both classes have, widened. */
struct table {
	uint64_t at;
	uint32_t n, entry;
};
struct header {
	bool wide; /* ELFCLASS64 */
	struct table segments, sections;
	uint32_t names; /* section that holds the names */
};
struct part {
	uint64_t at, size;
	uint32_t type, name;
};

static bool read_whole(const struct lp_elf_source *source, void *buf, size_t size, uint64_t offset)
{
	return offset <= INT64_MAX &&
	       source->read(source->context, buf, size, offset) == (ssize_t)size;
}

static bool ident_fits(const unsigned char *ident)
{
	const unsigned char data = __BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
	return !memcmp(ident, ELFMAG, SELFMAG) && ident[EI_DATA] == data &&
	       (ident[EI_CLASS] == ELFCLASS32 || ident[EI_CLASS] == ELFCLASS64);
}

#define HEADER_OF(raw, is_wide)                                                \
	((struct header){                                                      \
	        .wide = (is_wide),                                             \
	        .segments = {(raw).e_phoff, (raw).e_phnum, (raw).e_phentsize}, \
	        .sections = {(raw).e_shoff, (raw).e_shnum, (raw).e_shentsize}, \
	        .names = (raw).e_shstrndx,                                     \
	})

static int read_header(const struct lp_elf_source *source, struct header *ret)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr narrow;
		Elf64_Ehdr wide;
	} raw;
	if (!read_whole(source, raw.ident, sizeof(raw.ident), 0) || !ident_fits(raw.ident))
		return -ENOEXEC;
	bool wide = raw.ident[EI_CLASS] == ELFCLASS64;
	if (!read_whole(source, &raw, wide ? sizeof(raw.wide) : sizeof(raw.narrow), 0))
		return -ENOEXEC;
	*ret = wide ? HEADER_OF(raw.wide, true) : HEADER_OF(raw.narrow, false);
	return 0;
}

static bool read_segment(const struct lp_elf_source *source, const struct header *header,
                         uint32_t index, struct part *ret)
{
	uint64_t at = header->segments.at + (uint64_t)index * header->segments.entry;
	if (header->wide) {
		Elf64_Phdr raw;
		if (!read_whole(source, &raw, sizeof(raw), at))
			return false;
		*ret = (struct part){.at = raw.p_offset, .size = raw.p_filesz, .type = raw.p_type};
		return true;
	}
	Elf32_Phdr raw;
	if (!read_whole(source, &raw, sizeof(raw), at))
		return false;
	*ret = (struct part){.at = raw.p_offset, .size = raw.p_filesz, .type = raw.p_type};
	return true;
}

static bool read_section(const struct lp_elf_source *source, const struct header *header,
                         uint32_t index, struct part *ret)
{
	uint64_t at = header->sections.at + (uint64_t)index * header->sections.entry;
	if (header->wide) {
		Elf64_Shdr raw;
		if (!read_whole(source, &raw, sizeof(raw), at))
			return false;
		*ret = (struct part){.at = raw.sh_offset, .size = raw.sh_size, .name = raw.sh_name};
		return true;
	}
	Elf32_Shdr raw;
	if (!read_whole(source, &raw, sizeof(raw), at))
		return false;
	*ret = (struct part){.at = raw.sh_offset, .size = raw.sh_size, .name = raw.sh_name};
	return true;
}

/* Notes are words of four bytes, whatever the class (gabi: Note Section). */
static uint64_t aligned(uint64_t n)
{
	return (n + 3) & ~UINT64_C(3);
}

/* "Go\0\0", type 4: cmd/internal/buildid, elfGoNote. */
static bool notes_have_go(const unsigned char *notes, size_t size)
{
	enum { GO_BUILD_ID = 4, GO_NAME = 4 };
	Elf64_Nhdr note; /* the same in both classes */
	for (uint64_t at = 0; at + sizeof(note) <= size;) {
		memcpy(&note, notes + at, sizeof(note));
		uint64_t name = at + sizeof(note);
		if (note.n_type == GO_BUILD_ID && note.n_namesz == GO_NAME &&
		    name + GO_NAME <= size && !memcmp(notes + name, "Go\0", GO_NAME))
			return true;
		at = name + aligned(note.n_namesz) + aligned(note.n_descsz);
	}
	return false;
}

static bool has_note(const struct lp_elf_source *source, const struct header *header)
{
	unsigned char notes[LP_ELF_NOTE_BYTES];
	for (uint32_t i = 0; i < header->segments.n && i < LP_ELF_SEGMENTS; i++) {
		struct part part;
		if (!read_segment(source, header, i, &part))
			return false;
		size_t size = part.size < sizeof(notes) ? (size_t)part.size : sizeof(notes);
		if (part.type == PT_NOTE && read_whole(source, notes, size, part.at) &&
		    notes_have_go(notes, size))
			return true;
	}
	return false;
}

static bool has_section(const struct lp_elf_source *source, const struct header *header)
{
	static const char wanted[] = ".go.buildinfo";
	struct part names, part;
	if (header->names >= header->sections.n ||
	    !read_section(source, header, header->names, &names))
		return false;
	for (uint32_t i = 0; i < header->sections.n && i < LP_ELF_SECTIONS; i++) {
		char name[sizeof(wanted)];
		if (read_section(source, header, i, &part) && names.at <= INT64_MAX &&
		    read_whole(source, name, sizeof(name), names.at + part.name) &&
		    !memcmp(name, wanted, sizeof(wanted)))
			return true;
	}
	return false;
}

int lp_elf_is_go(const struct lp_elf_source *source)
{
	struct header header;
	int r = read_header(source, &header);
	if (r < 0)
		return r;
	return has_note(source, &header) || has_section(source, &header);
}
