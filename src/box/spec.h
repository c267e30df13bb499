/*
 * What a box was asked to be: everything `run` and `create` say, resolved
 * against the image, never changed afterwards. Kept as JSON in state.db.
 *
 * Flags of `run` fill it (cli/flags_box.c), later a CRI request will; the shim
 * turns it into a machine and a container (shim/). Members are owned.
 */
#pragma once

#include "proto/config.h"
#include "util/own.h"

#include <jansson.h>

struct box_ulimit {
    char *name;          /* "nofile" */
    uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

struct box_spec {
    /* identity */
    char *image;    /* the reference as given */
    char *image_id; /* sha256:... */
    char *rootfs;   /* path of the read-only ext4, relative to A3S_HOME: rootfs/<hex>.ext4 */
    char *platform; /* NULL: the image's */
    json_t *labels; /* object, the image's merged in */
    json_t *exposed_ports, *image_volumes; /* what the image declares: objects; NULL: nothing */

    /* the process */
    struct strv entrypoint, cmd; /* what runs is entrypoint + cmd */
    struct strv env;             /* complete, "K=V" */
    char *cwd, *user;            /* NULL: "/" and root */
    struct strv groups;          /* --group-add */
    bool tty, open_stdin, init;
    char *hostname, *domainname; /* hostname NULL: the id's first 12 digits */
    int stop_signal;             /* 15 when nobody said */
    uint64_t stop_timeout_s;     /* 10 when nobody said */
    uint64_t timeout_ns;         /* --timeout: 0 none */

    /* the machine */
    uint64_t cpus;         /* vCPUs */
    uint64_t memory_bytes; /* of the VM; the workload's limit is what the guest leaves of it */
    char *accel;           /* "auto", "kvm", "tcg" */
    uint64_t disk_bytes;   /* size of the writable layer */

    /* the container */
    bool read_only, privileged;
    struct strv cap_add, cap_drop, security_opt; /* as given, checked */
    struct tlv_list tmpfs;                       /* struct mount_tmpfs */
    uint64_t shm_bytes;                          /* 0: 64 MiB */
    struct tlv_list ulimits;                     /* struct box_ulimit */
    struct cgroup_limits limits;
    uint64_t cpu_shares;  /* docker's number for limits.cpu_weight, as given; 0: none */
    struct strv add_host; /* "name:ip" */
    struct strv dns, dns_search, dns_option;
    char *network; /* "none" */

    /* keeping */
    bool auto_remove;
    char *log_driver; /* box/log_config.h reads both */
    json_t *log_opts; /* object of strings */

    /* keeping it going: box/policy.h */
    char *restart_policy;    /* "always", "on-failure", "unless-stopped"; NULL: no */
    uint64_t restart_max;    /* of on-failure; 0: no limit */
    struct strv health_test; /* docker's: NONE | CMD ARG... | CMD-SHELL LINE; empty: none given */
    struct strv health_shell; /* what runs a CMD-SHELL: the image's SHELL; empty: /bin/sh -c */
    uint64_t health_interval_ns, health_timeout_ns; /* the defaults are filled in */
    uint64_t health_start_period_ns, health_start_interval_ns;
    uint64_t health_retries;
};

void box_spec_done(struct box_spec *spec);

/* Both directions are strict: an unknown member is CORRUPT. */
int box_spec_to_json(const struct box_spec *spec, char **ret, struct err *e) MUST_CHECK;
int box_spec_from_json(const char *text, struct box_spec *ret, struct err *e) MUST_CHECK;

/* Check a spec as a whole (combinations, ranges, capability and ulimit names, tmpfs options,
 * seccomp values); INVALID or UNSUPPORTED name the flag. Nothing has been changed yet. */
int box_spec_check(const struct box_spec *spec, struct err *e) MUST_CHECK;
