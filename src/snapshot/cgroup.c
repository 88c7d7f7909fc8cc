/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/cgroup.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum {
	ID_DIGITS = 64,   /* of a container: a SHA-256, or as many random digits */
	TASK_DIGITS = 32, /* of a task of Fargate; of the uid of a static pod */
	UUID_LENGTH = 36,
};

/* A part of the path: not NUL-terminated. */
struct part {
	const char *text;
	size_t length;
};

static struct part part_of(const char *text)
{
	return (struct part){text, strlen(text)};
}

static bool is_text(struct part part, const char *text)
{
	return part.length == strlen(text) && !memcmp(part.text, text, part.length);
}

/* Takes a prefix or suffix off, if it is there and leaves something. */
static bool cut_prefix(struct part *part, const char *prefix)
{
	size_t length = strlen(prefix);
	if (part->length <= length || memcmp(part->text, prefix, length) != 0)
		return false;
	part->text += length;
	part->length -= length;
	return true;
}

static bool cut_suffix(struct part *part, const char *suffix)
{
	size_t length = strlen(suffix);
	if (part->length <= length ||
	    memcmp(part->text + part->length - length, suffix, length) != 0)
		return false;
	part->length -= length;
	return true;
}

/* Copies it whole; false where it does not fit. */
static bool copy(struct part part, char *to, size_t size)
{
	if (part.length >= size)
		return false;
	memcpy(to, part.text, part.length);
	to[part.length] = '\0';
	return true;
}

static bool is_hex(struct part part, size_t digits)
{
	if (part.length < digits)
		return false;
	for (size_t i = 0; i < digits; i++)
		if (!isxdigit((unsigned char)part.text[i]))
			return false;
	return true;
}

static bool is_id(struct part part)
{
	return part.length == ID_DIGITS && is_hex(part, ID_DIGITS);
}

/* ---- systemd ------------------------------------------------------------------------------- */

static bool has_unit_suffix(struct part part)
{
	static const char *const types[] = {".service", ".scope", ".socket", ".mount", ".swap"};
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (cut_suffix(&part, types[i]))
			return true;
	return false;
}

/* Slices are no units here: every unit is in one. */
static void find_unit(struct part part, struct lp_cgroup_names *names)
{
	/* systemd puts a '_' before what the kernel might take for a file of its own (cg_escape());
	 * "\x2d" in a unit's name belongs to it */
	(void)cut_prefix(&part, "_");
	if (has_unit_suffix(part))
		(void)copy(part, names->unit, sizeof(names->unit));
}

/* Takes "\x2d" and the like back, in place: of a name that was made part of a unit's. */
static void unescape(char *text)
{
	char *to = text;
	while (*text) {
		struct part digits = {text, strlen(text)};
		if (cut_prefix(&digits, "\\x") && is_hex(digits, 2)) {
			static const char hex[] = "0123456789abcdef";
			ptrdiff_t high = strchr(hex, tolower(digits.text[0])) - hex;
			ptrdiff_t low = strchr(hex, tolower(digits.text[1])) - hex;
			*to++ = (char)(high * 16 + low);
			text += 4;
		} else {
			*to++ = *text++;
		}
	}
	*to = '\0';
}

/* ---- Kubernetes ---------------------------------------------------------------------------- */

static bool is_uuid(const char *text)
{
	for (size_t i = 0; i < UUID_LENGTH; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		if (dash ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
			return false;
	}
	return true;
}

/* A pod's uid: a UUID, in names of slices with '_' for '-'; 32 digits if the pod is static. */
static bool take_pod(struct part uid, struct lp_cgroup_names *names)
{
	char text[UUID_LENGTH + 1];
	if (!copy(uid, text, sizeof(text)))
		return false;
	for (char *c = text; *c; c++)
		if (*c == '_')
			*c = '-';
	bool whole = uid.length == UUID_LENGTH && is_uuid(text);
	if (!whole && !(uid.length == TASK_DIGITS && is_hex(uid, TASK_DIGITS)))
		return false;
	memcpy(names->pod, text, uid.length + 1);
	return true;
}

/* "pod<uid>" of the cgroupfs driver, "kubepods-burstable-pod<uid>.slice" of systemd's. */
static void find_pod(struct part part, struct lp_cgroup_names *names)
{
	const char *colon = memchr(part.text, ':', part.length);
	if (colon)
		part.length = (size_t)(colon - part.text);
	if (!cut_suffix(&part, ".slice")) {
		if (cut_prefix(&part, "pod"))
			(void)take_pod(part, names);
		return;
	}
	for (size_t i = 0; i < part.length; i++) {
		struct part end = {part.text + i, part.length - i};
		if (cut_prefix(&end, "-pod") && take_pod(end, names))
			return;
	}
}

/* ---- containers ---------------------------------------------------------------------------- */

static void take_container(struct part id, const char *runtime, struct lp_cgroup_names *names)
{
	if (copy(id, names->container, sizeof(names->container)))
		names->runtime = runtime;
}

/* "docker-<id>.scope" and its like: what comes before the id tells the engine. */
static bool find_prefixed(struct part part, struct lp_cgroup_names *names)
{
	static const struct {
		const char *prefix, *runtime;
	} engines[] = {
	        {"docker-", "docker"},      {"libpod-", "podman"},
	        {"crio-", "cri-o"},         {"cri-containerd-", "containerd"},
	        {"nerdctl-", "containerd"},
	};
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		struct part id = part;
		if (cut_prefix(&id, engines[i].prefix) && is_id(id)) {
			take_container(id, engines[i].runtime, names);
			return true;
		}
	}
	return false;
}

/*
 * "kubepods-burstable-pod<uid>.slice:cri-containerd:<id>": what systemd's driver asks for, made a
 * folder as it is by a containerd that was not told to use systemd.
 */
static bool find_colons(struct part part, struct lp_cgroup_names *names)
{
	const char *colon = memrchr(part.text, ':', part.length);
	if (!colon)
		return false;
	struct part id = {colon + 1, part.length - (size_t)(colon + 1 - part.text)};
	struct part before = {part.text, (size_t)(colon - part.text)};
	if (!is_id(id))
		return false;
	take_container(id, cut_suffix(&before, ":cri-containerd") ? "containerd" : "", names);
	return true;
}

/* An id alone: the folder that it is in may tell the engine. */
static bool find_bare(struct part part, struct part parent, struct lp_cgroup_names *names)
{
	static const struct {
		const char *parent, *runtime;
	} engines[] = {{"docker", "docker"}, {"libpod_parent", "podman"}};
	if (!is_id(part))
		return false;
	const char *runtime = "";
	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (is_text(parent, engines[i].parent))
			runtime = engines[i].runtime;
	take_container(part, runtime, names);
	return true;
}

/* "/ecs/<task>/<task>-<number>" of Fargate. */
static bool find_task(struct part part, struct part parent, struct lp_cgroup_names *names)
{
	bool whole = parent.length == TASK_DIGITS && is_hex(parent, TASK_DIGITS) &&
	             part.length > TASK_DIGITS + 1 && part.text[TASK_DIGITS] == '-' &&
	             !memcmp(part.text, parent.text, TASK_DIGITS);
	for (size_t i = TASK_DIGITS + 1; whole && i < part.length; i++)
		whole = isdigit((unsigned char)part.text[i]);
	if (whole)
		take_container(part, "fargate", names);
	return whole;
}

/* "lxc.payload.web", and before LXC 4 "lxc/web". */
static bool find_lxc(struct part part, struct part parent, struct lp_cgroup_names *names)
{
	bool inside = is_text(parent, "lxc") || is_text(parent, "lxc.payload");
	if (!cut_prefix(&part, "lxc.payload.") && !inside)
		return false;
	take_container(part, "lxc", names);
	return true;
}

/* "systemd-nspawn@web.service", or "machine-web.scope" of whoever asked systemd for one. */
static bool find_machine(struct part part, struct part parent, struct lp_cgroup_names *names)
{
	struct part name = part;
	const char *runtime = "";
	if (!is_text(parent, "machine.slice"))
		return false;
	if (cut_prefix(&name, "systemd-nspawn@") && cut_suffix(&name, ".service"))
		runtime = "nspawn";
	else if (!cut_prefix(&name, "machine-") || !cut_suffix(&name, ".scope"))
		return false;
	take_container(name, runtime, names);
	unescape(names->container);
	return true;
}

static void find_container(struct part part, struct part parent, struct lp_cgroup_names *names)
{
	struct part name = part;
	(void)cut_suffix(&name, ".scope");
	if (find_prefixed(name, names) || find_bare(name, parent, names) ||
	    find_colons(part, names) || find_task(part, parent, names) ||
	    find_lxc(part, parent, names))
		return;
	(void)find_machine(part, parent, names);
}

void lp_cgroup_names(const char *path, struct lp_cgroup_names *ret)
{
	*ret = (struct lp_cgroup_names){.runtime = ""};
	struct part parent = part_of("");
	while (*path) {
		struct part part = {path, strcspn(path, "/")};
		path += part.length + (path[part.length] == '/');
		if (!part.length)
			continue;
		find_unit(part, ret);
		find_pod(part, ret);
		find_container(part, parent, ret);
		parent = part;
	}
}
