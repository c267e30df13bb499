/* The QEMU engine: one child process, supervised through its pidfd, told what to do by QMP. */
#include "util/fd.h"
#include "util/own.h"
#include "util/spawn.h"
#include "vmm/engine.h"
#include "vmm/probe.h"
#include "vmm/qemu/args.h"
#include "vmm/qemu/qmp.h"
#include "vmm/qemu/sink.h"
#include "vmm/qemu/vm.h"
#include "vmm/tsc.h"
#include "vmm/usage.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Our ends and QEMU's ends of what connects us. */
struct pipes {
    int qmp[2], console[2], errors[2];
    int disks[VM_DISKS_MAX];
};

static void pipes_done(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&p->qmp[i]);
        close_fd(&p->console[i]);
        close_fd(&p->errors[i]);
    }
    for (size_t i = 0; i < VM_DISKS_MAX; i++)
        close_fd(&p->disks[i]);
}

static int pipes_open(struct pipes *p, struct err *e)
{
    memset(p, -1, sizeof(*p));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->qmp) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, p->console) < 0 ||
        pipe2(p->errors, O_CLOEXEC) < 0)
        return err_os(e, "Connecting to QEMU");
    return 0;
}

int qemu_open_disk(const struct vm_disk *d, struct err *e)
{
    int fd =
        open(d->path, (d->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return err_os(e, "Disk %s: open %s", d->id, d->path);
    return fd;
}

static int open_disks(const struct vm_config *c, struct pipes *p, struct err *e)
{
    for (size_t i = 0; i < c->disks_n; i++) {
        p->disks[i] = qemu_open_disk(&c->disks[i], e);
        if (p->disks[i] < 0)
            return p->disks[i];
    }
    return 0;
}

static int spawn_qemu(struct qemu_vm *vm, const struct vm_config *c, const struct pipes *p,
                      const struct qemu_args *args, struct err *e)
{
    struct spawn_fd fds[5 + VM_DISKS_MAX] = {
        { .fd = p->errors[1], .as = STDERR_FILENO },
        { .fd = c->channel_fd, .as = QEMU_FD_CHANNEL },
        { .fd = p->qmp[1], .as = QEMU_FD_QMP },
        { .fd = p->console[1], .as = QEMU_FD_CONSOLE },
    };
    struct spawn s = {
        .argv = args->argv,
        .fds = fds,
        .fds_n = 4,
        .search = strchr(args->argv[0], '/') == NULL,
        .parent_death_signal = SIGKILL,
        .no_new_privs = true,
    };
    autofd int rules = -1;
    int r = qemu_confine(c, args->argv[0], &rules, e);

    if (r < 0)
        return r;
    s.landlock_rules = rules < 0 ? 0 : rules;
    if (c->net == VM_NET_STREAM)
        fds[s.fds_n++] = (struct spawn_fd){ .fd = c->net_fd, .as = QEMU_FD_NET };
    for (size_t i = 0; i < c->disks_n; i++)
        fds[s.fds_n++] = (struct spawn_fd){ .fd = p->disks[i], .as = QEMU_FD_DISK + (int)i };
    r = spawn_start(&s, &vm->pid, &vm->pid_watch.fd, e);
    if (r < 0 && e->os == ENOENT)
        e->hint = "Install QEMU (Debian package qemu-system-x86)";
    return r;
}

/* What the error output says, without warnings, on one line. */
static void failure_text(const struct qemu_vm *vm, char *ret, size_t size)
{
    struct str out = STR_INIT(size - 1);
    char text[SINK_TAIL + 1];
    size_t len;

    sink_text(&vm->errors, text, sizeof(text));
    for (const char *line = text; *line; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");
        if (len > 0 && !memmem(line, len, "warning: ", 9))
            (void)str_addf(&out, "%s%.*s", out.len ? "; " : "", (int)len, line);
    }
    (void)snprintf(ret, size, "%s", str_c(&out));
    str_done(&out);
}

static bool find_panic(const struct qemu_vm *vm, char *ret, size_t size)
{
    char text[SINK_TAIL + 1];
    const char *at;

    sink_text(&vm->console, text, sizeof(text));
    at = strstr(text, "Kernel panic - not syncing");
    if (at)
        (void)snprintf(ret, size, "%.*s", (int)strcspn(at, "\r\n"), at);
    return at != NULL;
}

static void judge(const struct qemu_vm *vm, int status, struct vm_exit *ret)
{
    char why[400];

    *ret = (struct vm_exit){ .end = VM_END_GUEST };
    if (vm->killed) {
        ret->end = VM_END_KILLED;
        (void)snprintf(ret->text, sizeof(ret->text), "The machine was killed");
    } else if (find_panic(vm, ret->text, sizeof(ret->text))) {
        ret->end = VM_END_PANIC;
    } else if (status != 0) {
        failure_text(vm, why, sizeof(why));
        ret->end = VM_END_FAILED;
        if (status > 128)
            (void)snprintf(ret->text, sizeof(ret->text), "QEMU died of signal %d%s%s",
                           status - 128, why[0] ? ": " : "", why);
        else
            (void)snprintf(ret->text, sizeof(ret->text), "QEMU failed (status %d): %s", status,
                           why[0] ? why : "it said nothing");
    }
}

static void release(struct qemu_vm *vm)
{
    struct qmp *qmp = take_ptr(vm->qmp); /* what is answered below must not ask again */

    loop_del(vm->loop, &vm->pid_watch);
    qmp_free(qmp);
    qemu_disk_abandon(vm);
    sink_close(&vm->console);
    sink_close(&vm->errors);
    close_fd(&vm->pid_watch.fd);
}

static void on_end(struct watch *w, uint32_t events UNUSED)
{
    struct qemu_vm *vm = CONTAINER_OF(w, struct qemu_vm, pid_watch);
    struct err e = { .kind = ERR_NONE };
    struct vm_exit exit;
    int status = 1;

    if (spawn_wait(vm->pid, &status, &e) < 0) /* our own child: cannot be */
        status = 1;
    vm->pid = -1;
    sink_drain(&vm->console);
    sink_drain(&vm->errors);
    judge(vm, status, &exit);
    release(vm);
    vm->listener->exited(vm->listener, &exit); /* may free vm */
}

static void on_qmp_event(struct qmp_handler *h, const char *name, json_t *data)
{
    qemu_disk_event(CONTAINER_OF(h, struct qemu_vm, handler), name, data);
}

/* The end of QEMU is seen through its pidfd. A QEMU that talks nonsense is not to be trusted
 * with anything further. */
static void on_qmp_closed(struct qmp_handler *h, const struct err *why)
{
    struct qemu_vm *vm = CONTAINER_OF(h, struct qemu_vm, handler);

    if (why->kind == ERR_UNAVAILABLE || vm->pid < 0)
        return;
    (void)kill(vm->pid, SIGKILL);
}

/* Nothing to release yet. */
static void clear(struct qemu_vm *vm)
{
    vm->pid = -1;
    vm->pid_watch.fd = vm->console.watch.fd = vm->errors.watch.fd = -1;
}

static int attach(struct qemu_vm *vm, const struct vm_config *c, struct pipes *p, struct err *e)
{
    int r;

    vm->pid_watch.what = "qemu pidfd";
    vm->pid_watch.ready = on_end;
    vm->handler = (struct qmp_handler){ .event = on_qmp_event, .closed = on_qmp_closed };
    r = loop_add(vm->loop, &vm->pid_watch, EPOLLIN, e);
    if (r == 0)
        r = qmp_new(vm->loop, take_fd(&p->qmp[0]), &vm->handler, &vm->qmp, e);
    if (r == 0)
        r = sink_open(&vm->console, vm->loop, "console", take_fd(&p->console[0]), c->console_fd,
                      VM_CONSOLE_MAX, e);
    if (r == 0)
        r = sink_open(&vm->errors, vm->loop, "qemu stderr", take_fd(&p->errors[0]), -1, 0, e);
    return r;
}

static void qemu_free(struct vm *base)
{
    struct qemu_vm *vm = CONTAINER_OF(base, struct qemu_vm, base);

    if (vm->pid > 0) {
        (void)kill(vm->pid, SIGKILL);
        (void)waitpid(vm->pid, NULL, 0);
    }
    release(vm);
    free(vm);
}

static int start_child(struct qemu_vm *vm, const struct vm_config *c, struct err *e)
{
    struct qemu_args args = { .n = 0 };
    struct pipes p;
    uint64_t khz = vm->accel == VM_ACCEL_TCG ? tsc_khz(c->accel_cache_dir) : 0;
    int r = pipes_open(&p, e);

    if (r == 0)
        r = open_disks(c, &p, e);
    if (r == 0)
        r = qemu_args_build(c, vm->accel, khz, &args, e);
    if (r == 0)
        r = spawn_qemu(vm, c, &p, &args, e);
    if (r == 0)
        r = attach(vm, c, &p, e);
    qemu_args_done(&args);
    pipes_done(&p);
    return r;
}

static int qemu_start(const struct vm_config *c, struct loop *loop, struct vm_listener *listener,
                      struct vm **ret, struct err *e)
{
    enum vm_accel accel;
    struct qemu_vm *vm;
    int r;

    r = vm_config_check(c, e);
    if (r == 0)
        r = vm_accel_resolve(c->accel, c->accel_cache_dir, &accel, NULL, e);
    if (r < 0)
        return r;
    vm = calloc(1, sizeof(*vm));
    if (!vm)
        return err_os(e, "Machine");
    vm->base.engine = &vm_engine_qemu;
    vm->loop = loop;
    vm->listener = listener;
    vm->accel = accel;
    vm->vcpus_max = qemu_cpus_max(c, accel);
    vm->next_fdset = QEMU_FD_DISK + VM_DISKS_MAX;
    clear(vm);
    r = start_child(vm, c, e);
    if (r < 0) {
        qemu_free(&vm->base);
        return r;
    }
    *ret = &vm->base;
    for (size_t i = 0; i < c->disks_n; i++) /* the block nodes have copies of their own */
        qemu_command(vm, "remove-fd", json_pack("{si}", "fdset-id", QEMU_FD_DISK + (int)i), NULL);
    if (c->net == VM_NET_NONE)
        vm_set_link(&vm->base, false, NULL);
    return 0;
}

/* A command whose result nobody needs but the caller's reply. */
struct simple {
    struct qmp_call call;
    struct vm_reply *reply; /* may be NULL */
};

void qemu_reply(struct vm_reply *reply, const struct err *failure)
{
    if (reply)
        reply->done(reply, failure);
}

static void on_simple(struct qmp_call *call, json_t *data UNUSED, const struct err *failure)
{
    struct simple *s = CONTAINER_OF(call, struct simple, call);
    struct vm_reply *reply = s->reply;

    free(s);
    qemu_reply(reply, failure);
}

void qemu_command(struct qemu_vm *vm, const char *command, json_t *own_args,
                  struct vm_reply *reply)
{
    struct err e = { .kind = ERR_NONE };
    struct simple *s = vm->qmp ? calloc(1, sizeof(*s)) : NULL;

    if (!s) {
        json_decref(own_args);
        (void)err_set(&e, ERR_UNAVAILABLE, "The machine has ended");
        qemu_reply(reply, &e);
        return;
    }
    s->call.done = on_simple;
    s->reply = reply;
    qmp_call(vm->qmp, command, own_args, -1, &s->call);
}

static void qemu_pause(struct vm *base, struct vm_reply *reply)
{
    qemu_command(CONTAINER_OF(base, struct qemu_vm, base), "stop", NULL, reply);
}

static void qemu_resume(struct vm *base, struct vm_reply *reply)
{
    qemu_command(CONTAINER_OF(base, struct qemu_vm, base), "cont", NULL, reply);
}

static void qemu_kill(struct vm *base)
{
    struct qemu_vm *vm = CONTAINER_OF(base, struct qemu_vm, base);

    vm->killed = true;
    if (vm->pid > 0)
        (void)kill(vm->pid, SIGKILL); /* not reaped before on_end: the pid is right */
}

static void qemu_quit(struct vm *base)
{
    struct qemu_vm *vm = CONTAINER_OF(base, struct qemu_vm, base);

    vm->killed = true;
    qemu_command(vm, "quit", NULL, NULL);
}

static void qemu_set_link(struct vm *base, bool up, struct vm_reply *reply)
{
    qemu_command(CONTAINER_OF(base, struct qemu_vm, base), "set_link",
                 json_pack("{sssb}", "name", "nic", "up", up), reply);
}

static void qemu_set_memory(struct vm *base, uint64_t bytes, struct vm_reply *reply)
{
    qemu_command(CONTAINER_OF(base, struct qemu_vm, base), "balloon",
                 json_pack("{sI}", "value", (json_int_t)bytes), reply);
}

static unsigned qemu_vcpus_max(const struct vm *base)
{
    return CONTAINER_OF(base, const struct qemu_vm, base)->vcpus_max;
}

static pid_t qemu_pid(const struct vm *base)
{
    return CONTAINER_OF(base, const struct qemu_vm, base)->pid;
}

static enum vm_accel qemu_accel(const struct vm *base)
{
    return CONTAINER_OF(base, const struct qemu_vm, base)->accel;
}

static int qemu_stats(const struct vm *base, struct vm_stats *ret, struct err *e)
{
    const struct qemu_vm *vm = CONTAINER_OF(base, const struct qemu_vm, base);

    if (vm->pid < 0)
        return err_set(e, ERR_STATE, "The machine has ended");
    return proc_usage(vm->pid, &ret->resident_bytes, &ret->cpu_ns, e);
}

static void qemu_console_tail(const struct vm *base, char *ret, size_t size)
{
    sink_text(&CONTAINER_OF(base, const struct qemu_vm, base)->console, ret, size);
}

const struct vm_engine vm_engine_qemu = {
    .name = "qemu",
    .start = qemu_start,
    .free = qemu_free,
    .pause = qemu_pause,
    .resume = qemu_resume,
    .kill = qemu_kill,
    .quit = qemu_quit,
    .set_link = qemu_set_link,
    .set_memory = qemu_set_memory,
    .disk_add = qemu_disk_add,
    .disk_remove = qemu_disk_remove,
    .vcpus_max = qemu_vcpus_max,
    .pid = qemu_pid,
    .accel = qemu_accel,
    .stats = qemu_stats,
    .console_tail = qemu_console_tail,
};
