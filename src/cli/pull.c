#include "cli/pull.h"

#include "cli/boxes.h"
#include "cli/progress.h"
#include "cli/terminal.h"
#include "oci/ref.h"
#include "oci/store.h"
#include "util/log.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>

#define LINE_MAX_BYTES ((size_t)64 << 10) /* an event is some hundred bytes */
#define END_WAIT_MS    5000 /* for a killed process; it is a matter of milliseconds */
#define ARGS_MAX       16

/* A pull on its way. */
struct pulling {
    struct cli *cli;
    const struct pull_how *how;
    pid_t pid;
    int events;  /* the read end of its stdout */
    int signals; /* signalfd */
    int worker;  /* pidfd of its a3s-box-image, or -1 */
    int signal;  /* that ended it, or 0 */
    sigset_t saved_mask;
    struct str text; /* of events, not yet a whole line */
    struct progress *progress;
};

static size_t fill_args(const char *program, const char *reference, const struct pull_how *how,
                        const char *ret[ARGS_MAX])
{
    const struct {
        const char *name, *value;
    } options[] = {
        { "--platform", how->platform },
        { "--verify-key", how->verify_key },
        { "--verify-issuer", how->verify_issuer },
        { "--verify-identity", how->verify_identity },
    };
    size_t n = 0;

    ret[n++] = program;
    ret[n++] = "pull";
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!options[i].value)
            continue;
        ret[n++] = options[i].name;
        ret[n++] = options[i].value;
    }
    ret[n++] = reference;
    ret[n] = NULL;
    return n;
}

static int start(struct pulling *p, const char *reference, struct err *e)
{
    autofree char *program = cli_helper_path(p->cli, "a3s-box-registry");
    autofd int out_r = -1, out_w = -1;
    const char *argv[ARGS_MAX];
    int pipe_fds[2], r;

    if (!program)
        return err_set(e, ERR_LIMIT, "Out of memory");
    (void)fill_args(program, reference, p->how, argv);
    if (setenv("A3S_HOME", p->cli->home, 1) < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_os(e, "a3s-box-registry");
    out_r = pipe_fds[0];
    out_w = pipe_fds[1];

    const struct spawn_fd fds[] = { { out_w, 1 }, { 2, 2 } };
    const struct spawn s = { .argv = argv,
                             .fds = fds,
                             .fds_n = ARRAY_LEN(fds),
                             .parent_death_signal = SIGKILL,
                             .no_new_privs = true };

    r = spawn_start(&s, &p->pid, NULL, e);
    if (r == 0)
        p->events = take_fd(&out_r);
    return r;
}

/* From here on they come through a descriptor, so that the children can be ended first. */
static int catch_signals(struct pulling *p, struct err *e)
{
    static const int which[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(which); i++)
        (void)sigaddset(&set, which[i]);
    if (sigprocmask(SIG_BLOCK, &set, &p->saved_mask) < 0)
        return err_os(e, "signals");
    p->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return p->signals < 0 ? err_os(e, "signals") : 0;
}

/* To see later that it has ended. It is there now: its parent waits for it. */
static void note_worker(struct pulling *p, const json_t *event)
{
    pid_t pid = (pid_t)json_integer_value(json_object_get(event, "pid"));

    close_fd(&p->worker);
    if (pid > 0)
        p->worker = (int)syscall(SYS_pidfd_open, pid, 0);
}

static int take_line(struct pulling *p, const char *line, size_t len, struct err *e)
{
    json_t *event = json_loadb(line, len, 0, NULL);
    const char *kind = json_string_value(json_object_get(event, "event"));

    if (!kind) {
        json_decref(event);
        return err_set(e, ERR_INTERNAL, "a3s-box-registry answered '%.100s'", line);
    }
    if (strcmp(kind, "worker") == 0)
        note_worker(p, event);
    else if (p->progress)
        progress_event(p->progress, event, time_mono_ns());
    json_decref(event);
    return 0;
}

static int take_lines(struct pulling *p, struct err *e)
{
    size_t at = 0;
    char *end;
    int r = 0;

    while (r == 0 && p->text.len > at && (end = memchr(p->text.p + at, '\n', p->text.len - at))) {
        r = take_line(p, p->text.p + at, (size_t)(end - p->text.p) - at, e);
        at = (size_t)(end - p->text.p) + 1;
    }
    str_drop(&p->text, at);
    return r;
}

/* 1 when there is nothing more to come. */
static int read_events(struct pulling *p, struct err *e)
{
    char *room = str_reserve(&p->text, 8192);
    uint16_t cols = 80, rows = 24;
    ssize_t n;
    int r;

    if (!room)
        return err_set(e, ERR_INTERNAL, "a3s-box-registry answered something too long");
    n = read(p->events, room, 8192);
    if (n < 0)
        return errno == EINTR ? 0 : err_os(e, "a3s-box-registry");
    if (n == 0)
        return 1;
    str_added(&p->text, (size_t)n);
    r = take_lines(p, e);
    if (r == 0 && p->progress) {
        (void)terminal_size(fileno(p->how->out), &cols, &rows);
        progress_draw(p->progress, cols, rows);
        (void)fflush(p->how->out); /* main() reports what could not be written */
    }
    return r;
}

static int watch(struct pulling *p, struct err *e)
{
    struct pollfd fds[] = { { .fd = p->events, .events = POLLIN },
                            { .fd = p->signals, .events = POLLIN } };
    struct signalfd_siginfo info;
    int r = 0;

    while (r == 0) {
        if (poll(fds, ARRAY_LEN(fds), -1) < 0) {
            if (errno == EINTR)
                continue;
            return err_os(e, "a3s-box-registry");
        }
        if (fds[1].revents && read(p->signals, &info, sizeof(info)) == sizeof(info)) {
            p->signal = (int)info.ssi_signo;
            return 0;
        }
        if (fds[0].revents)
            r = read_events(p, e);
    }
    return r < 0 ? r : 0;
}

/* Both processes are gone when this returns: the second dies with the first. */
static void end(struct pulling *p)
{
    struct pollfd fd = { .fd = p->worker, .events = POLLIN };
    struct err why = { 0 };
    int status;

    (void)kill(p->pid, SIGKILL); /* our child, not waited for yet: the pid is right */
    if (spawn_wait(p->pid, &status, &why) < 0)
        log_debug("%s", why.text);
    if (p->worker >= 0)
        (void)poll(&fd, 1, END_WAIT_MS);
    err_clear(&why);
    if (store_sweep(p->cli->home, NULL, &why) < 0)
        log_debug("%s", why.text); /* the next pull does it */
}

static int finish(struct pulling *p, int r, struct err *e)
{
    int status = 0;

    if (r < 0 || p->signal) {
        end(p);
        if (p->signal) {
            p->cli->status = 128 + p->signal;
            *e = (struct err){ .kind = ERR_CANCELED };
            return -ERR_CANCELED;
        }
        return r;
    }
    r = spawn_wait(p->pid, &status, e);
    if (r < 0 || status == 0)
        return r < 0 ? r : 0;
    if (status > 128) { /* killed: it has told nothing */
        end(p);
        return err_set(e, ERR_SYSTEM, "a3s-box-registry was ended by signal %d", status - 128);
    }
    *e = (struct err){ .kind = ERR_SYSTEM };
    return -ERR_SYSTEM;
}

static int show(struct pulling *p, const char *full, struct err *e)
{
    uint16_t cols, rows;
    const struct progress_options o = { .out = p->how->out,
                                        .bars = terminal_size(fileno(p->how->out), &cols, &rows),
                                        .full = full,
                                        .show_reference = p->how->show_reference };

    return p->how->quiet ? 0 : progress_new(&o, &p->progress, e);
}

int cli_pull(struct cli *cli, const char *reference, const struct pull_how *how, struct err *e)
{
    struct pulling p = { .cli = cli,
                         .how = how,
                         .events = -1,
                         .signals = -1,
                         .worker = -1,
                         .text = STR_INIT(LINE_MAX_BYTES) };
    char full[REF_TEXT_MAX];
    struct ref ref;
    int r;

    r = ref_parse(reference, &ref, e);
    if (r < 0)
        return r;
    if (ref.digest[0])
        ref.tag[0] = '\0'; /* the digest decides */
    ref_full(&ref, full);
    r = show(&p, full, e);
    if (r == 0)
        r = catch_signals(&p, e);
    if (r == 0) {
        r = start(&p, reference, e);
        if (r == 0)
            r = finish(&p, watch(&p, e), e);
        (void)sigprocmask(SIG_SETMASK, &p.saved_mask, NULL);
    }
    if (r == 0 && how->quiet && how->show_reference)
        fprintf(how->out, "%s\n", full);
    progress_free(p.progress);
    close_fd(&p.events);
    close_fd(&p.signals);
    close_fd(&p.worker);
    str_done(&p.text);
    return r;
}
