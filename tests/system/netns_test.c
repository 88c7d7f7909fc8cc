/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the command says of namespaces: each one found however it is kept, by its name or inode,
 * and what an ordinary user is told. In a private mount namespace, so the host sees no name.
 */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "ask.h"

enum { MANY = 100, NOBODY = 65534 };

static struct lab_mounts mounts;

/* A namespace that can be told from others by what is in it: a listener on this port. */
static struct lab_ns make_ns(struct lab_fds *fds, uint16_t port)
{
	struct lp_error err = {0};
	struct lab_ns ns;
	assert_ok(lab_ns_make(&ns, &err), err);
	struct lab_addr at = lab_addr("127.0.0.1", port);
	struct lab_how how = {.ns = &ns, .from = &at};
	if (port) {
		int fd = must(lab_listen(&how, 10));
		must(lab_hold(fds, fd));
	}
	return ns;
}

static json_t *queue_of(const struct answer *answer, uint64_t inode, int port)
{
	return limit_find(answer, "accept-queue", inode,
	                  json_pack("{s:s,s:i}", "listener", "127.0.0.1", "listener_port", port));
}

static const char *name_of(const json_t *limit)
{
	return json_string_value(json_object_get(json_object_get(limit, "netns"), "name"));
}

/* How many different namespaces the limits speak of; all of them this one if inode is not 0. */
static size_t count_namespaces(const struct answer *answer, uint64_t inode)
{
	json_t *seen = json_object(), *limit;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "limits"), i, limit)
	{
		const json_t *netns = json_object_get(limit, "netns");
		if (!netns)
			continue;
		char key[32];
		uint64_t this = (uint64_t)json_integer_value(json_object_get(netns, "inode"));
		(void)snprintf(key, sizeof(key), "%" PRIu64, this);
		if (inode)
			assert_int_equal(this, inode);
		(void)json_object_set_new(seen, key, json_true());
	}
	size_t n = json_object_size(seen);
	json_decref(seen);
	return n;
}

/* A child that is in the namespace. */
static int stay_inside(void *data, int say)
{
	struct lab_ns *ns = data;
	if (lab_enter(ns) < 0)
		return 1;
	lab_ns_done(ns);
	lab_child_ready(say);
}

/* By a process in it, a name, a bind mount elsewhere, a descriptor: all are found at once. */
static void found_however_kept(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_ns by_process = make_ns(&fds, 1001);
	_cleanup_(lab_child_stop) struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, stay_inside, &by_process));
	/* after the child, which would hold their descriptors too */
	struct lab_ns by_name = make_ns(&fds, 1002), by_mount = make_ns(&fds, 1003);
	_cleanup_(lab_ns_done) struct lab_ns by_descriptor = make_ns(&fds, 1004);
	assert_ok(lab_ns_name(&mounts, &by_name, "lab-named", &err), err);
	assert_ok(lab_ns_bind(&mounts, &by_mount, "/mnt/lab-mounted", &err), err);
	lab_ns_done(&by_process);
	lab_ns_done(&by_name);
	lab_ns_done(&by_mount);

	_cleanup_(answer_done) struct answer answer = ask_all();
	assert_non_null(queue_of(&answer, by_process.inode, 1001));
	assert_non_null(queue_of(&answer, by_mount.inode, 1003));
	assert_non_null(queue_of(&answer, by_descriptor.inode, 1004));
	json_t *named = queue_of(&answer, by_name.inode, 1002);
	assert_non_null(named);
	assert_string_equal(name_of(named), "lab-named");
	assert_null(name_of(queue_of(&answer, by_mount.inode, 1003)));
	(void)umount2("/run/netns/lab-named", MNT_DETACH);
	(void)umount2("/mnt/lab-mounted", MNT_DETACH);
}

static struct answer ask_one(const char *netns)
{
	struct answer answer =
	        ask_raw("status", "--json", "--all", "--exact", "--netns", netns, NULL);
	if (answer.status != 0)
		fail_msg("--netns %s: %s", netns, answer.errors);
	return answer;
}

/* --netns NAME, INODE, self and host each give that namespace and no other. */
static void chosen(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = make_ns(&fds, 1001);
	_cleanup_(lab_ns_done) struct lab_ns own = LAB_NS_NONE;
	assert_ok(lab_ns_self(&own, &err), err);
	assert_ok(lab_ns_name(&mounts, &ns, "lab-chosen", &err), err);

	struct answer answer = ask_one("lab-chosen");
	assert_int_equal(count_namespaces(&answer, ns.inode), 1);
	assert_non_null(queue_of(&answer, ns.inode, 1001));
	answer_done(&answer);

	char inode[32];
	(void)snprintf(inode, sizeof(inode), "%" PRIu64, ns.inode);
	answer = ask_one(inode);
	assert_int_equal(count_namespaces(&answer, ns.inode), 1);
	answer_done(&answer);

	answer = ask_one("self");
	assert_int_equal(count_namespaces(&answer, own.inode), 1);
	answer_done(&answer);

	_cleanup_(lab_leave) int home = must(lab_enter(&ns));
	(void)home;
	answer = ask_one("host");
	assert_int_equal(count_namespaces(&answer, 0), 1);
	const json_t *limit = limit_must(&answer, "time-wait-buckets", 0, json_object());
	assert_string_equal(name_of(limit), "host");
	struct stat host;
	if (stat("/proc/1/ns/net", &host) == 0) /* not everywhere even root may ask */
		assert_int_equal(count_namespaces(&answer, host.st_ino), 1);
	answer_done(&answer);
	answer = ask_one("self");
	assert_int_equal(count_namespaces(&answer, ns.inode), 1);
	answer_done(&answer);
	(void)umount2("/run/netns/lab-chosen", MNT_DETACH);
}

/* Told which, and what was expected; nothing on standard output. */
static void unknown(void **state)
{
	(void)state;
	static const char *const wrong[] = {"no-such-name", "4026500000", "", "../etc"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		_cleanup_(answer_done) struct answer answer =
		        ask_raw("status", "--json", "--netns", wrong[i], NULL);
		assert_int_equal(answer.status, 64);
		assert_null(answer.root);
		assert_non_null(strstr(answer.errors, wrong[i]));
		assert_non_null(strstr(answer.errors, "expected"));
	}
}

static void many(void **state)
{
	(void)state;
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_ns all[MANY];
	for (int i = 0; i < MANY; i++)
		all[i] = make_ns(&fds, (uint16_t)(2000 + i));
	_cleanup_(answer_done) struct answer answer = ask_all();
	for (int i = 0; i < MANY; i++) {
		if (!queue_of(&answer, all[i].inode, 2000 + i))
			fail_msg("namespace %d of %d is missing", i, MANY);
		lab_ns_done(&all[i]);
	}
	assert_true(count_namespaces(&answer, 0) > MANY);
}

/* Looks at every namespace over and over, and so is in each of them for a moment. */
static int visit(void *data, int say)
{
	const char *const argv[] = {data, "status", "--json", NULL};
	if (write(say, "r", 1) != 1)
		return 1;
	for (;;) {
		struct lab_output out;
		(void)lab_run(argv, 60000, &out, NULL);
		lab_output_done(&out);
	}
}

/* Others that look at the same time make no namespace go missing. */
static void found_among_visitors(void **state)
{
	enum { VISITORS = 3, LOOKS = 12, HELD = 40 };
	(void)state;
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	struct lab_ns all[HELD];
	struct lab_child visitors[VISITORS];
	unsigned missing = 0;
	for (int i = 0; i < HELD; i++)
		all[i] = make_ns(&fds, (uint16_t)(2000 + i));
	for (int i = 0; i < VISITORS; i++)
		must(lab_child_start(&visitors[i], visit, getenv("LASTPORT")));
	for (int look = 0; look < LOOKS; look++) {
		_cleanup_(answer_done) struct answer answer = ask_all();
		unsigned before = missing;
		for (int i = 0; i < HELD; i++)
			missing += !queue_of(&answer, all[i].inode, 2000 + i);
		if (missing > before)
			note("look %d misses %u; incomplete: %s", look, missing - before,
			     json_dumps(json_object_get(answer.root, "incomplete"), 0));
	}
	for (int i = 0; i < VISITORS; i++)
		lab_child_stop(&visitors[i]);
	for (int i = 0; i < HELD; i++)
		lab_ns_done(&all[i]);
	assert_int_equal(missing, 0);
}

/* ---- an ordinary user ----------------------------------------------------------------------- */

struct user {
	const char *binary; /* a path that works wherever the checkout lies */
	const struct lab_ns *ns;
	const char *netns; /* --netns, or NULL */
};

/* Runs the command as nobody in the namespace, its output to `say`. */
static int run_as_user(void *data, int say)
{
	const struct user *user = data;
	const char *argv[] = {
	        user->binary, "status", "--json", "--all", user->netns ? "--netns" : NULL,
	        user->netns,  NULL};
	if (lab_enter(user->ns) < 0 || lab_become(NOBODY, NOBODY) < 0 ||
	    dup2(say, STDOUT_FILENO) < 0)
		return 126;
	(void)execv(argv[0], (char *const *)argv);
	return 127;
}

static struct answer ask_as_user(const struct lab_ns *ns, const char *netns)
{
	/* As a descriptor, because the checkout may lie where nobody may look. */
	int fd = open(getenv("LASTPORT"), O_PATH);
	char path[64];
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	struct user user = {.binary = path, .ns = ns, .netns = netns};
	struct lab_child child = LAB_CHILD_NONE;
	must(lab_child_start(&child, run_as_user, &user));
	FILE *out = fdopen(dup(child.said), "r");
	struct answer answer = {.root = json_loadf(out, 0, NULL)};
	(void)fclose(out);
	answer.status = lab_child_wait(&child);
	(void)close(fd);
	return answer;
}

/* Sees the own namespace, and is told that others are not seen. */
static void ordinary_user(void **state)
{
	(void)state;
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = make_ns(&fds, 1001);
	struct lab_addr to = lab_addr("127.0.0.1", 1001);
	struct lab_how how = {.ns = &ns};
	must_count(lab_connect_many(&how, &to, 5, &fds), 5);

	_cleanup_(answer_done) struct answer answer = ask_as_user(&ns, NULL);
	assert_int_equal(answer.status, 0);
	assert_int_equal(count_namespaces(&answer, ns.inode), 1);
	assert_int_equal(limit_figure(queue_of(&answer, ns.inode, 1001), "used"), 5);
	const json_t *pool =
	        limit_must(&answer, "local-ports", ns.inode,
	                   json_pack("{s:s,s:i}", "remote", "127.0.0.1", "remote_port", 1001));
	assert_int_equal(limit_figure(pool, "used"), 5);
	assert_true(json_is_false(json_object_get(answer.root, "complete")));
	assert_true(answer_misses(&answer, "namespaces"));
}

/* May not enter it: no answer that would look like one, and an exit status that says so. */
static void ordinary_user_asks_for_another(void **state)
{
	(void)state;
	struct lp_error err = {0};
	_cleanup_(lab_fds_done) struct lab_fds fds = {0};
	_cleanup_(lab_ns_done) struct lab_ns ns = make_ns(&fds, 0), other = make_ns(&fds, 1001);
	assert_ok(lab_ns_name(&mounts, &other, "lab-other", &err), err);
	_cleanup_(answer_done) struct answer answer = ask_as_user(&ns, "lab-other");
	assert_true(answer.status == 77 || answer.status == 64);
	assert_null(answer.root);
	(void)umount2("/run/netns/lab-other", MNT_DETACH);
}

static int setup(void **state)
{
	(void)state;
	struct lp_error err = {0};
	assert_ok(lab_private_mounts(&mounts, &err), err);
	must(mount("lab", "/mnt", "tmpfs", 0, NULL));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(found_however_kept),
	        cmocka_unit_test(chosen),
	        cmocka_unit_test(unknown),
	        cmocka_unit_test(many),
	        cmocka_unit_test(found_among_visitors),
	        cmocka_unit_test(ordinary_user),
	        cmocka_unit_test(ordinary_user_asks_for_another),
	};
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("netns", tests, setup, NULL);
}
