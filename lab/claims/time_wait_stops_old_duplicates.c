/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "lab/claims/claims.h"

#include <string.h>

#include "lab/duplicate.h"

static void tell(struct lab_trial *trial, const char *name, const struct lab_duplicate *o)
{
	lab_case(trial, name);
	lab_saw(trial, "time_wait_held_the_tuple", o->time_wait);
	lab_told(trial, "second_connection", o->refused ? strerror(o->refused) : "established");
	lab_saw(trial, "duplicate_answered_by_ack", o->answered);
	lab_saw(trial, "duplicate_entered_the_stream", o->entered);
	if (o->entered)
		lab_told(trial, "program_read", o->stream);
	lab_saw(trial, "proper_data_lost", o->displaced);
}

static int run(struct lab_trial *trial)
{
	struct lab_duplicate with = {0}, without = {.without = true};
	struct lab_duplicate idle = {.without = true, .idle = true}, stamped = {.stamped = true};
	int r = lab_duplicate_play(trial, &with);
	if (r == 0)
		r = lab_duplicate_play(trial, &without);
	if (r == 0)
		r = lab_duplicate_play(trial, &idle);
	if (r == 0)
		r = lab_duplicate_play(trial, &stamped);
	if (r < 0)
		return r;
	tell(trial, "as it is", &with);
	tell(trial, "with TIME_WAIT taken away", &without);
	tell(trial, "with TIME_WAIT taken away, nothing waiting to be read", &idle);
	tell(trial, "with timestamps, which let a new connection take the tuple over", &stamped);
	if (with.entered)
		return lab_verdict(trial, LAB_REFUTED,
		                   "an old duplicate entered the new connection: the program read "
		                   "\"%s\"%s",
		                   with.stream,
		                   with.displaced ? ", and the data that belonged there was lost"
		                                  : "");
	return lab_verdict_if(
	        trial, with.time_wait && (without.entered || idle.entered),
	        "TIME_WAIT held the tuple, and the duplicate entered nothing; with "
	        "tcp_max_tw_buckets 0 it %s (into one with nothing left to read it "
	        "%s); with timestamps a new connection took the tuple over, and it %s",
	        !without.entered    ? "entered nothing either"
	        : without.displaced ? "entered the new connection's stream and "
	                              "displaced the data that belonged there"
	                            : "entered the new connection's stream",
	        idle.entered ? "got too" : "did not get",
	        stamped.refused   ? "was refused by TIME_WAIT"
	        : stamped.entered ? "entered"
	                          : "was refused by its old timestamp");
}

static const struct lab_turn turns[] = {
        {.what = "no TIME_WAIT is kept at all",
         .expect = LAB_REFUTED,
         .sysctls = {{"ipv4/tcp_max_tw_buckets", "0"}}},
        {0},
};

const struct lab_claim lab_claim_time_wait_stops_old_duplicates = {
        .id = "time-wait-stops-old-duplicates",
        .claim = "the second reason for TIME_WAIT: an old duplicate segment can't enter a new "
                 "connection of the same addresses and ports",
        .source = "RFC 9293 section 3.4.3; RFC 1337; RFC 7323 appendix B for timestamps",
        .experiment = "a scripted peer keeps a copy of a segment, the kernel closes first and "
                      "connects from the same port again, and the copy arrives; with TIME_WAIT, "
                      "with tcp_max_tw_buckets 0, and with timestamps",
        .confirms = "the copy enters no stream with TIME_WAIT, and enters the new one without",
        .refutes = "the copy's data is read from the new connection, or no TIME_WAIT is needed",
        .seconds = 2,
        .run = run,
        .turns = turns,
};
