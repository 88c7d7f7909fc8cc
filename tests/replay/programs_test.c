/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What processes run, by links and files in place of /proc. */

#include <stdio.h>

#include "folder.h"
#include "kernel/program.h"
#include "unit/unit.h"

static struct folder folder;
static struct lp_snapshot *snapshot;

static int begin(void **state)
{
	(void)state;
	folder_make(&folder);
	snapshot = lp_snapshot_new();
	return snapshot ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	lp_snapshot_free(snapshot);
	folder_done(&folder);
	return 0;
}

static const struct lp_program *program(pid_t pid, const char *target)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "proc/%d/exe", pid);
	folder_link(&folder, path, target);
	assert_int_equal(lp_programs_read(&folder.kernel, snapshot, &pid, 1), 0);
	const struct lp_program *found = lp_snapshot_program(snapshot, pid);
	assert_non_null(found);
	return found;
}

static void interpreters_are_told_by_name(void **state)
{
	(void)state;
	const struct lp_program *python = program(10, "/usr/bin/python3.11");
	assert_string_equal(python->executable, "python3.11");
	assert_int_equal(python->runtime, LP_RUNTIME_PYTHON);
}

static void one_that_was_replaced_is_still_named(void **state)
{
	(void)state;
	const struct lp_program *java = program(10, "/opt/jdk/bin/java (deleted)");
	assert_string_equal(java->executable, "java");
	assert_int_equal(java->runtime, LP_RUNTIME_JAVA);
}

static void others_are_looked_into(void **state)
{
	(void)state;
	folder_text(&folder, "proc/script", "#!/bin/sh\n");
	assert_int_equal(program(10, "../script")->runtime, LP_RUNTIME_NATIVE);
}

static void what_may_not_be_seen_is_untold(void **state)
{
	(void)state;
	const struct lp_program *gone = program(10, "/nowhere/app");
	assert_string_equal(gone->executable, "app");
	assert_int_equal(gone->runtime, LP_RUNTIME_UNTOLD);
}

static void the_unit_is_told_by_the_cgroup(void **state)
{
	(void)state;
	folder_text(&folder, "proc/10/cgroup", "0::/system.slice/app.service\n");
	assert_string_equal(program(10, "/nowhere/app")->unit, "app.service");
}

static void each_is_looked_at_once_and_not_too_many(void **state)
{
	(void)state;
	pid_t pids[3 * LP_PROGRAMS];
	for (int i = 0; i < 3 * LP_PROGRAMS; i++)
		pids[i] = i / 2; /* none is 0 */
	assert_int_equal(lp_programs_read(&folder.kernel, snapshot, pids, 3 * LP_PROGRAMS), 0);
	assert_int_equal(snapshot->n_programs, LP_PROGRAMS);
	for (size_t i = 0; i < snapshot->n_programs; i++)
		assert_int_equal(snapshot->programs[i].pid, i + 1);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, end)

UNIT_MAIN(CASE(interpreters_are_told_by_name), CASE(one_that_was_replaced_is_still_named),
          CASE(others_are_looked_into), CASE(what_may_not_be_seen_is_untold),
          CASE(the_unit_is_told_by_the_cgroup), CASE(each_is_looked_at_once_and_not_too_many))
