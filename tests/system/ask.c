/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ask.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ARGUMENTS = 16, ASK_TIMEOUT_MS = 60000 };

static struct answer ask(const char *const argv[])
{
	struct lab_output out, errors;
	struct answer answer = {.status = lab_run(argv, ASK_TIMEOUT_MS, &out, &errors)};
	if (answer.status < 0)
		fail_msg("%s: %s", argv[0], strerror(-answer.status));
	answer.root = json_loads(out.text, 0, NULL);
	answer.errors = errors.text;
	lab_output_done(&out);
	return answer;
}

static const char *binary(void)
{
	const char *path = getenv("LASTPORT");
	if (!path)
		fail_msg("LASTPORT does not name the built command");
	return path;
}

struct answer ask_raw(const char *argument, ...)
{
	const char *argv[ARGUMENTS + 2] = {binary()};
	size_t n = 1;
	va_list args;
	va_start(args, argument);
	for (; argument && n <= ARGUMENTS; argument = va_arg(args, const char *))
		argv[n++] = argument;
	va_end(args);
	return ask(argv);
}

void answer_done(struct answer *answer)
{
	json_decref(answer->root);
	free(answer->errors);
	*answer = (struct answer){0};
}

static void check_schema(const struct answer *answer)
{
	if (answer->status != 0 || !answer->root)
		fail_msg("status %d: %s", answer->status, answer->errors);
	assert_int_equal(json_integer_value(json_object_get(answer->root, "schema")), 1);
}

/* By itself the command would choose by how many sockets others have meanwhile. */
const char *ask_reader(void)
{
	const char *reader = getenv("LASTPORT_READER");
	return reader ? reader : "diag";
}

bool ask_reader_sees_more(void)
{
	return !strcmp(ask_reader(), "bpf");
}

struct answer ask_ns(const struct lab_ns *ns)
{
	return ask_ns_by(ns, ask_reader());
}

struct answer ask_ns_by(const struct lab_ns *ns, const char *reader)
{
	_cleanup_(lab_leave) int home = must(lab_enter(ns));
	(void)home;
	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, ns->inode);
	struct answer answer = ask_raw("status", "--json", "--all", "--exact", "--netns", inode,
	                               "--reader", reader, NULL);
	check_schema(&answer);
	assert_string_equal(json_string_value(json_object_get(answer.root, "reader")), reader);
	return answer;
}

struct answer ask_all(void)
{
	struct answer answer = ask_raw("status", "--json", "--all", "--exact", NULL);
	check_schema(&answer);
	return answer;
}

static bool scope_matches(const json_t *limit, json_t *wanted)
{
	json_t *scope = json_object_get(limit, "scope"), *value;
	const char *key;
	json_object_foreach(wanted, key, value) if (!json_equal(json_object_get(scope, key),
	                                                        value)) return false;
	return true;
}

static bool in_namespace(const json_t *limit, uint64_t inode)
{
	const json_t *netns = json_object_get(limit, "netns");
	return !inode || (uint64_t)json_integer_value(json_object_get(netns, "inode")) == inode;
}

json_t *limit_find(const struct answer *answer, const char *kind, uint64_t inode, json_t *scope)
{
	json_t *limit, *found = NULL;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "limits"), i, limit)
	{
		const char *name = json_string_value(json_object_get(limit, "kind"));
		if (!name || strcmp(name, kind) != 0 || !in_namespace(limit, inode) ||
		    !scope_matches(limit, scope))
			continue;
		if (found)
			fail_msg("two %s of the same scope", kind);
		found = limit;
	}
	json_decref(scope);
	return found;
}

json_t *limit_must(const struct answer *answer, const char *kind, uint64_t inode, json_t *scope)
{
	char *wanted = json_dumps(scope, JSON_COMPACT);
	json_t *limit = limit_find(answer, kind, inode, scope);
	if (!limit)
		fail_msg("no %s of %s in namespace %" PRIu64, kind, wanted, inode);
	free(wanted);
	return limit;
}

unsigned limit_figure(const json_t *limit, const char *name)
{
	const json_t *figure = json_object_get(limit, name);
	if (!json_is_integer(figure))
		fail_msg("a limit without %s", name);
	return (unsigned)json_integer_value(figure);
}

bool limit_assumes(const json_t *limit, const char *word)
{
	json_t *sentence;
	size_t i;
	json_array_foreach(json_object_get(limit, "assumed"), i,
	                   sentence) if (strstr(json_string_value(sentence), word)) return true;
	return false;
}

bool answer_misses(const struct answer *answer, const char *what)
{
	json_t *gap;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "incomplete"), i, gap)
	{
		const char *name = json_string_value(json_object_get(gap, "what"));
		if (name && !strcmp(name, what))
			return true;
	}
	return false;
}
