#include "shim/shim.h"
#include "util/fd.h"
#include "util/log.h"
#include "util/parse.h"
#include "util/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define SHIM_LOG_MAX (1 << 20) /* started afresh above it */
#define LOCK_WAIT_S  10        /* what is waited for takes microseconds */

/* From the start of the VMM to the workload's; a cold boot takes a tenth of it. */
#define BOOT_WAIT_KVM (30 * NS_PER_S)
#define BOOT_WAIT_TCG (120 * NS_PER_S)
/* A boot that has used this much CPU time hangs in a loop (under TCG it takes 2 s), one that has
 * taken this long on the clock hangs, waits for nothing, or has a host that is far too busy.
 * Nested virtualisation loses interrupts between CPUs, so this is not for TCG alone. */
#define STALL_CPU   (30 * NS_PER_S)
#define STALL_CLOCK (60 * NS_PER_S)

#define CPUS_LATER 16 /* what container-update may want of a box that was started with less */

/* ---- the box ----------------------------------------------------------- */

static int make_dir(int dirfd, const char *name, struct err *e)
{
    if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
        return err_os(e, "mkdir %s", name);
    return 0;
}

static int open_log(struct shim *sh, struct err *e)
{
    autofd int fd = -1;
    struct stat st;

    fd = openat(sh->dir_fd, BOX_SHIM_LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(e, "open %s", BOX_SHIM_LOG);
    if (fstat(fd, &st) == 0 && st.st_size > SHIM_LOG_MAX && ftruncate(fd, 0) < 0)
        return err_os(e, "truncate %s", BOX_SHIM_LOG);
    if (dup2(fd, STDERR_FILENO) < 0)
        return err_os(e, "dup2");
    return 0;
}

static int open_box(struct shim *sh, const struct shim_args *args, struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(sh->home, &db, e);
    if (r == 0)
        r = box_find(db, sh->home, args->box_id, &sh->box, e);
    if (r < 0)
        return r;
    (void)snprintf(sh->short_id, sizeof(sh->short_id), "%.12s", sh->box->id);
    log_set_box(sh->short_id);
    if (sh->dir_fd < 0)
        sh->dir_fd = box_open_dir(sh->home, sh->box, e);
    if (sh->dir_fd < 0)
        return sh->dir_fd;
    r = make_dir(sh->dir_fd, "sockets", e);
    if (r == 0)
        r = make_dir(sh->dir_fd, "logs", e);
    return r == 0 ? open_log(sh, e) : r;
}

/* Before another run: does the record still say that we wait for it? */
static int check_claim(struct shim *sh, uint64_t start, struct err *e)
{
    const struct box *box = sh->box;

    if (box->state != BOX_RESTARTING || box->shim_pid != getpid() || box->shim_start != start)
        return err_set(e, ERR_STATE, "Box %s does not wait for its restart", box->name);
    sh->claimed = true;
    return 0;
}

/* From here on the record names us, and nobody else starts this box. */
static int claim(struct shim *sh, const struct shim_args *args, bool attached, struct err *e)
{
    struct box_change change = {
        .to = BOX_STARTING,
        .set_shim = true,
        .shim_pid = getpid(),
        .stopped_by_user = -1,
        .attached = attached,
        .restart = args->count_restart,
    };
    int r;

    r = proc_start_time(getpid(), &change.shim_start, e);
    if (r == 0 && args->again)
        return check_claim(sh, change.shim_start, e);
    if (r == 0)
        r = shim_record(sh, &change, e);
    sh->claimed = r == 0;
    return r;
}

static void on_alarm(int signal UNUSED)
{
    /* ends flock() */
}

/* The shim of the box's last run may be about to remove its sockets, which it does after it has
 * let the record go: they must not be ours. */
static int lock_box(struct shim *sh, struct err *e)
{
    const struct sigaction act = { .sa_handler = on_alarm }; /* without SA_RESTART */
    int r;

    if (sigaction(SIGALRM, &act, NULL) < 0)
        return err_os(e, "SIGALRM");
    (void)alarm(LOCK_WAIT_S);
    r = flock(sh->dir_fd, LOCK_EX);
    if (r < 0)
        r = err_os(e, "lock of the box's directory");
    (void)alarm(0);
    return r;
}

static int listen_all(struct shim *sh, int own_ctl_fd, struct err *e)
{
    static const char *const names[RELAY_KINDS] = { BOX_EXEC_SOCK, BOX_PTY_SOCK, BOX_VSOCK_SOCK,
                                                    BOX_FILES_SOCK };
    autofd int ctl = own_ctl_fd;
    int fd;

    for (int i = 0; i < RELAY_KINDS; i++) {
        fd = fd_unix_listen(sh->dir_fd, names[i], e);
        if (fd < 0)
            return fd;
        relays_listen(&sh->relays, (enum relay_kind)i, fd);
    }
    if (ctl < 0)
        ctl = fd_unix_listen(sh->dir_fd, BOX_CTL_SOCK, e);
    return ctl < 0 ? ctl : clients_listen(sh, take_fd(&ctl), e);
}

static int open_logs(struct shim *sh, struct err *e)
{
    sh->console_fd = openat(sh->dir_fd, BOX_CONSOLE_LOG,
                            O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    if (sh->console_fd < 0)
        return err_os(e, "open %s", BOX_CONSOLE_LOG);
    return workload_open_log(sh, e);
}

/* ---- the machine ------------------------------------------------------- */

struct guest_files {
    char *kernel, *initramfs;
};

static void guest_files_done(struct guest_files *g)
{
    free(g->kernel);
    free(g->initramfs);
}

/* Beside our own program, in guest/; the environment overrides (README). */
static int find_guest(struct guest_files *ret, struct err *e)
{
    const char *kernel = getenv("A3S_BOX_KERNEL"), *dir = getenv("A3S_BOX_GUEST_DIR");
    autofree char *beside = NULL;
    char self[4096];
    ssize_t n;

    if (!dir || !*dir) {
        n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        if (n < 0)
            return err_os(e, "readlink /proc/self/exe");
        self[n] = '\0';
        *strrchr(self, '/') = '\0';
        beside = str_format("%s/guest", self);
        dir = beside;
    }
    ret->kernel = dir ? str_format("%s/vmlinux", dir) : NULL;
    ret->initramfs = dir ? str_format("%s/initramfs", dir) : NULL;
    if (kernel && *kernel && ret->kernel) {
        free(ret->kernel);
        ret->kernel = strdup(kernel);
    }
    return ret->kernel && ret->initramfs ? 0 : err_os_at(e, ENOMEM, "guest files");
}

static int start_vm(struct shim *sh, const struct guest_files *guest, int vm_fd, struct err *e)
{
    const struct box_spec *spec = &sh->box->spec;
    autofree char *lower = str_format("%s/%s", sh->home, spec->rootfs);
    autofree char *upper = str_format("%s/boxes/%s/%s", sh->home, sh->box->id, BOX_DISK);
    autofree char *cache = str_format("%s/cache", sh->home);
    struct vm_disk disks[] = {
        { .id = "rootfs", .path = lower, .lun = 0, .read_only = true },
        { .id = "layer", .path = upper, .lun = 1 },
    };
    struct vm_config c = {
        .name = sh->box->name,
        .accel_cache_dir = cache,
        .memory_bytes = spec->memory_bytes,
        .vcpus = spec->cpus <= VM_VCPUS_MAX ? (unsigned)spec->cpus : VM_VCPUS_MAX + 1,
        .vcpus_max = spec->cpus < CPUS_LATER ? CPUS_LATER : (unsigned)spec->cpus,
        .kernel = guest->kernel,
        .initramfs = guest->initramfs,
        .channel_fd = vm_fd,
        .console_fd = sh->console_fd,
        .disks = disks,
        .disks_n = ARRAY_LEN(disks),
        .debug = log_wants(LOG_LEVEL_DEBUG),
    };
    int r;

    if (!lower || !upper || !cache)
        return err_os_at(e, ENOMEM, "machine");
    r = vm_accel_parse(spec->accel ? spec->accel : "auto", &c.accel, e);
    trace_stage(sh, STAGE_VM);
    if (r == 0)
        r = sh->engine->start(&c, sh->loop, &sh->listener, &sh->vm, e);
    if (r < 0)
        return err_ctx(e, "VM boot failed");
    trace_stage(sh, STAGE_VM_STARTED);
    sh->update.vcpus_max = sh->engine->vcpus_max(sh->vm);
    sh->update.memory_bytes = spec->memory_bytes;
    return 0;
}

/* ---- the channel ------------------------------------------------------- */

static void on_hello(struct channel *ch, const struct channel_hello *peer)
{
    struct shim *sh = channel_user(ch);
    const struct channel_hello hello = { .version = CHANNEL_VERSION };
    struct err e;

    if (sh->control.stream || sh->phase != PHASE_BOOT)
        return;
    trace_stage(sh, STAGE_HELLO);
    log_info("guest is up after %llu ms of its own",
             (unsigned long long)(peer->uptime_ns / NS_PER_MS));
    if (channel_send_hello(ch, &hello, &e) < 0) {
        shim_start_failed(sh, 125, &e);
        return;
    }
    control_open(sh); /* the workload follows when its container is there */
}

/* Streams that the guest opens: nothing of ours listens yet. */
static int on_open(struct channel *ch UNUSED, struct stream *s UNUSED, uint32_t port UNUSED)
{
    return RESET_REFUSED;
}

static int boot_wait(const struct shim *sh, uint64_t *ret_ns, struct err *e)
{
    const char *text = getenv("A3S_BOX_BOOT_TIMEOUT");

    if (text && *text)
        return parse_duration(text, ret_ns, e) < 0 ? err_ctx(e, "A3S_BOX_BOOT_TIMEOUT") : 0;
    *ret_ns = sh->engine->accel(sh->vm) == VM_ACCEL_KVM ? BOOT_WAIT_KVM : BOOT_WAIT_TCG;
    return 0;
}

static int start_machine(struct shim *sh, struct err *e);

/* QEMU before 8.1 may keep the translation of an instruction that another CPU changes while it is
 * translated. The guest's kernel patches itself as it boots, and then runs into a breakpoint that
 * is no longer there, for ever: 1 boot of some 200 with two CPUs. As long as the workload's
 * stream is not open nothing of the user has run, no client talks to the guest, and control.c
 * still has what the guest was told: once more. */
static bool may_boot_again(const struct shim *sh)
{
    return sh->phase == PHASE_BOOT && sh->vm && !sh->main.stream && !sh->booted_again;
}

static void boot_again(struct shim *sh, uint64_t cpu_ns)
{
    struct err e;

    log_warn("the guest does not come up (%s HELLO, %llu s of CPU time): machine started again",
             sh->control.stream ? "after" : "before", (unsigned long long)(cpu_ns / NS_PER_S));
    sh->booted_again = true;
    vm_free(take_ptr(sh->vm));
    trace_stage(sh, STAGE_VM_GONE);
    channel_free(take_ptr(sh->ch));
    sh->ch_failed = false;
    close_fd(&sh->channel_fd);
    control_rewind(sh);
    if (start_machine(sh, &e) < 0)
        shim_start_failed(sh, 125, &e);
}

/* Looks again when all of its CPUs can have used what is left, or time is up. */
static void watch_stall(struct shim *sh, uint64_t cpu_left, uint64_t clock_left)
{
    uint64_t soonest = cpu_left / (sh->box->spec.cpus + 1) + NS_PER_S;

    loop_timer(sh->loop, &sh->stall_timer, soonest < clock_left ? soonest : clock_left);
}

static void on_stall_timer(struct timer *t)
{
    struct shim *sh = CONTAINER_OF(t, struct shim, stall_timer);
    uint64_t clock = time_mono_ns() - sh->machine_ns;
    struct vm_stats stats;
    struct err ignored;

    if (!may_boot_again(sh) || sh->engine->stats(sh->vm, &stats, &ignored) < 0)
        return;
    if (stats.cpu_ns < STALL_CPU && clock < STALL_CLOCK)
        watch_stall(sh, STALL_CPU - stats.cpu_ns, STALL_CLOCK - clock);
    else
        boot_again(sh, stats.cpu_ns);
}

static int start_machine(struct shim *sh, struct err *e)
{
    static const struct channel_ops ops = {
        .hello = on_hello,
        .open = on_open,
        .failed = shim_channel_failed,
    };
    struct guest_files guest = { 0 };
    autofd int vm_fd = -1;
    uint64_t wait_ns = 0;
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_os(e, "socketpair");
    sh->channel_fd = pair[0];
    vm_fd = pair[1];
    r = find_guest(&guest, e);
    if (r == 0)
        r = start_vm(sh, &guest, vm_fd, e);
    guest_files_done(&guest);
    if (r == 0)
        r = boot_wait(sh, &wait_ns, e);
    if (r < 0)
        return r;
    loop_timer(sh->loop, &sh->boot_timer, wait_ns);
    sh->machine_ns = time_mono_ns();
    if (may_boot_again(sh))
        watch_stall(sh, STALL_CPU, STALL_CLOCK);
    return channel_new(sh->loop, sh->channel_fd, CHANNEL_HOST, &ops, sh, &sh->ch, e);
}

/* What the guest will be told as soon as it says HELLO; made while it boots. */
static int prepare_messages(struct shim *sh, struct err *e)
{
    int r;

    r = config_put_container(sh->box, &sh->control.out, e);
    return r < 0 ? r : config_put_main(sh->box, &sh->main.out, e);
}

static void shim_init(struct shim *sh, const struct shim_args *args)
{
    sh->home = args->home;
    sh->dir_fd = args->again ? args->dir_fd : -1;
    sh->console_fd = sh->channel_fd = -1;
    sh->report_fd = args->report_fd;
    sh->stdin_once = args->attach_stdin;
    sh->phase = PHASE_BOOT;
    sh->listener.exited = shim_vm_exited;
    sh->stall_timer.fired = on_stall_timer;
    shim_timers_init(sh);
    stop_init(sh);
    workload_init(sh);
    clients_init(sh);
    relays_init(&sh->relays, sh->loop);
    restart_init(sh, args);
    trace_init(sh, args->again);
}

int shim_launch(struct shim *sh, const struct shim_args *args, struct err *e)
{
    autofd int attach_fd = args->attach_fd, ctl_fd = args->again ? args->ctl_fd : -1;
    int r;

    shim_init(sh, args);
    r = open_box(sh, args, e);
    if (r == 0)
        r = claim(sh, args, attach_fd >= 0, e);
    if (r == 0)
        r = lock_box(sh, e);
    if (r == 0)
        r = open_logs(sh, e);
    if (r == 0)
        r = listen_all(sh, take_fd(&ctl_fd), e);
    if (r == 0)
        r = start_machine(sh, e);
    if (r == 0)
        r = prepare_messages(sh, e);
    if (r == 0 && attach_fd >= 0)
        r = clients_attach(sh, take_fd(&attach_fd),
                           args->attach_stdin && sh->box->spec.open_stdin, e);
    return r;
}

void shim_done(struct shim *sh)
{
    vm_free(take_ptr(sh->vm));
    restart_done(sh);
    trace_free(sh);
    health_done(sh);
    relays_done(&sh->relays);
    clients_done(sh);
    channel_free(take_ptr(sh->ch));
    control_done(sh);
    workload_done(sh);
    close_fd(&sh->channel_fd);
    close_fd(&sh->console_fd);
    close_fd(&sh->dir_fd);
    close_fd(&sh->report_fd);
    box_free(take_ptr(sh->box));
}
