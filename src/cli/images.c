#include "cli/images.h"

#include "cli/boxes.h"
#include "util/fd.h"
#include "util/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define WORKER_OUTPUT_MAX ((size_t)4 << 20) /* 256 images with a dozen names each are 1 MB */

static int parse_lines(const struct str *text, json_t **ret, struct err *e)
{
    json_t *lines = json_array();
    const char *p = str_c(text);

    while (lines && *p) {
        size_t len = strcspn(p, "\n");
        json_t *line = json_loadb(p, len, 0, NULL);

        if (!line || json_array_append_new(lines, line) < 0) {
            json_decref(lines);
            return err_set(e, ERR_INTERNAL, "a3s-box-image answered '%.100s'", p);
        }
        p += len + (p[len] == '\n');
    }
    *ret = lines;
    return lines ? 0 : err_set(e, ERR_LIMIT, "Out of memory");
}

/* Its end: a failure has been told on stderr. */
static int wait_for(pid_t pid, struct err *e)
{
    int status = 0, r = spawn_wait(pid, &status, e);

    if (r < 0 || status == 0)
        return r < 0 ? r : 0;
    *e = (struct err){ .kind = ERR_SYSTEM };
    return -ERR_SYSTEM;
}

static int start_worker(struct cli *cli, const char *const *args, int in, int out, pid_t *ret_pid,
                        struct err *e)
{
    autofree char *program = cli_helper_path(cli, "a3s-box-image");
    autofree const char **argv = NULL;
    struct spawn_fd fds[] = { { out, 1 }, { 2, 2 }, { in, 0 } };
    struct spawn s = {
        .fds = fds, .fds_n = in < 0 ? 2 : 3, .parent_death_signal = SIGKILL, .no_new_privs = true
    };
    size_t n = 0;

    while (args[n])
        n++;
    argv = calloc(n + 2, sizeof(*argv));
    if (!program || !argv)
        return err_set(e, ERR_LIMIT, "Out of memory");
    argv[0] = program;
    memcpy(argv + 1, args, n * sizeof(*argv));
    s.argv = argv;
    if (setenv("A3S_HOME", cli->home, 1) < 0)
        return err_os(e, "a3s-box-image");
    return spawn_start(&s, ret_pid, NULL, e);
}

int cli_image_worker(struct cli *cli, const char *const *args, int input_fd, json_t **ret_lines,
                     struct err *e)
{
    autostr text = STR_INIT(WORKER_OUTPUT_MAX);
    autofd int ours = -1, theirs = -1;
    struct err reading = { 0 };
    int pipe_fds[2], r, rr;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_os(e, "a3s-box-image");
    ours = pipe_fds[0];
    theirs = pipe_fds[1];
    r = start_worker(cli, args, input_fd, theirs, &pid, e);
    if (r < 0)
        return r;
    close_fd(&theirs); /* only the worker holds it: its end is the end */
    rr = fd_read_all(ours, &text, &reading);
    r = wait_for(pid, e);
    if (r == 0 && rr < 0) {
        *e = reading;
        return rr;
    }
    return r < 0 ? r : parse_lines(&text, ret_lines, e);
}

int cli_image_worker_to(struct cli *cli, const char *const *args, int output_fd, struct err *e)
{
    pid_t pid;
    int r = start_worker(cli, args, -1, output_fd, &pid, e);

    return r < 0 ? r : wait_for(pid, e);
}

int cli_open_input(const char *path, int *ret_fd, struct err *e)
{
    if (!path || strcmp(path, "-") == 0) {
        if (isatty(0))
            return err_set(e, ERR_INVALID,
                           "Nothing to read: stdin is a terminal; name a file with --input");
        *ret_fd = fd_dup(0, e);
        return *ret_fd < 0 ? *ret_fd : 0;
    }
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? err_os(e, "open %s", path) : 0;
}
