/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/duplicate.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "lab/lab.h"

enum { PORT = 40000, STAMP = 1000, FIRST = 100000, ANSWER_MS = 500, BYTES = 8 };
#define OLD      "OLD DATA" /* of the first connection, of which a copy is still under way */
#define GREETING "greeting" /* what the second one begins with */
#define NEW      "new data" /* of the second one, in the same place of its stream as the copy */
_Static_assert(sizeof(OLD) == BYTES + 1 && sizeof(NEW) == BYTES + 1, "they fill one place");
_Static_assert(sizeof(GREETING) == BYTES + 1, "and so does what is before it");

struct scene {
	struct lab_ns ns;
	struct lab_addr near;
};

static int open_one(const struct scene *scene, struct lab_talk *talk)
{
	struct lab_how how = {
	        .ns = &scene->ns, .from = &scene->near, .options = LAB_NONBLOCK | LAB_REUSEADDR};
	_cleanup_(lp_close_fd) int fd = lab_connect(&how, &talk->self);
	if (fd < 0)
		return fd;
	int r = lab_talk_accept(talk);
	if (r == 0)
		r = lab_wait_tcp_state(fd, TCP_ESTABLISHED, LAB_TIMEOUT_MS);
	return r < 0 ? r : lp_take_fd(fd);
}

/* Data, of which the kernel sends the ACK. */
static int say(struct lab_talk *talk, const char *data)
{
	int r = lab_talk_send(talk, TH_ACK, data, BYTES);
	return r < 0 ? r : lab_talk_wait(talk, TH_ACK, TH_ACK, LAB_TIMEOUT_MS, NULL);
}

/* Whether the program has as much to read. */
static bool hear(int fd, char got[BYTES])
{
	return recv(fd, got, BYTES, MSG_DONTWAIT) == BYTES;
}

/* A whole connection, closed by the kernel first. *ret_old is the segment with its data. */
static int first_connection(const struct scene *scene, struct lab_talk *talk,
                            struct lab_segment *ret_old)
{
	_cleanup_(lp_close_fd) int fd = open_one(scene, talk);
	if (fd < 0)
		return fd;
	*ret_old = lab_talk_segment(talk, TH_ACK, OLD, BYTES);
	char got[BYTES];
	int r = say(talk, OLD);
	if (r == 0 && !hear(fd, got))
		return -EPROTO;
	(void)close(lp_take_fd(fd));
	if (r == 0)
		r = lab_talk_wait(talk, TH_FIN, TH_FIN, LAB_TIMEOUT_MS, NULL);
	if (r == 0)
		r = lab_talk_send(talk, TH_FIN | TH_ACK, NULL, 0);
	struct lab_segment last = {0};
	while (r == 0 && last.ack != talk->next)
		r = lab_talk_wait(talk, TH_ACK | TH_FIN, TH_ACK, LAB_TIMEOUT_MS, &last);
	return r;
}

/*
 * Sends the copy, then what belongs in its place, and reads what the program gets. It matters
 * whether the greeting was read before: newer kernels look closely at the ACK number of a segment
 * (and refuse one as old as the copy's), but not where data comes as foreseen and there is memory
 * left for it, which there is beside data that waits to be read.
 */
static int disturb(struct lab_talk *talk, const struct lab_segment *old, int fd,
                   struct lab_duplicate *o)
{
	char got[BYTES];
	int r = fd < 0 ? 0 : say(talk, GREETING);
	if (r == 0 && o->idle && fd >= 0 && !hear(fd, got))
		r = -EPROTO;
	if (r == 0)
		r = lab_wire_send(talk->wire, old);
	if (r < 0)
		return r;
	o->answered = lab_talk_wait(talk, TH_ACK | TH_RST, TH_ACK, ANSWER_MS, NULL) == 0;
	if (fd < 0)
		return 0;
	if (!o->idle && !hear(fd, got))
		return -EPROTO;
	o->entered = hear(fd, o->stream);
	talk->stamp++;
	r = say(talk, NEW);
	o->displaced = !hear(fd, got);
	return r;
}

/*
 * The same tuple again. The peer's sequence numbers have come round so that the copy lies exactly
 * behind the new stream's greeting: at 1 Gbit/s they need 34 s for that, and their start is chosen
 * anew.
 */
static int second_connection(const struct scene *scene, struct lab_talk *talk,
                             const struct lab_segment *old, struct lab_duplicate *o)
{
	talk->next = old->seq - BYTES - 1;
	talk->stamped = o->stamped;
	talk->stamp = 2 * STAMP;
	_cleanup_(lp_close_fd) int fd = open_one(scene, talk);
	if (fd < 0 && fd != -EADDRNOTAVAIL && fd != -EADDRINUSE)
		return fd;
	o->refused = fd < 0 ? -fd : 0;
	return disturb(talk, old, fd, o);
}

int lab_duplicate_play(struct lab_trial *trial, struct lab_duplicate *story)
{
	struct lp_error *err = lab_error(trial);
	_cleanup_(lab_ns_done) struct lab_ns ns = LAB_NS_NONE;
	_cleanup_(lab_wire_done) struct lab_wire wire = LAB_WIRE_NONE;
	int r = lab_trial_ns(trial, &ns);
	if (r == 0 && story->without)
		r = lab_sysctl(&ns, err, "ipv4/tcp_max_tw_buckets", "0");
	if (r == 0)
		r = lab_wire_open(&ns, "10.9.0.1/24", &wire, err);
	if (r < 0)
		return r;
	struct scene scene = {ns, lab_addr("10.9.0.1", PORT)};
	struct lab_talk talk = {.wire = &wire,
	                        .self = lab_addr("10.9.0.2", 80),
	                        .next = FIRST,
	                        .stamped = story->stamped,
	                        .stamp = STAMP};
	struct lab_segment old;
	r = first_connection(&scene, &talk, &old);
	if (r < 0)
		return lp_fail(err, -r, "the first connection: %s", strerror(-r));
	story->time_wait = lab_tuple_state(&ns, &scene.near, &talk.self) == TCP_TIME_WAIT;
	r = second_connection(&scene, &talk, &old, story);
	if (r < 0)
		return lp_fail(err, -r, "the second connection: %s", strerror(-r));
	return 0;
}
