/*
 * The flags that `run` and `create` share, and what they mean for a box.
 *
 * Three steps, so that nothing has changed when something is refused: refuse what we cannot do,
 * fill a spec from flags and image, box_spec_check() the whole.
 */
#pragma once

#include "box/spec.h"
#include "cli/opt.h"
#include "oci/image.h"

/* Flags of later versions: they exist so that they are refused by name, not stored. A value
 * flag each: id, key, name. */
#define BOX_LATER_VALUES(X)                                                                      \
    X(VOLUME, 'v', "volume")                                                                     \
    X(MOUNT, 0, "mount")                                                                         \
    X(VOLUMES_FROM, 0, "volumes-from")                                                           \
    X(VOLUME_DRIVER, 0, "volume-driver")                                                         \
    X(PUBLISH, 'p', "publish")                                                                   \
    X(EXPOSE, 0, "expose")                                                                       \
    X(NETWORK_ALIAS, 0, "network-alias")                                                         \
    X(LINK, 0, "link")                                                                           \
    X(IP, 0, "ip")                                                                               \
    X(IP6, 0, "ip6")                                                                             \
    X(LINK_LOCAL_IP, 0, "link-local-ip")                                                         \
    X(MAC_ADDRESS, 0, "mac-address")                                                             \
    X(DEVICE, 0, "device")                                                                       \
    X(DEVICE_CGROUP_RULE, 0, "device-cgroup-rule")                                               \
    X(DEVICE_READ_BPS, 0, "device-read-bps")                                                     \
    X(DEVICE_READ_IOPS, 0, "device-read-iops")                                                   \
    X(DEVICE_WRITE_BPS, 0, "device-write-bps")                                                   \
    X(DEVICE_WRITE_IOPS, 0, "device-write-iops")                                                 \
    X(GPUS, 0, "gpus")                                                                           \
    X(BLKIO_WEIGHT, 0, "blkio-weight")                                                           \
    X(BLKIO_WEIGHT_DEVICE, 0, "blkio-weight-device")                                             \
    X(CPU_RT_PERIOD, 0, "cpu-rt-period")                                                         \
    X(CPU_RT_RUNTIME, 0, "cpu-rt-runtime")                                                       \
    X(CPUSET_MEMS, 0, "cpuset-mems")                                                             \
    X(KERNEL_MEMORY, 0, "kernel-memory")                                                         \
    X(MEMORY_SWAPPINESS, 0, "memory-swappiness")                                                 \
    X(CGROUP_PARENT, 0, "cgroup-parent")                                                         \
    X(IPC, 0, "ipc")                                                                             \
    X(PID, 0, "pid")                                                                             \
    X(UTS, 0, "uts")                                                                             \
    X(USERNS, 0, "userns")                                                                       \
    X(SYSCTL, 0, "sysctl")                                                                       \
    X(STORAGE_OPT, 0, "storage-opt")                                                             \
    X(RUNTIME, 0, "runtime")                                                                     \
    X(ANNOTATION, 0, "annotation")                                                               \
    X(ISOLATION, 0, "isolation")                                                                 \
    X(VIRTIOFS_CACHE, 0, "virtiofs-cache")                                                       \
    X(PACKAGE_CACHE, 0, "package-cache")                                                         \
    X(POOL_SOCKET, 0, "pool-socket")                                                             \
    X(TEE_WORKLOAD_ID, 0, "tee-workload-id")                                                     \
    X(SIDECAR, 0, "sidecar")                                                                     \
    X(SIDECAR_VSOCK_PORT, 0, "sidecar-vsock-port")

/* Likewise, flags without a value. */
#define BOX_LATER_FLAGS(X)                                                                       \
    X(PUBLISH_ALL, 'P', "publish-all")                                                           \
    X(OOM_KILL_DISABLE, 0, "oom-kill-disable")                                                   \
    X(USE_API_SOCKET, 0, "use-api-socket")                                                       \
    X(TEE, 0, "tee")                                                                             \
    X(TEE_SIMULATE, 0, "tee-simulate")                                                           \
    X(POOL, 0, "pool")                                                                           \
    X(POOL_AUTOSTART, 0, "pool-autostart")                                                       \
    X(POOL_EXEC, 0, "pool-exec")

enum box_later_value {
#define X(id, key, name) BOX_LATER_##id,
    BOX_LATER_VALUES(X)
#undef X
        BOX_LATER_VALUE_N,
};

enum box_later_flag {
#define X(id, key, name) BOX_LATER_F_##id,
    BOX_LATER_FLAGS(X)
#undef X
        BOX_LATER_FLAG_N,
};

struct box_flags {
    const char *name, *cidfile, *pull, *platform;
    const char *cpus, *memory;
    struct str_list env, env_file, label, label_file;
    const char *workdir, *user, *entrypoint, *hostname, *domainname;
    struct str_list add_host, dns, dns_search, dns_option, group_add;
    const char *network, *restart, *cgroupns;
    struct str_list tmpfs, ulimit, cap_add, cap_drop, security_opt;
    bool read_only, init, privileged, tty, interactive, no_stdin, auto_remove, persistent;
    struct str_list attach;
    const char *memory_reservation, *memory_swap, *cpuset_cpus, *accel;
    uint64_t shm_size, storage_size;
    int64_t cpu_shares, cpu_quota, cpu_period, pids_limit, oom_score_adj, stop_timeout;
    const char *stop_signal;
    uint64_t timeout_ns;
    const char *log_driver;
    struct str_list log_opt;
    const char *health_cmd, *health_interval, *health_timeout;
    const char *health_start_period, *health_start_interval;
    int64_t health_retries; /* 0: not given */
    bool no_healthcheck;
    bool quiet, content_trust; /* accepted: they ask for what is the case */
    struct str_list later_value[BOX_LATER_VALUE_N];
    bool later_flag[BOX_LATER_FLAG_N];
};

#define BOX_FLAGS_DEFAULTS                                                                       \
    {                                                                                            \
        .stop_timeout = INT64_MIN                                                                \
    }

/* For OPT_TABLE(box_flag_rows, struct run_args, box). */
extern const struct opt box_flag_rows[];

/* UNSUPPORTED names the first flag that only a later version knows. */
int box_flags_refuse(const struct box_flags *f, struct err *e) MUST_CHECK;

/* `command`: what follows the image, NULL-terminated. INVALID names the flag. Reads the files of
 * --env-file and --label-file and this process's environment. The caller calls box_spec_done()
 * also on failure. */
int box_flags_fill(const struct box_flags *f, const char *image, const struct image *img,
                   char *const *command, struct box_spec *ret, struct err *e) MUST_CHECK;

/* Parts of it, for `exec` and `container-update` too. */

/* CPUs, memory, disk size and the limits within them. */
int flags_limits(const struct box_flags *f, struct box_spec *s, struct err *e) MUST_CHECK;

/* The same flags where they were given, as a change of `now`. pids_limit is FLAG_NOT_GIVEN when
 * it was not. *ret is the caller's: box_update_done(). */
#define FLAG_NOT_GIVEN INT64_MIN
struct box_update;
int flags_update(const struct box_flags *f, const struct box_spec *now, struct box_update *ret,
                 struct err *e) MUST_CHECK;

/* Restart policy and health check (flags_policy.c). */
int flags_policy(const struct box_flags *f, const struct image *img, struct box_spec *s,
                 struct err *e) MUST_CHECK;

/* docker's --env-file and --env: later ones replace earlier ones; "K" takes the value of this
 * process's environment, or removes K. */
int flags_env(const struct str_list *files, const struct str_list *values, struct strv *env,
              struct err *e) MUST_CHECK;
/* "K=V" into an environment: replaces K's value where it is. A text without '=' removes K. */
bool env_set(struct strv *env, const char *text);
/* Join a relative path to `base`, or copy. The caller frees. */
char *path_join(const char *base, const char *path);
