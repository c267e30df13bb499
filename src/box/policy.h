/*
 * What keeps a box going: the restart policy and the health check of its specification.
 *
 * A box is started again when its workload ends and
 *   no              never
 *   on-failure[:N]  its exit code is not 0, or it was unhealthy; at most N times
 *   always          always
 *   unless-stopped  always
 * but never after a `stop` or `kill` by the user, and not when the start that the user asked for
 * failed. While a shim lives (it does as long as the machine is up) always and unless-stopped are
 * the same; `monitor` too respects the user's stop. docs/policy.md.
 */
#pragma once

#include "box/box.h"
#include "util/time.h"

#include <stdbool.h>

/* "no", "always", "unless-stopped", "on-failure", "on-failure:N". *ret_policy is NULL for "no"
 * (and for ""); the caller frees. INVALID in docker's words. */
int restart_policy_parse(const char *text, char **ret_policy, uint64_t *ret_max,
                         struct err *e) MUST_CHECK;

struct restart_facts {
    int exit_code;
    uint64_t count; /* restarts so far (box->restart_count) */
    bool unhealthy; /* it was stopped because of its health */
};

/* What the policy alone says; that the user did not stop it is the caller's to know. */
bool restart_wanted(const struct box_spec *spec, const struct restart_facts *facts);

/* For `monitor`: is this a box that should run and has no shim? Dead, or ended without its user
 * having asked for it (its shim was told to by the system), and its policy wants it. */
bool restart_missing(const struct box *box);

#define RESTART_DELAY_MIN (1 * NS_PER_S)
#define RESTART_DELAY_MAX (60 * NS_PER_S)
#define RESTART_GOOD_RUN  (30 * NS_PER_S) /* after it the next delay is the shortest again */

/* How long to wait before the next start: twice the delay before the run that has just ended
 * (`last_ns`, 0: none) after `up_ns` of it. */
uint64_t restart_delay_ns(uint64_t last_ns, uint64_t up_ns);

/* ---- health ---- */

#define HEALTH_INTERVAL_DEFAULT (30 * NS_PER_S)
#define HEALTH_TIMEOUT_DEFAULT  (5 * NS_PER_S)  /* with --health-cmd */
#define HEALTH_TIMEOUT_IMAGE    (30 * NS_PER_S) /* of an image's check: docker's default */
#define HEALTH_START_INTERVAL   (5 * NS_PER_S)
#define HEALTH_RETRIES_DEFAULT  3
#define HEALTH_LOG_MAX          5    /* results that are kept, as docker does */
#define HEALTH_OUTPUT_MAX       4096 /* bytes of each, likewise */

/* Has it a check, and was it not disabled? */
bool health_enabled(const struct box_spec *spec);

/* In the record and in the log (see below); docker's words. "" when there is no check. */
#define HEALTH_STARTING  "starting"
#define HEALTH_HEALTHY   "healthy"
#define HEALTH_UNHEALTHY "unhealthy"

/* What a check has said, as inspect shows it: {"Status", "FailingStreak", "Log": [{"Start",
 * "End", "ExitCode", "Output"}]}. Written by the shim when the status changes and at the end; of
 * a running box CTL_HEALTH has it complete. With `changed`, an event health_status. STATE when
 * the record is no longer this shim's. */
int box_set_health(struct db *db, struct box *box, const char *status, const char *log,
                   bool changed, struct err *e) MUST_CHECK;
