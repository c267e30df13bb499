/* The whole shim but main(), with an engine and a guest made of this file: both ends of the
 * channel live on one loop. */
#include "box/lifecycle.h"
#include "shim/shim.h"

#include "util/fs.h"
#include "util/log.h"

#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DISK (32 << 20)

static char home[] = "/tmp/a3s-unit-shim-XXXXXX";
static struct shim *sh;
static struct loop *loop;
static int report, attached;
static char id[ID_LEN];

/* ---- the engine -------------------------------------------------------- */

static struct vm machine;
static struct {
    struct vm_listener *listener;
    struct vm_reply *reply;
    bool running, paused, fail_start;
    int channel_fd, starts;
    uint64_t cpu_ns;
    uint64_t memory; /* of its balloon */
} fake;

static void guest_start(int fd);
static void guest_stop(void);

static int fake_start(const struct vm_config *c, struct loop *l UNUSED,
                      struct vm_listener *listener, struct vm **ret, struct err *e)
{
    if (fake.fail_start)
        return err_set(e, ERR_UNAVAILABLE, "no such machine");
    assert_int_equal(c->disks_n, 2);
    machine.engine = sh->engine;
    fake.listener = listener;
    fake.running = true;
    fake.starts++;
    fake.channel_fd = fcntl(c->channel_fd, F_DUPFD_CLOEXEC, 3);
    guest_start(fake.channel_fd);
    *ret = &machine;
    return 0;
}

static void fake_free(struct vm *vm UNUSED)
{
    guest_stop();
    fake.running = false;
}

/* The machine ends in the next turn, as a real one does. */
static void end_machine(enum vm_end end, const char *text)
{
    struct vm_exit x = { .end = end };

    (void)snprintf(x.text, sizeof(x.text), "%s", text);
    guest_stop();
    fake.running = false;
    fake.listener->exited(fake.listener, &x);
}

static void on_kill(struct timer *t UNUSED)
{
    if (fake.running)
        end_machine(VM_END_KILLED, "The machine was killed");
}

static struct timer kill_timer = { .fired = on_kill };

static void fake_kill(struct vm *vm UNUSED)
{
    loop_timer(loop, &kill_timer, 0);
}

static void on_reply(struct timer *t UNUSED)
{
    struct vm_reply *reply = take_ptr(fake.reply);

    reply->done(reply, NULL);
}

static struct timer reply_timer = { .fired = on_reply };

static void fake_pause(struct vm *vm UNUSED, struct vm_reply *reply)
{
    fake.paused = true;
    fake.reply = reply;
    loop_timer(loop, &reply_timer, 0);
}

static void fake_resume(struct vm *vm UNUSED, struct vm_reply *reply)
{
    fake.paused = false;
    fake.reply = reply;
    loop_timer(loop, &reply_timer, 0);
}

static unsigned fake_vcpus_max(const struct vm *vm UNUSED)
{
    return 4;
}

static void fake_set_memory(struct vm *vm UNUSED, uint64_t bytes, struct vm_reply *reply)
{
    fake.memory = bytes;
    fake.reply = reply;
    loop_timer(loop, &reply_timer, 0);
}

static pid_t fake_pid(const struct vm *vm UNUSED)
{
    return 4711;
}

static enum vm_accel fake_accel(const struct vm *vm UNUSED)
{
    return VM_ACCEL_TCG;
}

static int fake_stats(const struct vm *vm UNUSED, struct vm_stats *ret, struct err *e UNUSED)
{
    *ret = (struct vm_stats){ .cpu_ns = fake.cpu_ns };
    return 0;
}

static void fake_tail(const struct vm *vm UNUSED, char *ret, size_t size)
{
    (void)snprintf(ret, size, "its last line");
}

static const struct vm_engine engine = {
    .name = "fake",
    .start = fake_start,
    .free = fake_free,
    .pause = fake_pause,
    .resume = fake_resume,
    .kill = fake_kill,
    .set_memory = fake_set_memory,
    .vcpus_max = fake_vcpus_max,
    .pid = fake_pid,
    .accel = fake_accel,
    .stats = fake_stats,
    .console_tail = fake_tail,
};

/* ---- the guest --------------------------------------------------------- */

static struct {
    struct channel *ch;
    struct stream *control, *main;
    struct msg_reader control_in, main_in;
    struct exec_request start;
    bool configured, created, failed;
    bool ignore_signals, hang, hang_at_create;
    int creates; /* requests */
    int signals[16], signals_n;
    uint64_t signal_all;
    struct str input;
    bool input_eof;
    size_t held;          /* stdin bytes not given back as credit */
    bool no_credit;       /* hold them */
    int procs;            /* requests answered */
    struct stream *check; /* the health check that runs; with `checked` set */
    struct msg_reader check_in;
    struct exec_request check_start;
    bool checked;
    int checks;
    int stats;                      /* likewise */
    struct container_update update; /* the last one */
    const char *refusal;            /* of updates */
} guest;

static void guest_say(struct stream *s, enum msg_type type, const void *data, size_t len)
{
    autostr out = STR_INIT(0);

    assert_true(msg_put(&out, type, data, len));
    assert_int_equal(stream_send(s, out.p, out.len), out.len);
}

static void guest_tell_rows(struct stream *s, enum msg_type type, const struct tlv_row *rows,
                            const void *from)
{
    autostr body = STR_INIT(0);
    struct err e;

    assert_int_equal(tlv_encode(rows, from, &body, &e), 0);
    guest_say(s, type, body.p, body.len);
}

/* As config_encode(): `kind` is a struct. */
#define guest_tell(s, type, kind, from) guest_tell_rows((s), (type), kind##_rows, (from))

static void guest_print(enum msg_type type, const char *text)
{
    guest_say(guest.main, type, text, strlen(text));
}

static void guest_exit(int status, bool oom)
{
    struct exit_info info = { .status = (uint64_t)status, .oom_killed = oom };

    guest_tell(guest.main, MSG_EXIT, exit_info, &info);
    stream_finish(guest.main);
}

static void guest_started(void)
{
    struct msg_started info = { .pid = 1 };

    guest_tell(guest.main, MSG_STARTED, msg_started, &info);
}

static void on_guest_signal(struct cur c)
{
    struct container_signal s = { 0 };
    struct err e;

    assert_int_equal(config_decode(container_signal, c, &s, &e), 0);
    assert_string_equal(s.container, id);
    if (guest.signals_n < 16)
        guest.signals[guest.signals_n++] = (int)s.signal;
    guest.signal_all = s.all;
    if (guest.main && !guest.hang && (s.signal == 9 || !guest.ignore_signals))
        guest_exit(128 + (int)s.signal, false);
    config_done(container_signal, &s);
}

static void guest_procs(void)
{
    struct proc_list list = { .uptime_ns = 5 };
    struct proc_row *row = tlv_list_add(&list.procs, sizeof(*row));

    row->pid = 1;
    row->comm = strdup("init");
    guest.procs++;
    guest_tell(guest.control, MSG_CONTAINER_PROC_LIST, proc_list, &list);
    config_done(proc_list, &list);
}

static void guest_stats(void)
{
    struct container_stats stats = { .container = id, .uptime_ns = 7, .cpu_ns = 12, .pids = 3 };

    guest.stats++;
    guest_tell(guest.control, MSG_CONTAINER_STATS_DATA, container_stats, &stats);
}

static void guest_updated(const char *refusal)
{
    struct error_info info = { .container = id };

    info.kind = refusal ? ERR_LIMIT : ERR_NONE;
    info.text = (char *)(uintptr_t)refusal;
    guest_tell(guest.control, MSG_CONTAINER_UPDATED, error_info, &info);
}

static void on_update(struct cur c)
{
    struct err e;

    config_done(container_update, &guest.update);
    assert_int_equal(config_decode(container_update, c, &guest.update, &e), 0);
    if (!guest.hang)
        guest_updated(guest.refusal);
}

static void on_create(void)
{
    struct container_ref ref = { .container = id };

    guest.creates++;
    if (guest.hang_at_create)
        return;
    guest.created = guest.configured;
    guest_tell(guest.control, MSG_CONTAINER_CREATED, container_ref, &ref);
}

static int on_control_message(void *user UNUSED, const struct msg *m, struct err *e UNUSED)
{
    if (m->type == MSG_VM_CONFIG)
        guest.configured = true;
    else if (m->type == MSG_CONTAINER_CREATE)
        on_create();
    else if (m->type == MSG_CONTAINER_SIGNAL)
        on_guest_signal(cur_of(m->data, m->len));
    else if (m->type == MSG_CONTAINER_PROCS && !guest.hang)
        guest_procs();
    else if (m->type == MSG_CONTAINER_STATS && !guest.hang)
        guest_stats();
    else if (m->type == MSG_CONTAINER_UPDATE)
        on_update(cur_of(m->data, m->len));
    else if (m->type == MSG_SHUTDOWN && !guest.hang)
        guest_say(guest.control, MSG_SHUTDOWN_DONE, NULL, 0);
    return 0;
}

static int on_main_message(void *user UNUSED, const struct msg *m, struct err *e)
{
    if (m->type == MSG_START)
        return config_decode(exec_request, cur_of(m->data, m->len), &guest.start, e);
    if (m->type == MSG_STDIN)
        assert_true(str_add(&guest.input, m->data, m->len));
    if (m->type == MSG_STDIN_EOF)
        guest.input_eof = true;
    return 0;
}

static void on_control_data(struct stream *s, const void *data, size_t len)
{
    struct err e;

    assert_int_equal(msg_read(&guest.control_in, data, len, on_control_message, NULL, &e), 0);
    stream_consumed(s, len);
}

static void on_main_data(struct stream *s, const void *data, size_t len)
{
    struct err e;

    assert_int_equal(msg_read(&guest.main_in, data, len, on_main_message, NULL, &e), 0);
    if (guest.no_credit)
        guest.held += len;
    else
        stream_consumed(s, len);
}

static void on_echo_data(struct stream *s, const void *data, size_t len)
{
    assert_int_equal(stream_send(s, data, len), len);
    stream_consumed(s, len);
}

static void on_fin(struct stream *s)
{
    stream_finish(s);
}

static void on_writable(struct stream *s UNUSED)
{
}

static void on_closed(struct stream *s, enum reset_reason why UNUSED)
{
    if (s == guest.main)
        guest.main = NULL;
    if (s == guest.control)
        guest.control = NULL;
}

static const struct stream_ops control_ops = { on_control_data, on_fin, on_writable, on_closed };
static const struct stream_ops main_ops = { on_main_data, on_fin, on_writable, on_closed };
static int on_check_message(void *user UNUSED, const struct msg *m, struct err *e)
{
    config_done(exec_request, &guest.check_start);
    return m->type == MSG_START
               ? config_decode(exec_request, cur_of(m->data, m->len), &guest.check_start, e)
               : 0;
}

static void on_check_data(struct stream *s, const void *data, size_t len)
{
    struct err e;

    guest.checks++;
    assert_int_equal(msg_read(&guest.check_in, data, len, on_check_message, NULL, &e), 0);
    stream_consumed(s, len);
}

static void on_check_closed(struct stream *s UNUSED, enum reset_reason why UNUSED)
{
    guest.check = NULL;
    msg_reader_done(&guest.check_in);
}

static const struct stream_ops check_ops = { on_check_data, on_fin, on_writable,
                                             on_check_closed };
static const struct stream_ops echo_ops = { on_echo_data, on_fin, on_writable, on_closed };

static int on_open(struct channel *ch UNUSED, struct stream *s, uint32_t port)
{
    if (port == PORT_CONTROL) {
        guest.control = s;
        stream_accept(s, &control_ops, NULL);
    } else if (!guest.main) {
        guest.main = s;
        stream_accept(s, &main_ops, NULL);
    } else if (guest.checked) {
        assert_null(guest.check); /* one at a time */
        guest.check = s;
        stream_accept(s, &check_ops, NULL);
    } else {
        stream_accept(s, &echo_ops, NULL);
    }
    return 0;
}

static void on_hello(struct channel *ch UNUSED, const struct channel_hello *hello UNUSED)
{
}

static void on_failed(struct channel *ch UNUSED, const struct err *why UNUSED)
{
    guest.failed = true;
}

static void guest_start(int fd)
{
    static const struct channel_ops ops = { on_hello, on_open, on_failed };
    struct err e;

    assert_int_equal(channel_new(loop, fd, CHANNEL_GUEST, &ops, NULL, &guest.ch, &e), 0);
}

static void guest_hello(void)
{
    const struct channel_hello hello = { .version = CHANNEL_VERSION };
    struct err e;

    assert_int_equal(channel_send_hello(guest.ch, &hello, &e), 0);
}

static void guest_stop(void)
{
    struct err e;

    if (!guest.ch)
        return;
    /* What it has said is on its way, as with a real port. */
    if (channel_flush(guest.ch, 1000, &e) < 0)
        err_clear(&e);
    channel_free(take_ptr(guest.ch));
    close_fd(&fake.channel_fd);
}

/* libseccomp's part is tested elsewhere. */
int box_security(const struct box_spec *spec UNUSED, struct security *ret, struct err *e UNUSED)
{
    *ret = (struct security){ .caps = 1 };
    return 0;
}

/* ---- the shim ---------------------------------------------------------- */

static void turn(void)
{
    struct err e;

    assert_true(loop_turn(loop, 20, &e) >= 0);
    shim_turn(sh);
}

static void settle(void)
{
    struct err e;

    while (!sh->quit && loop_turn(loop, 5, &e) > 0)
        shim_turn(sh);
    shim_turn(sh);
}

#define UNTIL(condition)                                                                         \
    for (uint64_t end_ns_ = time_mono_ns() + 20 * NS_PER_S; !(condition); turn())                \
        if (time_mono_ns() > end_ns_)                                                            \
            fail_msg("never: %s", #condition);

static struct box *record(void)
{
    struct db *db = NULL;
    struct box *box = NULL;
    struct err e;

    assert_int_equal(db_open(home, &db, &e), 0);
    if (box_find(db, home, id, &box, &e) < 0)
        box = NULL;
    db_free(db);
    return box;
}

static void assert_record(enum box_state state, int code, const char *error)
{
    struct box *box = record();

    assert_non_null(box);
    assert_string_equal(box_state_name(box->state), box_state_name(state));
    assert_int_equal(box->exit_code, code);
    if (error ? !strstr(box->error, error) : *box->error)
        fail_msg("record says: %s", box->error);
    box_free(box);
}

static bool exists(const char *name)
{
    autofree char *path = str_format("%s/boxes/%s/%s", home, id, name);
    struct stat st;

    return lstat(path, &st) == 0;
}

static void make_box(void (*change)(struct box_spec *spec))
{
    struct box_spec spec = { .image = strdup("img"),
                             .rootfs = strdup("rootfs/x.ext4"),
                             .disk_bytes = DISK,
                             .stop_signal = 15,
                             .stop_timeout_s = 10,
                             .cpus = 1,
                             .memory_bytes = 128 << 20,
                             .open_stdin = true };
    struct db *db = NULL;
    struct box *box = NULL;
    struct err e;

    assert_true(strv_add(&spec.cmd, "cat"));
    assert_true(strv_add(&spec.cmd, "-"));
    if (change)
        change(&spec);
    assert_int_equal(db_open(home, &db, &e), 0);
    if (box_create(db, home, NULL, &spec, &box, &e) < 0)
        fail_msg("%s", e.text);
    (void)snprintf(id, sizeof(id), "%s", box->id);
    box_free(box);
    db_free(db);
}

/* Standard error is shim.log meanwhile. */
static int launch_shim(struct shim *s, const struct shim_args *args, struct err *e)
{
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), r;

    s->loop = loop;
    s->engine = &engine;
    r = shim_launch(s, args, e);
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved);
    log_set_box(NULL);
    return r;
}

/* Starts the shim; its guest has not said HELLO. */
static int launch(bool attach, struct err *e)
{
    struct shim_args args = { .home = home, .box_id = id, .attach_fd = -1, .attach_stdin = true };
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    report = pair[0];
    args.report_fd = pair[1];
    if (attach) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        attached = pair[0];
        args.attach_fd = pair[1];
    }
    sh = calloc(1, sizeof(*sh));
    return launch_shim(sh, &args, e);
}

/* One message that has come. */
static int receive(int fd, struct str *buf, struct msg *ret)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    struct err e;

    UNTIL(poll(&p, 1, 0) > 0);
    return msg_recv(fd, buf, ret, &e);
}

static void assert_message(int fd, enum msg_type type, const char *text)
{
    autostr buf = STR_INIT(0);
    struct msg m = { 0 };

    assert_int_equal(receive(fd, &buf, &m), 1);
    assert_int_equal(m.type, type);
    if (text) {
        assert_int_equal(m.len, strlen(text));
        assert_memory_equal(m.data, text, m.len);
    }
}

static void assert_exit(int fd, int status)
{
    struct exit_info info = { 0 };
    autostr buf = STR_INIT(0);
    struct msg m = { 0 };
    struct err e;

    assert_int_equal(receive(fd, &buf, &m), 1);
    assert_int_equal(m.type, MSG_EXIT);
    assert_int_equal(config_decode(exit_info, cur_of(m.data, m.len), &info, &e), 0);
    assert_int_equal(info.status, status);
    assert_int_equal(receive(fd, &buf, &m), 0);
}

static void assert_report_error(int status, const char *text)
{
    struct error_info info = { 0 };
    autostr buf = STR_INIT(0);
    struct msg m = { 0 };
    struct err e;

    assert_int_equal(receive(report, &buf, &m), 1);
    assert_int_equal(m.type, MSG_ERROR);
    assert_int_equal(config_decode(error_info, cur_of(m.data, m.len), &info, &e), 0);
    assert_int_equal(info.status, status);
    if (!strstr(info.text, text))
        fail_msg("report says: %s", info.text);
    config_done(error_info, &info);
    assert_int_equal(receive(report, &buf, &m), 0);
}

/* Its guest has not said HELLO. */
static void boot_box(bool attach, void (*change)(struct box_spec *spec))
{
    struct err e = { 0 };

    make_box(change);
    if (launch(attach, &e) < 0)
        fail_msg("%s", e.text);
}

/* Up to where the guest may start the workload. */
static void guest_boots(void)
{
    guest_hello();
    UNTIL(guest.created && guest.start.argv.n);
}

static void run_box(bool attach, void (*change)(struct box_spec *spec))
{
    boot_box(attach, change);
    guest_boots();
    guest_started();
    assert_message(report, MSG_STARTED, "");
    assert_record(BOX_RUNNING, 0, NULL);
}

static int connect_to(const char *name)
{
    struct err e = { 0 };
    struct box *box = record();
    int fd = ctl_connect(home, box, name, &e);

    if (fd < 0)
        fail_msg("%s", e.text);
    box_free(box);
    return fd;
}

static int ask(const struct ctl_request *req)
{
    int fd = connect_to(BOX_CTL_SOCK);
    autostr body = STR_INIT(0);
    struct err e;

    assert_int_equal(config_encode(ctl_request, req, &body, &e), 0);
    assert_int_equal(msg_send(fd, MSG_CTL_REQUEST, body.p, body.len, &e), 0);
    return fd;
}

/* The answer to a request; its error's text must have `error`. */
static void assert_reply(int fd, const char *error, struct ctl_reply *ret)
{
    struct ctl_reply reply = { 0 };
    autostr buf = STR_INIT(0);
    struct msg m = { 0 };
    struct err e;

    assert_int_equal(receive(fd, &buf, &m), 1);
    assert_int_equal(m.type, MSG_CTL_REPLY);
    assert_int_equal(config_decode(ctl_reply, cur_of(m.data, m.len), &reply, &e), 0);
    if (error ? reply.ok || !strstr(reply.error.text, error) : !reply.ok)
        fail_msg("reply: %s", reply.error.text ? reply.error.text : "ok");
    if (ret)
        *ret = reply;
    else
        config_done(ctl_reply, &reply);
}

static void answered(const struct ctl_request *req, const char *error)
{
    int fd = ask(req);
    autostr buf = STR_INIT(0);
    struct msg m;

    assert_reply(fd, error, NULL);
    assert_int_equal(receive(fd, &buf, &m), 0);
    (void)close(fd);
}

static int setup(void **state UNUSED)
{
    struct err e;

    fake.fail_start = fake.paused = false;
    fake.starts = 0;
    fake.cpu_ns = 0;
    report = attached = -1;
    memset(&guest, 0, sizeof(guest));
    return loop_new(&loop, &e);
}

static int teardown(void **state UNUSED)
{
    loop_timer_cancel(loop, &kill_timer);
    loop_timer_cancel(loop, &reply_timer);
    if (sh)
        shim_done(sh);
    guest_stop();
    free(sh);
    sh = NULL;
    loop_free(loop);
    close_fd(&report);
    close_fd(&attached);
    config_done(exec_request, &guest.start);
    config_done(exec_request, &guest.check_start);
    msg_reader_done(&guest.check_in);
    config_done(container_update, &guest.update);
    msg_reader_done(&guest.control_in);
    msg_reader_done(&guest.main_in);
    str_done(&guest.input);
    return 0;
}

/* ---- tests ------------------------------------------------------------- */

static void a_box_runs_to_its_end(void **state UNUSED)
{
    autostr log = STR_INIT(0);
    autofree char *path = NULL;
    struct err e;

    run_box(true, NULL);
    assert_true(guest.start.main);
    assert_int_equal(guest.start.argv.n, 2);
    assert_string_equal(guest.start.argv.v[1], "-");
    guest_print(MSG_STDOUT, "out\n");
    guest_print(MSG_STDERR, "err\n");
    assert_message(attached, MSG_STDOUT, "out\n");
    assert_message(attached, MSG_STDERR, "err\n");
    guest_exit(7, true);
    assert_exit(attached, 7);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 7, NULL);
    assert_false(exists(BOX_CTL_SOCK) || exists(BOX_EXEC_SOCK) || exists(BOX_PTY_SOCK) ||
                 exists(BOX_VSOCK_SOCK));
    path = str_format("%s/boxes/%s/%s", home, id, BOX_JSON_LOG);
    assert_int_equal(fs_read_file(AT_FDCWD, path, &log, &e), 0);
    assert_non_null(strstr(str_c(&log), "{\"log\":\"out\\n\",\"stream\":\"stdout\""));
    assert_non_null(strstr(str_c(&log), "{\"log\":\"err\\n\",\"stream\":\"stderr\""));
}

static void set_auto_remove(struct box_spec *spec)
{
    spec->auto_remove = true;
}

static void nothing_is_left_of_an_auto_removed_box(void **state UNUSED)
{
    run_box(true, set_auto_remove);
    guest_print(MSG_STDOUT, "last words");
    guest_exit(0, false);
    assert_message(attached, MSG_STDOUT, "last words");
    assert_exit(attached, 0);
    assert_null(record());
    assert_false(exists(""));
    UNTIL(sh->quit);
}

static void a_command_that_is_not_there(void **state UNUSED)
{
    struct error_info info = { .kind = ERR_NOT_FOUND,
                               .status = 127,
                               .text = (char *)(uintptr_t) "no such command" };
    autostr buf = STR_INIT(0);
    struct msg m;

    boot_box(true, NULL);
    guest_hello();
    UNTIL(guest.start.argv.n);
    guest_tell(guest.main, MSG_ERROR, error_info, &info);
    assert_report_error(127, "no such command");
    assert_int_equal(receive(attached, &buf, &m), 0); /* no MSG_EXIT */
    assert_record(BOX_CREATED, 127, "no such command");
    UNTIL(sh->quit);
}

static void a_machine_that_does_not_start(void **state UNUSED)
{
    struct err e = { 0 };

    make_box(NULL);
    fake.fail_start = true;
    assert_true(launch(true, &e) < 0);
    shim_start_failed(sh, 125, &e); /* as main() does */
    UNTIL(sh->quit);
    assert_report_error(125, "no such machine");
    assert_record(BOX_CREATED, 125, "no such machine");
}

static void a_guest_that_hangs_at_boot(void **state UNUSED)
{
    assert_int_equal(setenv("A3S_BOX_BOOT_TIMEOUT", "50ms", 1), 0);
    boot_box(false, NULL);
    assert_int_equal(unsetenv("A3S_BOX_BOOT_TIMEOUT"), 0);
    assert_report_error(125, "its last line");
    UNTIL(sh->quit);
    assert_record(BOX_CREATED, 125, "its last line");
}

static void stall(void)
{
    assert_true(sh->stall_timer.armed);
    loop_timer(loop, &sh->stall_timer, 0);
    turn();
}

/* Not before it has used much more CPU time than a boot takes, and once. */
static void a_guest_that_hangs_at_boot_gets_another_one(void **state UNUSED)
{
    boot_box(false, NULL);
    fake.cpu_ns = 20 * NS_PER_S;
    stall();
    assert_int_equal(fake.starts, 1);
    fake.cpu_ns = 31 * NS_PER_S;
    stall();
    assert_int_equal(fake.starts, 2);
    assert_false(sh->stall_timer.armed);
    guest_boots();
    guest_started();
    UNTIL(sh->phase == PHASE_RUN);
    assert_int_equal(fake.starts, 2);
    guest_exit(7, false);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 7, NULL);
}

/* Behind HELLO it has its configuration, which the next one needs, too. */
static void a_guest_that_hangs_behind_hello_gets_another_one(void **state UNUSED)
{
    boot_box(false, NULL);
    guest.hang_at_create = true;
    guest_hello();
    UNTIL(guest.creates == 1);
    fake.cpu_ns = 31 * NS_PER_S;
    stall();
    assert_int_equal(fake.starts, 2);
    guest.configured = guest.hang_at_create = false;
    guest_boots();
    assert_int_equal(guest.creates, 2);
    guest_started();
    UNTIL(sh->phase == PHASE_RUN);
    assert_int_equal(sh->control.out.len, 0);
    guest_exit(7, false);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 7, NULL);
}

/* From the workload's stream on something of the user may have run. */
static void a_guest_with_a_container_is_not_started_again(void **state UNUSED)
{
    boot_box(false, NULL);
    guest_boots();
    assert_false(sh->stall_timer.armed);
    end_machine(VM_END_FAILED, "QEMU died of signal 9");
    UNTIL(sh->quit);
    assert_int_equal(fake.starts, 1);
}

static void a_panic_at_boot(void **state UNUSED)
{
    boot_box(false, NULL);
    settle();
    end_machine(VM_END_PANIC, "Kernel panic - not syncing: oops");
    assert_report_error(125, "Kernel panic - not syncing: oops");
    UNTIL(sh->quit);
}

static void a_machine_that_dies(void **state UNUSED)
{
    run_box(true, NULL);
    guest_print(MSG_STDOUT, "before");
    end_machine(VM_END_FAILED, "QEMU died of signal 9");
    assert_message(attached, MSG_STDOUT, "before");
    assert_exit(attached, 137);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 137, "QEMU died of signal 9");
}

static void a_guest_that_breaks_the_protocol(void **state UNUSED)
{
    run_box(false, NULL);
    guest_say(guest.control, MSG_CONTAINER_EXITED, "\0\1\0\0\0\3", 6);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 255, "field is cut off");
}

static void stop_asks_then_kills(void **state UNUSED)
{
    struct ctl_request req = { .op = CTL_STOP, .timeout_ns = 30 * NS_PER_MS };
    struct ctl_reply reply;
    int fd;

    guest.ignore_signals = true;
    run_box(false, NULL);
    fd = ask(&req);
    UNTIL(guest.signals_n == 1);
    assert_int_equal(guest.signals[0], 15);
    assert_record(BOX_STOPPING, 0, NULL);
    UNTIL(guest.signals_n == 2);
    assert_int_equal(guest.signals[1], 9);
    assert_true(guest.signal_all);
    assert_reply(fd, NULL, &reply);
    assert_int_equal(reply.exit.status, 137);
    assert_record(BOX_STOPPED, 137, NULL);
    (void)close(fd);
    UNTIL(sh->quit);
}

static void a_signal_before_the_start_is_kept(void **state UNUSED)
{
    const struct ctl_request req = { .op = CTL_SIGNAL, .signal = 10 };

    guest.ignore_signals = true;
    boot_box(false, NULL);
    answered(&req, NULL);
    guest_hello();
    UNTIL(guest.start.argv.n);
    settle();
    assert_int_equal(guest.signals_n, 0);
    guest_started();
    UNTIL(guest.signals_n == 1);
    assert_int_equal(guest.signals[0], 10);
}

static void stop_during_the_boot(void **state UNUSED)
{
    const struct ctl_request req = { .op = CTL_STOP };

    boot_box(false, NULL);
    answered(&req, NULL);
    assert_report_error(137, "stopped before it had started");
    UNTIL(sh->quit);
    assert_false(fake.running);
}

static void pause_and_resume(void **state UNUSED)
{
    const struct ctl_request pause = { .op = CTL_PAUSE }, resume = { .op = CTL_RESUME },
                             procs = { .op = CTL_PROCS };

    run_box(false, NULL);
    answered(&resume, "is not paused");
    answered(&pause, NULL);
    assert_true(fake.paused);
    assert_record(BOX_PAUSED, 0, NULL);
    answered(&pause, "already paused");
    answered(&procs, "is paused");
    answered(&resume, NULL);
    assert_false(fake.paused);
    assert_record(BOX_RUNNING, 0, NULL);
}

static void stop_wakes_a_paused_box(void **state UNUSED)
{
    const struct ctl_request pause = { .op = CTL_PAUSE },
                             stop = { .op = CTL_STOP, .timeout_ns = UINT64_MAX };

    run_box(false, NULL);
    answered(&pause, NULL);
    answered(&stop, NULL);
    assert_false(fake.paused);
    assert_record(BOX_STOPPED, 143, NULL);
    UNTIL(sh->quit);
}

static void kill_wakes_a_box_that_is_being_paused(void **state UNUSED)
{
    const struct ctl_request pause = { .op = CTL_PAUSE },
                             kill = { .op = CTL_SIGNAL, .signal = 9 };
    int fd;

    run_box(false, NULL);
    fd = ask(&pause);
    answered(&kill, NULL);
    assert_record(BOX_STOPPED, 137, NULL);
    (void)close(fd);
    UNTIL(sh->quit);
}

static void procs_are_listed(void **state UNUSED)
{
    const struct ctl_request procs = { .op = CTL_PROCS };
    struct ctl_reply reply;
    int fd, second;

    run_box(false, NULL);
    fd = ask(&procs);
    second = ask(&procs);
    assert_reply(fd, NULL, &reply);
    assert_int_equal(reply.procs.procs.n, 1);
    assert_string_equal(TLV_AT(&reply.procs.procs, struct proc_row, 0)->comm, "init");
    config_done(ctl_reply, &reply);
    assert_reply(second, NULL, NULL);
    (void)close(fd);
    (void)close(second);
}

static void stats_are_asked_for(void **state UNUSED)
{
    const struct ctl_request stats = { .op = CTL_STATS }, pause = { .op = CTL_PAUSE };
    struct ctl_reply reply;
    int fd, second;

    run_box(false, NULL);
    fd = ask(&stats);
    second = ask(&stats);
    assert_reply(fd, NULL, &reply);
    assert_int_equal(reply.stats.uptime_ns, 7);
    assert_int_equal(reply.stats.cpu_ns, 12);
    assert_int_equal(reply.stats.pids, 3);
    config_done(ctl_reply, &reply);
    assert_reply(second, NULL, NULL);
    (void)close(fd);
    (void)close(second);
    answered(&pause, NULL);
    guest.stats = 0;
    fd = ask(&stats);
    assert_reply(fd, NULL, &reply);
    assert_int_equal(reply.stats.uptime_ns, 0); /* the vCPUs stand still: nobody was asked */
    assert_int_equal(guest.stats, 0);
    config_done(ctl_reply, &reply);
    (void)close(fd);
}

static void limits_change_while_it_runs(void **state UNUSED)
{
    struct ctl_request req = { .op = CTL_UPDATE };
    struct box_update *u = &req.update;

    run_box(false, NULL);
    *u = (struct box_update){ .set = UPDATE_CPUS | UPDATE_MEMORY | UPDATE_PIDS, .cpus = 4 };
    u->memory_bytes = sh->box->spec.memory_bytes - (16 << 20);
    u->limits.pids_max = 7;
    answered(&req, NULL);
    assert_int_equal(guest.update.vcpus, 4);
    assert_int_equal(guest.update.cgroup.pids_max, 7);
    assert_int_equal(guest.update.cgroup.memory_taken, 16 << 20);
    assert_int_equal(sh->box->spec.cpus, 4);
    assert_int_equal(sh->box->spec.limits.pids_max, 7);
    UNTIL(fake.memory == u->memory_bytes); /* the balloon */
    u->cpus = 5;
    answered(&req, "cannot have 5 CPUs while it runs: its machine has 4");
    *u = (struct box_update){ .set = UPDATE_MEMORY, .memory_bytes = UINT64_C(1) << 40 };
    answered(&req, "of memory while it runs");
    *u = (struct box_update){ .set = UPDATE_MEMORY, .memory_bytes = 1 };
    answered(&req, "minimum memory");
    *u = (struct box_update){ .set = UPDATE_PIDS };
    guest.refusal = "not today";
    answered(&req, "not today");
    assert_int_equal(sh->box->spec.limits.pids_max, 7);
}

/* One at a time; who waits when the machine ends is told. */
static void an_update_that_is_not_answered(void **state UNUSED)
{
    const struct ctl_request req = { .op = CTL_UPDATE, .update = { .set = UPDATE_PIDS } };
    int fd;

    run_box(false, NULL);
    guest.hang = true;
    fd = ask(&req);
    UNTIL(sh->update.busy);
    answered(&req, "is being updated");
    end_machine(VM_END_PANIC, "bang");
    assert_reply(fd, "is not running", NULL);
    (void)close(fd);
    UNTIL(sh->quit);
}

static void unknown_and_broken_requests(void **state UNUSED)
{
    const struct ctl_request unknown = { .op = 99 }, signal = { .op = CTL_SIGNAL, .signal = 77 };
    autostr buf = STR_INIT(0);
    struct msg m;
    struct err e;
    int fd;

    run_box(false, NULL);
    answered(&unknown, "not known");
    answered(&signal, "signal 77");
    fd = connect_to(BOX_CTL_SOCK);
    assert_int_equal(msg_send(fd, MSG_CTL_REQUEST, "\0\1\0", 3, &e), 0);
    assert_int_equal(receive(fd, &buf, &m), 0); /* dropped */
    (void)close(fd);
}

static void waiters_are_told_at_the_end(void **state UNUSED)
{
    const struct ctl_request wait = { .op = CTL_WAIT };
    struct ctl_reply reply;
    int fd;

    run_box(false, NULL);
    fd = ask(&wait);
    settle();
    guest_exit(3, true);
    assert_reply(fd, NULL, &reply);
    assert_int_equal(reply.exit.status, 3);
    assert_true(reply.exit.oom_killed);
    assert_record(BOX_STOPPED, 3, NULL);
    (void)close(fd);
}

static void stdin_goes_to_the_workload(void **state UNUSED)
{
    struct err e;

    run_box(true, NULL);
    assert_int_equal(msg_send(attached, MSG_STDIN, "a\0b", 3, &e), 0);
    UNTIL(guest.input.len == 3);
    assert_memory_equal(guest.input.p, "a\0b", 3);
    assert_false(guest.input_eof);
    assert_int_equal(msg_send(attached, MSG_STDIN_EOF, NULL, 0, &e), 0);
    UNTIL(guest.input_eof);
}

static void stdin_that_nobody_reads_stops_the_client(void **state UNUSED)
{
    static char chunk[32768];
    uint8_t head[MSG_HEADER] = { MSG_STDIN, 0, 0, 0x80, 0 };
    size_t sent = 0;

    run_box(true, NULL);
    guest.no_credit = true;
    for (int i = 0; i < 300; i++) {
        struct pollfd p = { .fd = attached, .events = POLLOUT };

        /* Writable means that a third of the buffer is free: enough for one message. */
        if (poll(&p, 1, 0) > 0) {
            assert_int_equal(send(attached, head, sizeof(head), MSG_DONTWAIT), sizeof(head));
            assert_int_equal(send(attached, chunk, sizeof(chunk), MSG_DONTWAIT), sizeof(chunk));
            sent += sizeof(chunk);
        }
        turn();
        if (sh->main.stdin_full)
            break;
    }
    settle();
    assert_true(sh->main.stdin_full);
    assert_true(sh->main.out.len < (size_t)1 << 20);
    assert_true(sent < (size_t)2 << 20);
    guest.no_credit = false;
    stream_consumed(guest.main, guest.held);
    UNTIL(guest.input.len == sent);
    assert_false(sh->main.stdin_full);
}

static void a_slow_client_slows_the_workload(void **state UNUSED)
{
    static char chunk[16384];
    size_t sent = 0, got = 0;
    struct err e;

    run_box(true, NULL);
    for (int i = 0; i < 500; i++) {
        if (stream_room(guest.main) >= MSG_HEADER + sizeof(chunk)) {
            guest_say(guest.main, MSG_STDOUT, chunk, sizeof(chunk));
            sent += sizeof(chunk);
        }
        settle();
    }
    assert_true(sent < (size_t)3 << 20);
    assert_true(sent >= CHANNEL_WINDOW - (64 << 10));
    guest_exit(0, false);
    while (got < sent) {
        autostr buf = STR_INIT(0);
        struct msg m;

        settle();
        assert_int_equal(msg_recv(attached, &buf, &m, &e), 1);
        assert_int_equal(m.type, MSG_STDOUT);
        got += m.len;
    }
    assert_exit(attached, 0);
    UNTIL(sh->quit);
}

static void the_box_outlives_its_client(void **state UNUSED)
{
    const struct ctl_request req = { .op = CTL_ATTACH, .attach_output = true };
    int fd;

    run_box(true, NULL);
    close_fd(&attached);
    guest_print(MSG_STDOUT, "nobody hears\n");
    settle();
    assert_record(BOX_RUNNING, 0, NULL);
    fd = ask(&req);
    assert_reply(fd, NULL, NULL);
    guest_print(MSG_STDOUT, "somebody does\n");
    assert_message(fd, MSG_STDOUT, "somebody does\n");
    guest_exit(0, false);
    assert_exit(fd, 0);
    (void)close(fd);
}

static void exec_reaches_the_guest(void **state UNUSED)
{
    char text[8] = "";
    int fd;

    run_box(false, NULL);
    fd = connect_to(BOX_EXEC_SOCK);
    assert_int_equal(send(fd, "echo", 4, 0), 4);
    settle();
    assert_int_equal(recv(fd, text, sizeof(text), MSG_DONTWAIT), 4);
    assert_string_equal(text, "echo");
    (void)close(fd);
    guest_exit(0, false);
    UNTIL(sh->quit);
}

static void a_second_shim_is_refused(void **state UNUSED)
{
    struct shim_args args = { .home = home, .box_id = id, .report_fd = -1, .attach_fd = -1 };
    struct shim *second = calloc(1, sizeof(*second));
    struct err e = { 0 };

    run_box(false, NULL);
    assert_int_equal(launch_shim(second, &args, &e), -ERR_STATE);
    assert_non_null(strstr(e.text, "already running"));
    shim_done(second);
    free(second);
    assert_record(BOX_RUNNING, 0, NULL);
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit = { 0 };

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_does_not_lose_the_exit_code(void **state UNUSED)
{
    run_box(true, NULL);
    limit_file_size(0);
    guest_exit(7, false);
    UNTIL(sh->record_tries > 0);
    assert_int_equal(sh->phase, PHASE_ENDING);
    limit_file_size(RLIM_INFINITY);
    assert_exit(attached, 7);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 7, NULL);
}

static void set_timeout(struct box_spec *spec)
{
    spec->timeout_ns = 50 * NS_PER_MS;
}

static void timeout_ends_the_box(void **state UNUSED)
{
    run_box(false, set_timeout);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 137, "--timeout");
}

/* ---- restarts and health ---- */

static void set_on_failure(struct box_spec *spec)
{
    spec->restart_policy = strdup("on-failure");
    spec->restart_max = 2;
}

static int launch_again(const struct restart_kept *kept, struct err *e)
{
    const struct shim_args args = { .home = home,
                                    .box_id = id,
                                    .report_fd = -1,
                                    .attach_fd = -1,
                                    .again = true,
                                    .waited_ns = kept->waited_ns,
                                    .dir_fd = kept->dir_fd,
                                    .ctl_fd = kept->ctl_fd };

    memset(sh, 0, sizeof(*sh));
    return launch_shim(sh, &args, e);
}

/* What main() does when a run is over and another is due: this process stands for both. */
static void run_again(void)
{
    struct restart_kept kept;
    struct err e = { 0 };

    assert_true(sh->restart.exec);
    restart_keep(sh, &kept);
    shim_done(sh);
    guest_stop();
    assert_true(kept.dir_fd >= 0 && kept.ctl_fd >= 0);
    config_done(exec_request, &guest.start);
    msg_reader_done(&guest.control_in);
    msg_reader_done(&guest.main_in);
    memset(&guest, 0, sizeof(guest));
    if (launch_again(&kept, &e) < 0)
        fail_msg("%s", e.text);
    guest_boots();
    guest_started();
    UNTIL(sh->phase == PHASE_RUN);
}

static void assert_restarts(uint64_t n)
{
    autoptr(box) box = record();

    assert_int_equal(box->restart_count, n);
}

static void a_failed_box_is_started_again(void **state UNUSED)
{
    struct ctl_reply reply;
    int fd;

    run_box(true, set_on_failure);
    fd = ask(&(struct ctl_request){ .op = CTL_WAIT });
    settle();
    guest_exit(3, false);
    assert_exit(attached, 3); /* this run's clients see its end */
    assert_reply(fd, NULL, &reply);
    assert_int_equal(reply.exit.status, 3);
    config_done(ctl_reply, &reply);
    (void)close(fd);
    assert_record(BOX_RESTARTING, 3, NULL);
    assert_restarts(1);
    assert_true(exists(BOX_CTL_SOCK));
    assert_false(exists(BOX_EXEC_SOCK) || exists(BOX_PTY_SOCK));
    answered(&(struct ctl_request){ .op = CTL_WAIT }, NULL); /* at once */
    answered(&(struct ctl_request){ .op = CTL_ATTACH }, "is restarting");
    answered(&(struct ctl_request){ .op = CTL_SIGNAL, .signal = 10 }, "is restarting");
    UNTIL(sh->restart.exec);
    assert_true(sh->restart.waited_ns == RESTART_DELAY_MIN);

    fd = ask(&(struct ctl_request){ .op = CTL_PING }); /* who comes in between is served */
    run_again();
    assert_reply(fd, NULL, NULL);
    (void)close(fd);
    assert_record(BOX_RUNNING, 0, NULL);
    assert_restarts(1);
    guest_exit(4, false);
    UNTIL(sh->phase == PHASE_RESTART);
    assert_true(sh->restart.waited_ns == 2 * RESTART_DELAY_MIN);
    assert_restarts(2);
    answered(&(struct ctl_request){ .op = CTL_RESTART }, NULL); /* ends the wait */
    UNTIL(sh->restart.exec);

    run_again();
    answered(&(struct ctl_request){ .op = CTL_RESTART }, "does not wait");
    guest_exit(5, false);
    UNTIL(sh->quit); /* that was the last */
    assert_false(sh->restart.exec);
    assert_record(BOX_STOPPED, 5, NULL);
    assert_restarts(2);
    assert_false(exists(BOX_CTL_SOCK));
}

static void a_box_that_ended_well_is_left_alone(void **state UNUSED)
{
    run_box(false, set_on_failure);
    guest_exit(0, false);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 0, NULL);
    assert_restarts(0);
}

static void set_always(struct box_spec *spec)
{
    spec->restart_policy = strdup("always");
}

/* While it waits for a restart, only the record changes, and "no" ends the wait. */
static void an_update_ends_the_wait_for_a_restart(void **state UNUSED)
{
    struct ctl_request req = { .op = CTL_UPDATE, .update = { .set = UPDATE_PIDS } };

    req.update.limits.pids_max = 9;
    run_box(false, set_always);
    guest_exit(3, false);
    UNTIL(sh->phase == PHASE_RESTART);
    answered(&req, NULL);
    assert_int_equal(sh->phase, PHASE_RESTART);
    assert_int_equal(sh->box->spec.limits.pids_max, 9);
    req.update = (struct box_update){ .set = UPDATE_RESTART };
    answered(&req, NULL);
    UNTIL(sh->quit);
    assert_false(sh->restart.exec);
    assert_record(BOX_STOPPED, 3, NULL);
}

static void assert_stopped_by_user(bool want)
{
    autoptr(box) box = record();

    assert_int_equal(box->stopped_by_user, want);
}

static void what_the_user_stops_stays(void **state UNUSED)
{
    run_box(false, set_always);
    answered(&(struct ctl_request){ .op = CTL_STOP, .timeout_ns = NS_PER_S }, NULL);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 143, NULL);
    assert_stopped_by_user(true);
}

static void a_signal_that_means_stop_stops(void **state UNUSED)
{
    run_box(false, set_always);
    answered(&(struct ctl_request){ .op = CTL_SIGNAL, .signal = 15 }, NULL);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 143, NULL);
    assert_stopped_by_user(true);
}

static void another_signal_does_not(void **state UNUSED)
{
    run_box(false, set_always);
    answered(&(struct ctl_request){ .op = CTL_SIGNAL, .signal = 10 }, NULL);
    UNTIL(sh->phase == PHASE_RESTART);
    assert_record(BOX_RESTARTING, 138, NULL);
    answered(&(struct ctl_request){ .op = CTL_SIGNAL, .signal = 9 }, NULL); /* ends the wait */
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 138, NULL); /* how it ended */
    assert_stopped_by_user(true);
}

static void the_host_may_stop_it_too(void **state UNUSED)
{
    run_box(false, set_always);
    shim_stop(sh, STOP_HOST, 0, UINT64_MAX);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 143, NULL);
    assert_stopped_by_user(false); /* monitor starts it after the reboot */
}

static void a_wait_for_a_restart_can_be_stopped(void **state UNUSED)
{
    run_box(false, set_always);
    guest_exit(0, false);
    UNTIL(sh->phase == PHASE_RESTART);
    answered(&(struct ctl_request){ .op = CTL_STOP, .timeout_ns = NS_PER_S }, NULL);
    UNTIL(sh->quit);
    assert_false(sh->restart.exec);
    assert_record(BOX_STOPPED, 0, NULL);
    assert_stopped_by_user(true);
    assert_false(exists(BOX_CTL_SOCK));
}

static void no_policy_ends_the_wait_too(void **state UNUSED)
{
    run_box(false, set_always);
    answered(
        &(struct ctl_request){ .op = CTL_UPDATE,
                               .update = { .set = UPDATE_RESTART,
                                           .restart_policy = (char *)(uintptr_t) "on-failure",
                                           .restart_max = 5 } },
        NULL); /* counts for this run's end */
    guest_exit(3, false);
    UNTIL(sh->phase == PHASE_RESTART);
    assert_string_equal(sh->box->spec.restart_policy, "on-failure");
    answered(&(struct ctl_request){ .op = CTL_UPDATE, .update = { .set = UPDATE_RESTART } },
             NULL);
    UNTIL(sh->quit);
    assert_record(BOX_STOPPED, 3, NULL);
    assert_stopped_by_user(false);
}

static void a_start_that_fails_is_the_users_to_see(void **state UNUSED)
{
    struct err e = { 0 };

    fake.fail_start = true;
    make_box(set_always);
    assert_true(launch(false, &e) < 0);
    shim_start_failed(sh, 125, &e); /* as main() does */
    shim_turn(sh);
    UNTIL(sh->quit);
    assert_record(BOX_CREATED, 125, "no such machine");
}

static void a_restart_that_fails_is_tried_again(void **state UNUSED)
{
    struct restart_kept kept;
    struct err e = { 0 };

    run_box(false, set_always);
    guest_exit(1, false);
    UNTIL(sh->restart.exec);
    restart_keep(sh, &kept);
    shim_done(sh);
    guest_stop();
    fake.fail_start = true;
    assert_true(launch_again(&kept, &e) < 0);
    shim_start_failed(sh, 125, &e);
    shim_turn(sh);
    assert_int_equal(sh->phase, PHASE_RESTART);
    assert_record(BOX_RESTARTING, 125, "no such machine");
    assert_restarts(2);
}

static void set_check(struct box_spec *spec)
{
    assert_true(strv_add(&spec->health_test, "CMD-SHELL"));
    assert_true(strv_add(&spec->health_test, "test -e /ok"));
    spec->health_interval_ns = 5 * NS_PER_MS;
    spec->health_timeout_ns = 1500 * NS_PER_MS;
    spec->health_start_interval_ns = 5 * NS_PER_MS;
    spec->health_retries = 2;
}

static void check_says(const char *output, int status, enum exit_reason reason)
{
    struct exit_info info = { .status = (uint64_t)status, .reason = reason };
    int before = sh->health.log_n < HEALTH_LOG_MAX ? (int)sh->health.log_n : -1;

    UNTIL(guest.check && guest.check_start.argv.n);
    if (output)
        guest_say(guest.check, MSG_STDOUT, output, strlen(output));
    guest_tell(guest.check, MSG_EXIT, exit_info, &info);
    UNTIL(!guest.check && (before < 0 || (int)sh->health.log_n == before + 1));
}

static void assert_health(const char *want)
{
    autoptr(box) box = record();

    assert_string_equal(box->health, want);
}

static void checks_make_a_box_healthy_and_unhealthy(void **state UNUSED)
{
    struct ctl_reply reply = { 0 };
    autoptr(box) box = NULL;
    json_t *log, *root;
    int fd;

    guest.checked = true;
    run_box(false, set_check);
    assert_health("starting");
    UNTIL(guest.check && guest.check_start.argv.n);
    assert_int_equal(guest.check_start.argv.n, 3);
    assert_string_equal(guest.check_start.argv.v[0], "/bin/sh");
    assert_string_equal(guest.check_start.argv.v[2], "test -e /ok");
    assert_true(guest.check_start.timeout_ns == 1500 * NS_PER_MS);
    check_says("fine \xff\n", 0, EXIT_NORMAL);
    assert_health("healthy");
    check_says("no", 1, EXIT_NORMAL);
    assert_health("healthy"); /* one of two */
    check_says("half", 137, EXIT_TIMEOUT);
    assert_health("unhealthy");

    fd = ask(&(struct ctl_request){ .op = CTL_HEALTH });
    assert_reply(fd, NULL, &reply);
    (void)close(fd);
    log = json_loads(reply.health, 0, NULL);
    assert_non_null(log);
    assert_string_equal(json_string_value(json_object_get(log, "Status")), "unhealthy");
    assert_int_equal(json_integer_value(json_object_get(log, "FailingStreak")), 2);
    root = log;
    log = json_object_get(root, "Log");
    assert_int_equal(json_array_size(log), 3);
    assert_string_equal(json_string_value(json_object_get(json_array_get(log, 0), "Output")),
                        "fine ?\n");
    assert_string_equal(json_string_value(json_object_get(json_array_get(log, 2), "Output")),
                        "Health check exceeded timeout (1500ms): half");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(log, 2), "ExitCode")), -1);
    json_decref(root);
    config_done(ctl_reply, &reply);

    for (int i = 0; i < 4; i++)
        check_says("", 0, EXIT_NORMAL);
    assert_int_equal(sh->health.log_n, HEALTH_LOG_MAX);
    assert_health("healthy");
    guest_exit(0, false);
    UNTIL(sh->quit);
    box = record();
    assert_non_null(strstr(box->health_log, "\"FailingStreak\":0"));
}

static void set_start_period(struct box_spec *spec)
{
    set_check(spec);
    spec->health_start_period_ns = 3600 * NS_PER_S;
    spec->health_retries = 1;
}

static void failures_in_the_start_period_do_not_count(void **state UNUSED)
{
    guest.checked = true;
    run_box(false, set_start_period);
    check_says("", 1, EXIT_NORMAL);
    check_says("", 1, EXIT_NORMAL);
    assert_health("starting");
    check_says("", 0, EXIT_NORMAL);
    check_says("", 1, EXIT_NORMAL); /* it was healthy: the period is over */
    assert_health("unhealthy");
}

static void no_check_runs_while_the_box_is_paused(void **state UNUSED)
{
    int checks;

    guest.checked = true;
    run_box(false, set_check);
    answered(&(struct ctl_request){ .op = CTL_PAUSE }, NULL);
    for (int i = 0; i < 10; i++) /* one may have begun before */
        turn();
    checks = guest.checks;
    for (int i = 0; i < 5; i++)
        turn();
    assert_int_equal(guest.checks, checks);
    answered(&(struct ctl_request){ .op = CTL_RESUME }, NULL);
    check_says("", 0, EXIT_NORMAL);
    assert_health("healthy");
}

static void set_check_and_policy(struct box_spec *spec)
{
    set_check(spec);
    set_on_failure(spec);
}

static void an_unhealthy_box_is_started_again(void **state UNUSED)
{
    guest.checked = true;
    run_box(false, set_check_and_policy);
    check_says("", 1, EXIT_NORMAL);
    check_says("", 1, EXIT_NORMAL);
    UNTIL(sh->phase == PHASE_RESTART);
    assert_int_equal(guest.signals[0], 15); /* as `stop` does it */
    assert_record(BOX_RESTARTING, 143, NULL);
    assert_restarts(1);
    assert_stopped_by_user(false);
    assert_health("unhealthy");
}

/* What a3s-box-image would make; the engine of this test does not look into it. */
static int make_template(struct err *e)
{
    autofree char *cache = str_format("%s/cache", home);
    autofree char *path = str_format("%s/cache/disk-v2-%d.ext4", home, DISK);
    int r = fs_mkdirs(cache, e);

    return r < 0 ? r : fs_write_file(AT_FDCWD, path, "template", 8, 0600, e);
}

static int open_home(void **state UNUSED)
{
    struct err e;

    (void)signal(SIGPIPE, SIG_IGN); /* as main() does */
    (void)signal(SIGXFSZ, SIG_IGN);
    return mkdtemp(home) && make_template(&e) == 0 ? 0 : -1;
}

static int remove_home(void **state UNUSED)
{
    struct err e;

    return fs_remove_tree(AT_FDCWD, home, &e);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_box_runs_to_its_end),
        CASE(nothing_is_left_of_an_auto_removed_box),
        CASE(a_command_that_is_not_there),
        CASE(a_machine_that_does_not_start),
        CASE(a_guest_that_hangs_at_boot),
        CASE(a_guest_that_hangs_at_boot_gets_another_one),
        CASE(a_guest_that_hangs_behind_hello_gets_another_one),
        CASE(a_guest_with_a_container_is_not_started_again),
        CASE(a_panic_at_boot),
        CASE(a_machine_that_dies),
        CASE(a_guest_that_breaks_the_protocol),
        CASE(stop_asks_then_kills),
        CASE(a_signal_before_the_start_is_kept),
        CASE(stop_during_the_boot),
        CASE(pause_and_resume),
        CASE(stop_wakes_a_paused_box),
        CASE(kill_wakes_a_box_that_is_being_paused),
        CASE(procs_are_listed),
        CASE(stats_are_asked_for),
        CASE(limits_change_while_it_runs),
        CASE(an_update_that_is_not_answered),
        CASE(unknown_and_broken_requests),
        CASE(waiters_are_told_at_the_end),
        CASE(stdin_goes_to_the_workload),
        CASE(stdin_that_nobody_reads_stops_the_client),
        CASE(a_slow_client_slows_the_workload),
        CASE(the_box_outlives_its_client),
        CASE(exec_reaches_the_guest),
        CASE(a_second_shim_is_refused),
        CASE(timeout_ends_the_box),
        CASE(a_full_disk_does_not_lose_the_exit_code),
        CASE(a_failed_box_is_started_again),
        CASE(a_box_that_ended_well_is_left_alone),
        CASE(an_update_ends_the_wait_for_a_restart),
        CASE(what_the_user_stops_stays),
        CASE(a_signal_that_means_stop_stops),
        CASE(another_signal_does_not),
        CASE(the_host_may_stop_it_too),
        CASE(a_wait_for_a_restart_can_be_stopped),
        CASE(no_policy_ends_the_wait_too),
        CASE(a_start_that_fails_is_the_users_to_see),
        CASE(a_restart_that_fails_is_tried_again),
        CASE(checks_make_a_box_healthy_and_unhealthy),
        CASE(failures_in_the_start_period_do_not_count),
        CASE(no_check_runs_while_the_box_is_paused),
        CASE(an_unhealthy_box_is_started_again),
    };

    return cmocka_run_group_tests(tests, open_home, remove_home);
}
