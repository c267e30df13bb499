#include "cli/registry.h"

#include "cli/boxes.h"
#include "util/fd.h"
#include "util/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#define LINE_MAX_BYTES ((size_t)64 << 10)

/* Memory as stdin: neither side waits for the other, and nothing is on a disk. */
static int input_file(const struct registry_job *job, int *ret_fd, struct err *e)
{
    autofd int fd = memfd_create("input", MFD_CLOEXEC);
    int r;

    if (fd < 0)
        return err_os(e, "memfd");
    r = fd_write_all(fd, job->input, job->input_len, e);
    if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
        r = err_os(e, "memfd");
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

/* The whole lines in `text`. */
static int take_lines(const struct registry_job *job, struct str *text, struct err *e)
{
    size_t done = 0;
    int r = 0;

    for (char *end;
         r == 0 && done < text->len && (end = memchr(text->p + done, '\n', text->len - done));) {
        char *line = text->p + done;
        json_t *event = json_loadb(line, (size_t)(end - line), 0, NULL);

        if (!json_is_object(event))
            r = err_set(e, ERR_INTERNAL, "a3s-box-registry said '%.*s'",
                        (int)(end - line < 100 ? end - line : 100), line);
        else
            r = job->event(job->ctx, event, e);
        json_decref(event);
        done = (size_t)(end - text->p) + 1;
    }
    str_drop(text, done);
    return r;
}

static int read_events(const struct registry_job *job, int fd, struct err *e)
{
    autostr text = STR_INIT(LINE_MAX_BYTES);
    int r = 0;

    while (r == 0) {
        char *room = str_reserve(&text, 4096);
        ssize_t n = room ? read(fd, room, 4096) : -1;

        if (!room)
            return err_set(e, ERR_INTERNAL, "a3s-box-registry does not end its line");
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(e, "a3s-box-registry");
        if (n == 0)
            return 0;
        str_added(&text, (size_t)n);
        r = take_lines(job, &text, e);
    }
    return r;
}

static int run(const struct registry_job *job, const struct spawn *s, int out_r, int *out_w,
               struct err *e)
{
    struct err reading = { 0 };
    int status = 0, r, rr;
    pid_t pid;

    r = spawn_start(s, &pid, NULL, e);
    close_fd(out_w); /* or the end never comes */
    if (r < 0)
        return r;
    rr = read_events(job, out_r, &reading);
    if (rr < 0)
        (void)kill(pid, SIGTERM); /* our own child, not yet waited for */
    r = spawn_wait(pid, &status, e);
    if (rr < 0) {
        *e = reading;
        return rr;
    }
    if (r >= 0 && status != 0) {
        *e = (struct err){ .kind = ERR_SYSTEM }; /* it has told why */
        return -ERR_SYSTEM;
    }
    return r;
}

int cli_registry(struct cli *cli, const struct registry_job *job, struct err *e)
{
    autofree char *program = cli_helper_path(cli, "a3s-box-registry");
    autofd int in = -1, out_r = -1, out_w = -1;
    const char *argv[32] = { program };
    int pipe_fds[2], r = 0;
    size_t n = 0;

    for (; job->args[n] && n + 2 < ARRAY_LEN(argv); n++)
        argv[n + 1] = job->args[n];
    if (!program || job->args[n])
        return err_set(e, ERR_LIMIT, "Too many arguments");
    if (setenv("A3S_HOME", cli->home, 1) < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_os(e, "a3s-box-registry");
    out_r = pipe_fds[0];
    out_w = pipe_fds[1];
    if (job->input)
        r = input_file(job, &in, e);
    if (r < 0)
        return r;
    struct spawn_fd fds[] = { { out_w, 1 }, { 2, 2 }, { in, 0 } };
    struct spawn s = { .argv = argv,
                       .fds = fds,
                       .fds_n = ARRAY_LEN(fds) - (in < 0),
                       .parent_death_signal = SIGKILL,
                       .no_new_privs = true };

    return run(job, &s, out_r, &out_w, e);
}
