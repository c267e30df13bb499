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

/* Read what it prints to the end, then its status. */
static int run_worker(const struct spawn *s, int out, struct str *text, struct err *e)
{
    struct err reading = { 0 };
    int status = 0, r, rr;
    pid_t pid;

    r = spawn_start(s, &pid, NULL, e);
    if (r < 0)
        return r;
    /* Our copy of the other end must go, or the end never comes. */
    (void)close(s->fds[1].fd);
    rr = fd_read_all(out, text, &reading);
    r = spawn_wait(pid, &status, e);
    if (r >= 0 && status != 0) {
        *e = (struct err){ .kind = ERR_SYSTEM }; /* it has told why */
        return -ERR_SYSTEM;
    }
    if (r >= 0 && rr < 0) {
        *e = reading;
        r = rr;
    }
    return r;
}

int cli_image_worker(struct cli *cli, const char *const *args, int input_fd, json_t **ret_lines,
                     struct err *e)
{
    autofree char *program = cli_helper_path(cli, "a3s-box-image");
    autostr text = STR_INIT(WORKER_OUTPUT_MAX);
    const char *argv[64] = { program };
    autofd int out = -1;
    size_t n = 0;
    int pipe_fds[2], r;

    while (args[n] && n + 2 < ARRAY_LEN(argv)) {
        argv[n + 1] = args[n];
        n++;
    }
    if (!program || args[n])
        return err_set(e, ERR_LIMIT, "Too many arguments");
    if (setenv("A3S_HOME", cli->home, 1) < 0 || pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_os(e, "a3s-box-image");
    out = pipe_fds[0];
    struct spawn_fd fds[] = { { input_fd, 0 }, { pipe_fds[1], 1 }, { 2, 2 } };
    struct spawn s = { .argv = argv,
                       .fds = fds,
                       .fds_n = ARRAY_LEN(fds),
                       .parent_death_signal = SIGKILL,
                       .no_new_privs = true };

    r = run_worker(&s, out, &text, e);
    return r < 0 ? r : parse_lines(&text, ret_lines, e);
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
