#include "cli/registry.h"

#include "cli/boxes.h"
#include "cli/helper.h"
#include "util/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

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
static int take_lines(void *ctx, struct str *text, struct err *e)
{
    const struct registry_job *job = ctx;
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
    if (r == 0 && text->len > LINE_MAX_BYTES)
        r = err_set(e, ERR_INTERNAL, "a3s-box-registry does not end its line");
    return r;
}

int cli_registry(struct cli *cli, const struct registry_job *job, struct err *e)
{
    autofree char *program = cli_helper_path(cli, "a3s-box-registry");
    autofd int in = -1, out_r = -1, out_w = -1;
    struct registry_job own = *job;
    autostr text = STR_INIT(0);
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

    r = cli_helper_run(cli,
                       &(struct helper){ .spawn = &s,
                                         .out = out_r,
                                         .out_w = &out_w,
                                         .text = &text,
                                         .more = take_lines,
                                         .ctx = &own },
                       e);
    return r;
}
