/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The kernel logs, and the command tells what, of which namespace, and when. All warnings of the
 * network share ten lines in 5 s, so that what is to be logged is done again until it is.
 */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "ask.h"
#include "base/clock.h"

enum { PATIENCE_S = 45, DRIFT_S = 30, NOBODY = 65534 };

static struct lab_mounts mounts;

/* What the log says of one thing; NULL where it is not there. */
static const json_t *entry_of(const struct answer *answer, const char *what, const char *key,
                              json_t *value)
{
	const json_t *found = NULL, *entry;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "log"), i, entry)
	{
		const json_t *netns = json_object_get(entry, "netns");
		const json_t *of = netns ? json_object_get(netns, key) : NULL;
		const char *is = json_string_value(json_object_get(entry, "what"));
		if (!of)
			of = json_object_get(entry, key);
		if (!strcmp(is, what) && json_equal(of, value))
			found = entry;
	}
	json_decref(value);
	return found;
}

/* "2026-01-01T00:00:00.000Z" is later than another one where it sorts behind it. */
static const char *time_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int64_t seconds_of(const json_t *object, const char *key)
{
	struct tm tm = {0};
	assert_non_null(strptime(time_of(object, key), "%Y-%m-%dT%H:%M:%S", &tm));
	return timegm(&tm);
}

/* The namespace's line that is not there before: an earlier namespace may have had the inode. */
static const json_t *new_entry(const struct answer *before, const struct answer *answer)
{
	const json_t *old = entry_of(before, "conntrack-full", "name", json_string("lab-full"));
	const json_t *entry = entry_of(answer, "conntrack-full", "name", json_string("lab-full"));
	return entry && old && !strcmp(time_of(old, "last"), time_of(entry, "last")) ? NULL : entry;
}

static bool in_time(int64_t begin)
{
	return lp_clock_ns() - begin < INT64_C(1000000000) * PATIENCE_S;
}

static struct answer ask(const char *netns)
{
	return ask_raw("status", "--json", "--all", "--exact", "--netns", netns, NULL);
}

static void a_full_table_is_told_with_its_namespace(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_ns_name(&mounts, &ns, "lab-full", &err), err);
	assert_ok(lab_nft_track(&ns, &err), err);
	struct lab_addr at = lab_addr("127.0.0.1", 80);
	struct lab_how how = {.ns = &ns, .from = &at};
	_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 64));
	(void)listener;
	struct lab_conntrack_fill fill = {
	        .from = lab_addr("10.0.0.1", 2000), .to = lab_addr("10.9.0.1", 80), .ports = 30000};
	assert_ok(lab_conntrack_fill_up(&ns, &fill, 0, &err), err);

	_cleanup_(answer_done) struct answer before = ask("lab-full");
	assert_int_equal(before.status, 0);
	struct answer answer = ask("lab-full");
	const json_t *entry = NULL;
	for (int64_t begin = lp_clock_ns(); !entry && in_time(begin);) {
		struct lab_how try = {.ns = &ns, .timeout_ms = 100};
		assert_int_equal(lab_connect(&try, &at), -ETIMEDOUT);
		answer_done(&answer);
		answer = ask("lab-full");
		entry = new_entry(&before, &answer);
	}
	assert_non_null(entry);
	const json_t *netns = json_object_get(entry, "netns");
	assert_int_equal(json_integer_value(json_object_get(netns, "inode")), ns.inode);
	assert_true(json_integer_value(json_object_get(entry, "times")) >= 1);
	/* between the two looks, but for the seconds by which the log's clock drifts in days */
	int64_t last = seconds_of(entry, "last");
	assert_true(last >= seconds_of(before.root, "taken_at") - DRIFT_S);
	assert_true(last <= seconds_of(answer.root, "taken_at") + DRIFT_S);

	/* of another namespace it is not told */
	_cleanup_(lab_ns_done) struct lab_ns other = LAB_NS_NONE;
	assert_ok(lab_ns_make(&other, &err), err);
	_cleanup_(answer_done) struct answer apart = ask_ns(&other);
	assert_null(
	        entry_of(&apart, "conntrack-full", "inode", json_integer((json_int_t)ns.inode)));
	_cleanup_(answer_done) struct answer of_kind =
	        ask_raw("status", "--json", "--kind", "orphans", NULL);
	assert_null(
	        entry_of(&of_kind, "conntrack-full", "inode", json_integer((json_int_t)ns.inode)));
	answer_done(&answer);
	(void)umount2("/run/netns/lab-full", MNT_DETACH);
}

/* The kernel warns once for each listener: a new one for each try. */
static void a_flood_is_told_with_its_listener(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_wire_done) struct lab_wire wire = LAB_WIRE_NONE;
	assert_ok(lab_ns_make(&ns, &err), err);
	assert_ok(lab_wire_open(&ns, "10.9.0.1/24", &wire, &err), err);
	uint16_t first = (uint16_t)(20000 + lp_clock_ns() / 1000 % 20000), port = first;
	const json_t *entry = NULL;
	struct answer answer = {0};
	for (int64_t begin = lp_clock_ns(); !entry && in_time(begin); port++) {
		char subject[64];
		struct lab_addr at = lab_addr("10.9.0.1", port);
		struct lab_how how = {.ns = &ns, .from = &at};
		_cleanup_(lp_close_fd) int listener = must(lab_listen(&how, 0));
		(void)listener;
		for (uint16_t client = 2000; client < 2003; client++) {
			struct lab_talk talk = {.wire = &wire,
			                        .self = lab_addr("10.9.0.2", client),
			                        .other = at,
			                        .next = 1};
			must(lab_talk_send(&talk, TH_SYN, NULL, 0));
			must(lab_talk_wait(&talk, TH_SYN, TH_SYN, LAB_TIMEOUT_MS, NULL));
		}
		(void)snprintf(subject, sizeof(subject), "10.9.0.1:%u", port);
		answer_done(&answer);
		answer = ask_ns(&ns);
		entry = entry_of(&answer, "syn-cookies", "subject", json_string(subject));
		if (!entry) /* older kernels name the port alone */
			entry = entry_of(&answer, "syn-cookies", "subject",
			                 json_string(strchr(subject, ':') + 1));
		lp_clock_sleep_ms(entry ? 0 : 200);
	}
	assert_non_null(entry);
	assert_int_equal(json_integer_value(json_object_get(entry, "times")), 1);
	answer_done(&answer);
}

/* ---- who may not ---------------------------------------------------------------------------- */

static int run_as_nobody(void *data, int say)
{
	const char *const argv[] = {data, "status", "--json", NULL};
	if (lab_become(NOBODY, NOBODY) < 0 || dup2(say, STDOUT_FILENO) < 0)
		return 126;
	(void)execv(argv[0], (char *const *)argv);
	return 127;
}

static bool is_restricted(void)
{
	char byte = '0';
	_cleanup_(lp_close_fd) int fd =
	        open("/proc/sys/kernel/dmesg_restrict", O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &byte, 1) == 1 && byte == '1';
}

/* Says so, and does not call the answer incomplete for it. */
static void who_may_not_read_it_is_told(void **state)
{
	(void)state;
	int fd = open(getenv("LASTPORT"), O_PATH);
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, run_as_nobody, path));
	FILE *out = fdopen(dup(child.said), "r");
	_cleanup_(answer_done) struct answer answer = {.root = json_loadf(out, 0, NULL)};
	(void)fclose(out);
	assert_int_equal(lab_child_wait(&child), 0);
	(void)close(fd);
	const char *why = json_string_value(json_object_get(answer.root, "log_unread"));
	assert_int_equal(why != NULL, is_restricted());
	assert_int_equal(json_object_get(answer.root, "log") == NULL, is_restricted());
	if (why)
		assert_non_null(strstr(why, "dmesg_restrict"));
	assert_false(answer_misses(&answer, "log"));
}

static int setup(void **state)
{
	(void)state;
	struct lp_error err = {0};
	assert_ok(lab_private_mounts(&mounts, &err), err);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_full_table_is_told_with_its_namespace),
	        cmocka_unit_test(a_flood_is_told_with_its_listener),
	        cmocka_unit_test(who_may_not_read_it_is_told),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("log", tests, setup, NULL);
}
