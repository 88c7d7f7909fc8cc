/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Every limit that lab_provoke() brings about is seen by the command, near its end. */

#include "ask.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "lab/provoke.h"
#include "limit/limit.h"

enum { NEAR = 9500 };

/* The highest pressure of that kind in the answer; of that process where the scope has one. */
static unsigned pressure_of(const struct answer *answer, const struct lab_provoked *provoked)
{
	unsigned highest = 0;
	json_t *limit;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "limits"), i, limit)
	{
		const char *kind = json_string_value(json_object_get(limit, "kind"));
		const json_t *pid = json_object_get(json_object_get(limit, "scope"), "pid");
		if (strcmp(kind, provoked->provoker->kind) != 0 ||
		    (!strcmp(kind, "file-descriptors") &&
		     json_integer_value(pid) != provoked->child.pid))
			continue;
		unsigned pressure = limit_figure(limit, "pressure");
		highest = pressure > highest ? pressure : highest;
	}
	return highest;
}

static unsigned ask_pressure(const struct lab_provoked *provoked)
{
	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, provoked->netns);
	struct answer answer = ask_raw("status", "--json", "--all", "--exact", "--netns", inode,
	                               "--kind", provoked->provoker->kind, NULL);
	if (answer.status != 0)
		fail_msg("%s: status %d: %s", provoked->provoker->kind, answer.status,
		         answer.errors);
	unsigned pressure = pressure_of(&answer, provoked);
	answer_done(&answer);
	return pressure;
}

static void the_command_sees_what_is_provoked(void **state)
{
	(void)state;
	unsigned low = 0, seen = 0;
	for (const struct lab_provoker *provoker = lab_provokers; provoker->kind; provoker++) {
		if (!lp_limit_kind_find(provoker->kind))
			continue;
		struct lp_error err = {0};
		struct lab_provoked provoked;
		assert_ok(lab_provoke_start(provoker->kind, &provoked, &err), err);
		unsigned pressure = ask_pressure(&provoked);
		note("%-18s %3u.%02u %%", provoker->kind, pressure / 100, pressure % 100);
		low += pressure < NEAR;
		seen++;
		lab_provoke_stop(&provoked);
	}
	assert_int_equal(low, 0);
	assert_true(seen >= 7);
}

/* Those that lastport cannot tell yet are at least brought about without a mistake. */
static void the_others_come_about(void **state)
{
	(void)state;
	for (const struct lab_provoker *provoker = lab_provokers; provoker->kind; provoker++) {
		if (lp_limit_kind_find(provoker->kind))
			continue;
		struct lp_error err = {0};
		struct lab_provoked provoked;
		assert_ok(lab_provoke_start(provoker->kind, &provoked, &err), err);
		assert_int_equal(kill(provoked.child.pid, 0), 0);
		lab_provoke_stop(&provoked);
	}
}

static void every_kind_is_provoked_or_left_out(void **state)
{
	(void)state;
	for (size_t i = 0; lp_limit_kinds[i]; i++) {
		const char *kind = lp_limit_kinds[i]->name;
		if (!lab_provoker_find(kind) == !lab_provoke_left_out(kind))
			fail_msg("%s is neither provoked nor left out, or both", kind);
	}
	struct lp_error err = {0};
	struct lab_provoked provoked;
	assert_int_equal(lab_provoke_start("orphans", &provoked, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "whole machine"));
	assert_int_equal(lab_provoke_start("nonsense", &provoked, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "local-ports"));
}

/* As the command does it: what it says goes to the pipe. */
static int provoke_for_long(void *data, int say)
{
	FILE *out = fdopen(say, "w");
	struct lp_error err = {0};
	(void)data;
	return out ? -lab_provoke("bind-ports", 60, out, &err) : 1;
}

static pid_t read_process(int fd)
{
	char text[1024];
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	const char *process = strstr(text, "process ");
	if (!process || !strstr(text, "lastport --netns "))
		fail_msg("it said: %s", text);
	return process ? (pid_t)strtol(process + strlen("process "), NULL, 10) : -1;
}

static void a_signal_ends_it_and_leaves_nothing(void **state)
{
	(void)state;
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, provoke_for_long, NULL));
	pid_t holder = read_process(child.said);
	assert_int_equal(kill(holder, 0), 0);
	int64_t start = lp_clock_ns();
	assert_int_equal(kill(child.pid, SIGTERM), 0);
	assert_int_equal(lab_child_wait(&child), 0);
	/* of the 60 s that it would have stayed */
	assert_true(lp_clock_ns() - start < INT64_C(30) * 1000000000);
	/* reaped by who made it, so its number is nobody's */
	assert_int_equal(kill(holder, 0), -1);
	assert_int_equal(errno, ESRCH);
}

static void it_ends_by_itself(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lp_free_ptr) char *text = NULL;
	size_t size;
	FILE *say = open_memstream(&text, &size);
	if (!say)
		fail_msg("no memory");
	assert_ok(lab_provoke("accept-queue", 0.2, say, &err), err);
	assert_int_equal(fclose(say), 0);
	assert_non_null(strstr(text, "accept-queue: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_kind_is_provoked_or_left_out),
	        cmocka_unit_test(the_command_sees_what_is_provoked),
	        cmocka_unit_test(the_others_come_about),
	        cmocka_unit_test(a_signal_ends_it_and_leaves_nothing),
	        cmocka_unit_test(it_ends_by_itself),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
