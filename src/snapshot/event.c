/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/event.h"

const struct lp_event_name lp_event_names[LP_EVENTS] = {
        [LP_EVENT_REFUSED] = {"refused", "refused"},
        [LP_EVENT_CLOSED_FIRST] = {"closed-first", "closed first"},
        [LP_EVENT_TIME_WAIT_CUT] = {"time-wait-cut", "TIME_WAIT cut short"},
        [LP_EVENT_ACCEPT_QUEUE_FULL] = {"accept-queue-full", "accept queue full"},
        [LP_EVENT_SYN_QUEUE_FULL] = {"syn-queue-full", "SYN queue full"},
        [LP_EVENT_TIMESTAMP_TOO_OLD] = {"timestamp-too-old", "timestamp too old"},
        [LP_EVENT_OUT_OF_MEMORY] = {"out-of-memory", "TCP out of memory"},
        [LP_EVENT_CONNTRACK_DROP] = {"conntrack-drop", "dropped by connection tracking"},
        [LP_EVENT_NETFILTER_DROP] = {"netfilter-drop", "SYN dropped by netfilter"},
        [LP_EVENT_LOG] = {"log", "kernel log"},
};
