/*
 * What host and guest tell each other, as structs with their TLV tables.
 * docs/protocols.md, section 4, lists every tag.
 *
 * Strings are UTF-8 or arbitrary bytes without NUL (arguments, environment).
 */
#pragma once

#include "proto/tlv.h"

/* MSG_VM_CONFIG: once per boot or restore, before anything of the user runs. */
struct vm_setup {
    int64_t clock_ns;  /* wall clock, since 1970 */
    struct bytes seed; /* entropy for the guest's kernel, >= 32 bytes */
    bool debug;        /* send MSG_LOG lines of level debug too */
};

struct mount_tmpfs {
    char *path;    /* absolute, in the container */
    char *options; /* as for mount(8), checked by the guest; NULL: docker's default */
};

struct rlimit_setting {
    uint64_t resource;   /* Linux RLIMIT_* number */
    uint64_t soft, hard; /* UINT64_MAX: unlimited */
};

struct cgroup_limits {
    uint64_t memory_max, memory_low; /* bytes; 0: none */
    int64_t memory_swap_max;         /* bytes; 0: none given; -1: unlimited */
    uint64_t pids_max;               /* 0: none */
    uint64_t cpu_weight;             /* 1..10000; 0: default */
    uint64_t cpu_quota_us;           /* per period; 0: none */
    uint64_t cpu_period_us;          /* 0: 100000 */
    char *cpuset;                    /* "0-1,3"; NULL: all */
    int64_t oom_score_adj;
    uint64_t memory_taken; /* of the machine, by its balloon: bytes that nothing may count on */
};

/* Capabilities, seccomp and the rest that is applied to a process just before execve(). */
struct security {
    uint64_t caps;        /* bounding, permitted, effective: bit N is capability N */
    struct bytes seccomp; /* struct sock_filter[]; empty: none */
    bool no_new_privs;
    bool privileged;      /* all of /proc and /sys writable, all devices */
    struct strv masked;   /* paths hidden by an empty file or directory */
    struct strv readonly; /* paths mounted read-only */
};

/* MSG_CONTAINER_CREATE: everything but the process. */
struct container_config {
    char *id;
    char *hostname, *domainname;
    uint64_t lower_lun; /* number (LUN) of the read-only root file system + 1; 0: none */
    uint64_t upper_lun; /* number (LUN) of the writable layer + 1; 0: a tmpfs */
    bool read_only;     /* --read-only */
    char *etc_hosts, *etc_resolv_conf; /* file contents; NULL: the image's own are left */
    struct tlv_list tmpfs;             /* struct mount_tmpfs */
    uint64_t shm_bytes;                /* 0: 64 MiB */
    struct tlv_list rlimits;           /* struct rlimit_setting */
    struct cgroup_limits cgroup;
    struct security security;
    bool init; /* --init: a reaper of ours is PID 1 */
};

/* MSG_START on PORT_EXEC or PORT_PTY. */
struct exec_request {
    char *container;    /* id */
    bool main;          /* this is the container's PID 1 */
    struct strv argv;   /* at least one */
    struct strv env;    /* complete; the guest adds HOME, HOSTNAME and TERM where missing */
    char *cwd;          /* NULL: "/"; created when missing and `main` */
    char *user;         /* "uid", "name", "uid:gid", "name:group"; NULL: root */
    struct strv groups; /* supplementary, names or numbers, on top of the user's own */
    bool tty;
    uint64_t cols, rows; /* 0: 80x24 */
    bool stdin_open;     /* false: /dev/null */
    uint64_t timeout_ns; /* 0: none; after it SIGKILL, exit 137 with reason TIMEOUT */
    bool privileged;     /* exec --privileged: all capabilities, no seccomp */
};

struct msg_started {
    uint64_t pid;       /* as guest-init sees it */
    uint64_t uptime_ns; /* of the guest's kernel */
};

enum exit_reason { EXIT_NORMAL = 0, EXIT_SIGNALED = 1, EXIT_TIMEOUT = 2, EXIT_OOM = 3 };

/* MSG_EXIT, MSG_CONTAINER_EXITED */
struct exit_info {
    char *container;     /* NULL in MSG_EXIT */
    uint64_t status;     /* exit code, or 128 + signal */
    uint64_t reason;     /* enum exit_reason */
    bool oom_killed;     /* the container's cgroup met its memory limit */
    int64_t finished_ns; /* wall clock */
};

/* MSG_ERROR, MSG_CONTAINER_FAILED */
struct error_info {
    char *container; /* NULL in MSG_ERROR */
    uint64_t kind;   /* enum err_kind */
    uint64_t status; /* exit status to report: 126 cannot execute, 127 not found, 125 other */
    char *text;
};

/* MSG_CONTAINER_SIGNAL */
struct container_signal {
    char *container;
    uint64_t signal;
    bool all; /* every process of the container, not only its PID 1 */
};

struct container_ref {
    char *container;
};

struct proc_row {
    uint64_t pid, ppid; /* as in the container's /proc */
    uint64_t uid, gid;
    char *user;  /* name in the container's passwd, or NULL */
    char *state; /* "S", "R", ... */
    char *tty;   /* "pts/0", "?" */
    char *comm, *args;
    uint64_t cpu_ticks, start_ns; /* user + system time in 1/100 s; start: since boot */
    uint64_t rss_bytes, vsz_bytes;
    int64_t nice;
    uint64_t threads;
};

/* MSG_CONTAINER_UPDATE: other limits for what runs; oom_score_adj stays what it was */
struct container_update {
    char *container;
    uint64_t vcpus; /* of the machine, to be online; 0: as they are */
    struct cgroup_limits cgroup;
};

/* MSG_CONTAINER_PROC_LIST */
struct proc_list {
    char *container;
    uint64_t uptime_ns;    /* of the guest, when the list was made */
    struct tlv_list procs; /* struct proc_row */
    uint64_t memory_limit; /* bytes the container may use: its limit, or what the machine has */
};

/* MSG_CONTAINER_STATS_DATA. Counters start with the container. */
struct container_stats {
    char *container;
    uint64_t uptime_ns;     /* of the guest, when they were read; 0: nothing runs, or is paused */
    uint64_t cpus;          /* that are online */
    uint64_t cpu_ns;        /* used by all processes, those that have ended included */
    uint64_t memory_bytes;  /* charged, page cache included */
    uint64_t inactive_file; /* bytes of it: page cache that can go at once */
    uint64_t memory_limit;  /* bytes it may use: its limit, or what the machine has */
    uint64_t pids;          /* processes and threads */
    uint64_t pids_limit;    /* 0: none */
    uint64_t net_received;  /* bytes, without the loopback */
    uint64_t net_sent;      /* bytes, without the loopback */
    uint64_t disk_read;     /* bytes */
    uint64_t disk_written;  /* bytes */
};

extern const struct tlv_row container_update_rows[], cgroup_limits_rows[], vm_setup_rows[],
    container_config_rows[], exec_request_rows[], msg_started_rows[], exit_info_rows[],
    error_info_rows[], container_signal_rows[], container_ref_rows[], container_stats_rows[],
    proc_list_rows[], proc_row_rows[];

/* tlv_decode(), tlv_encode() and tlv_done() with the right table and size. */
#define config_decode(type, cur, into, e)                                                        \
    tlv_decode(type##_rows, (cur), (into), sizeof(struct type), (e))
#define config_encode(type, from, out, e) tlv_encode(type##_rows, (from), (out), (e))
#define config_done(type, at)             tlv_done(type##_rows, (at))

/* What the peer says has gone wrong. `unknown` is its kind when it names none of ours, `silent`
 * its text when it gives none. Returns -kind. */
int error_info_err(const struct error_info *info, enum err_kind unknown, const char *silent,
                   struct err *ret) NONNULL(1, 3, 4);
