/*
 * container-update: other limits for a box that is there, whether it runs or not.
 *
 * Of a box that runs the shim changes machine and guest first, then the record: all of it live,
 * or an error that says what cannot be. docs/limits.md.
 */
#pragma once

#include "box/box.h"

#define UPDATE_CPUS       (UINT64_C(1) << 0)
#define UPDATE_CPU_QUOTA  (UINT64_C(1) << 1)
#define UPDATE_CPU_PERIOD (UINT64_C(1) << 2)
#define UPDATE_CPU_WEIGHT (UINT64_C(1) << 3)
#define UPDATE_CPUSET     (UINT64_C(1) << 4)
#define UPDATE_MEMORY     (UINT64_C(1) << 5)
#define UPDATE_MEMORY_LOW (UINT64_C(1) << 6)
#define UPDATE_SWAP       (UINT64_C(1) << 7)
#define UPDATE_PIDS       (UINT64_C(1) << 8)
#define UPDATE_RESTART    (UINT64_C(1) << 9)

struct box_update {
    uint64_t set; /* UPDATE_*: which of the following count; as in struct box_spec */
    uint64_t cpus, memory_bytes;
    struct cgroup_limits limits;
    char *restart_policy; /* NULL: no */
    uint64_t restart_max;
    uint64_t cpu_shares;
};

extern const struct tlv_row box_update_rows[];

void box_update_done(struct box_update *u);

/* What the box would be then, checked as a whole. *ret is the caller's, box_spec_done() also
 * after a failure. */
int box_update_apply(const struct box_update *u, const struct box_spec *spec,
                     struct box_spec *ret, struct err *e) MUST_CHECK;

/* Do it. A box that runs is asked through its shim and answers when it is done. */
int box_update(struct db *db, const char *home, struct box *box, const struct box_update *u,
               struct err *e) MUST_CHECK;

/* The record alone, with the event "update". `live`: by the shim of a box that runs; else STATE
 * when it does. */
int box_update_record(struct db *db, struct box *box, const struct box_update *u, bool live,
                      struct err *e) MUST_CHECK;
