#include "proto/config.h"

/* Tags are for ever: a member that goes leaves its number unused. */

const struct tlv_row vm_setup_rows[] = {
    { 1, TLV_I64, offsetof(struct vm_setup, clock_ns) },
    { 2, TLV_BYTES, offsetof(struct vm_setup, seed) },
    { 3, TLV_BOOL, offsetof(struct vm_setup, debug) },
    { .type = TLV_END },
};

static const struct tlv_row mount_tmpfs_rows[] = {
    { 1, TLV_STR, offsetof(struct mount_tmpfs, path) },
    { 2, TLV_STR, offsetof(struct mount_tmpfs, options) },
    { .type = TLV_END },
};

static const struct tlv_row rlimit_setting_rows[] = {
    { 1, TLV_U64, offsetof(struct rlimit_setting, resource) },
    { 2, TLV_U64, offsetof(struct rlimit_setting, soft) },
    { 3, TLV_U64, offsetof(struct rlimit_setting, hard) },
    { .type = TLV_END },
};

const struct tlv_row cgroup_limits_rows[] = {
    { 1, TLV_U64, offsetof(struct cgroup_limits, memory_max) },
    { 2, TLV_U64, offsetof(struct cgroup_limits, memory_low) },
    { 3, TLV_I64, offsetof(struct cgroup_limits, memory_swap_max) },
    { 4, TLV_U64, offsetof(struct cgroup_limits, pids_max) },
    { 5, TLV_U64, offsetof(struct cgroup_limits, cpu_weight) },
    { 6, TLV_U64, offsetof(struct cgroup_limits, cpu_quota_us) },
    { 7, TLV_U64, offsetof(struct cgroup_limits, cpu_period_us) },
    { 8, TLV_STR, offsetof(struct cgroup_limits, cpuset) },
    { 9, TLV_I64, offsetof(struct cgroup_limits, oom_score_adj) },
    { 10, TLV_U64, offsetof(struct cgroup_limits, memory_taken) },
    { .type = TLV_END },
};

static const struct tlv_row security_rows[] = {
    { 1, TLV_U64, offsetof(struct security, caps) },
    { 2, TLV_BYTES, offsetof(struct security, seccomp) },
    { 3, TLV_BOOL, offsetof(struct security, no_new_privs) },
    { 4, TLV_BOOL, offsetof(struct security, privileged) },
    { 5, TLV_STRV, offsetof(struct security, masked) },
    { 6, TLV_STRV, offsetof(struct security, readonly) },
    { .type = TLV_END },
};

const struct tlv_row container_config_rows[] = {
    { 1, TLV_STR, offsetof(struct container_config, id) },
    { 2, TLV_STR, offsetof(struct container_config, hostname) },
    { 3, TLV_STR, offsetof(struct container_config, domainname) },
    { 4, TLV_U64, offsetof(struct container_config, lower_lun) },
    { 5, TLV_U64, offsetof(struct container_config, upper_lun) },
    { 6, TLV_BOOL, offsetof(struct container_config, read_only) },
    { 7, TLV_STR, offsetof(struct container_config, etc_hosts) },
    { 8, TLV_STR, offsetof(struct container_config, etc_resolv_conf) },
    { 9, TLV_LIST, offsetof(struct container_config, tmpfs), mount_tmpfs_rows,
      sizeof(struct mount_tmpfs) },
    { 10, TLV_U64, offsetof(struct container_config, shm_bytes) },
    { 11, TLV_LIST, offsetof(struct container_config, rlimits), rlimit_setting_rows,
      sizeof(struct rlimit_setting) },
    { 12, TLV_STRUCT, offsetof(struct container_config, cgroup), cgroup_limits_rows, 0 },
    { 13, TLV_STRUCT, offsetof(struct container_config, security), security_rows, 0 },
    { 14, TLV_BOOL, offsetof(struct container_config, init) },
    { .type = TLV_END },
};

const struct tlv_row exec_request_rows[] = {
    { 1, TLV_STR, offsetof(struct exec_request, container) },
    { 2, TLV_BOOL, offsetof(struct exec_request, main) },
    { 3, TLV_STRV, offsetof(struct exec_request, argv) },
    { 4, TLV_STRV, offsetof(struct exec_request, env) },
    { 5, TLV_STR, offsetof(struct exec_request, cwd) },
    { 6, TLV_STR, offsetof(struct exec_request, user) },
    { 7, TLV_STRV, offsetof(struct exec_request, groups) },
    { 8, TLV_BOOL, offsetof(struct exec_request, tty) },
    { 9, TLV_U64, offsetof(struct exec_request, cols) },
    { 10, TLV_U64, offsetof(struct exec_request, rows) },
    { 11, TLV_BOOL, offsetof(struct exec_request, stdin_open) },
    { 12, TLV_U64, offsetof(struct exec_request, timeout_ns) },
    { 13, TLV_BOOL, offsetof(struct exec_request, privileged) },
    { .type = TLV_END },
};

const struct tlv_row msg_started_rows[] = {
    { 1, TLV_U64, offsetof(struct msg_started, pid) },
    { 2, TLV_U64, offsetof(struct msg_started, uptime_ns) },
    { .type = TLV_END },
};

const struct tlv_row exit_info_rows[] = {
    { 1, TLV_STR, offsetof(struct exit_info, container) },
    { 2, TLV_U64, offsetof(struct exit_info, status) },
    { 3, TLV_U64, offsetof(struct exit_info, reason) },
    { 4, TLV_BOOL, offsetof(struct exit_info, oom_killed) },
    { 5, TLV_I64, offsetof(struct exit_info, finished_ns) },
    { .type = TLV_END },
};

const struct tlv_row error_info_rows[] = {
    { 1, TLV_STR, offsetof(struct error_info, container) },
    { 2, TLV_U64, offsetof(struct error_info, kind) },
    { 3, TLV_U64, offsetof(struct error_info, status) },
    { 4, TLV_STR, offsetof(struct error_info, text) },
    { .type = TLV_END },
};

const struct tlv_row container_signal_rows[] = {
    { 1, TLV_STR, offsetof(struct container_signal, container) },
    { 2, TLV_U64, offsetof(struct container_signal, signal) },
    { 3, TLV_BOOL, offsetof(struct container_signal, all) },
    { .type = TLV_END },
};

const struct tlv_row container_ref_rows[] = {
    { 1, TLV_STR, offsetof(struct container_ref, container) },
    { .type = TLV_END },
};

const struct tlv_row proc_row_rows[] = {
    { 1, TLV_U64, offsetof(struct proc_row, pid) },
    { 2, TLV_U64, offsetof(struct proc_row, ppid) },
    { 3, TLV_U64, offsetof(struct proc_row, uid) },
    { 4, TLV_U64, offsetof(struct proc_row, gid) },
    { 5, TLV_STR, offsetof(struct proc_row, user) },
    { 6, TLV_STR, offsetof(struct proc_row, state) },
    { 7, TLV_STR, offsetof(struct proc_row, tty) },
    { 8, TLV_STR, offsetof(struct proc_row, comm) },
    { 9, TLV_STR, offsetof(struct proc_row, args) },
    { 10, TLV_U64, offsetof(struct proc_row, cpu_ticks) },
    { 11, TLV_U64, offsetof(struct proc_row, start_ns) },
    { 12, TLV_U64, offsetof(struct proc_row, rss_bytes) },
    { 13, TLV_U64, offsetof(struct proc_row, vsz_bytes) },
    { 14, TLV_I64, offsetof(struct proc_row, nice) },
    { 15, TLV_U64, offsetof(struct proc_row, threads) },
    { .type = TLV_END },
};

const struct tlv_row proc_list_rows[] = {
    { 1, TLV_STR, offsetof(struct proc_list, container) },
    { 2, TLV_U64, offsetof(struct proc_list, uptime_ns) },
    { 3, TLV_LIST, offsetof(struct proc_list, procs), proc_row_rows, sizeof(struct proc_row) },
    { 4, TLV_U64, offsetof(struct proc_list, memory_limit) },
    { .type = TLV_END },
};

const struct tlv_row container_stats_rows[] = {
    { 1, TLV_STR, offsetof(struct container_stats, container) },
    { 2, TLV_U64, offsetof(struct container_stats, uptime_ns) },
    { 3, TLV_U64, offsetof(struct container_stats, cpus) },
    { 4, TLV_U64, offsetof(struct container_stats, cpu_ns) },
    { 5, TLV_U64, offsetof(struct container_stats, memory_bytes) },
    { 6, TLV_U64, offsetof(struct container_stats, inactive_file) },
    { 7, TLV_U64, offsetof(struct container_stats, memory_limit) },
    { 8, TLV_U64, offsetof(struct container_stats, pids) },
    { 9, TLV_U64, offsetof(struct container_stats, pids_limit) },
    { 10, TLV_U64, offsetof(struct container_stats, net_received) },
    { 11, TLV_U64, offsetof(struct container_stats, net_sent) },
    { 12, TLV_U64, offsetof(struct container_stats, disk_read) },
    { 13, TLV_U64, offsetof(struct container_stats, disk_written) },
    { .type = TLV_END },
};

const struct tlv_row container_update_rows[] = {
    { 1, TLV_STR, offsetof(struct container_update, container) },
    { 2, TLV_U64, offsetof(struct container_update, vcpus) },
    { 3, TLV_STRUCT, offsetof(struct container_update, cgroup), cgroup_limits_rows, 0 },
    { .type = TLV_END },
};

int error_info_err(const struct error_info *info, enum err_kind unknown, const char *silent,
                   struct err *ret)
{
    bool known = info->kind != ERR_NONE && info->kind < ERR_KIND_N;

    return err_set(ret, known ? (enum err_kind)info->kind : unknown, "%s",
                   info->text ? info->text : silent);
}
