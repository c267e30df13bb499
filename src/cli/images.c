#include "cli/images.h"

#include "cli/boxes.h"
#include "cli/helper.h"
#include "util/fd.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>

#define WORKER_OUTPUT_MAX ((size_t)4 << 20) /* 256 images with a dozen names each are 1 MB */

void image_words_add(struct image_words *w, const char *name, const char *value)
{
    if (!value)
        return;
    w->v[w->n++] = name;
    w->v[w->n++] = value;
}

int image_words_add_changes(struct image_words *w, const struct str_list *changes, struct err *e)
{
    if (changes->n > IMAGE_CHANGES_MAX)
        return err_set(e, ERR_LIMIT, "More than %d changes", IMAGE_CHANGES_MAX);
    for (size_t i = 0; i < changes->n; i++)
        image_words_add(w, "--change", changes->v[i]);
    return 0;
}

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

struct job {
    const char *const *args;
    int in, out; /* in -1: nothing */
    int *out_w;  /* to close once it runs */
    int out_r;   /* -1: out is not for us */
    struct str *text;
};

static int run_worker(struct cli *cli, const struct job *job, struct err *e)
{
    autofree char *program = cli_helper_path(cli, "a3s-box-image");
    autofree const char **argv = NULL;
    struct spawn_fd fds[] = { { job->out, 1 }, { 2, 2 }, { job->in, 0 } };
    struct spawn s = { .fds = fds,
                       .fds_n = job->in < 0 ? 2 : 3,
                       .parent_death_signal = SIGKILL,
                       .no_new_privs = true };
    size_t n = 0;

    while (job->args[n])
        n++;
    argv = calloc(n + 2, sizeof(*argv));
    if (!program || !argv)
        return err_set(e, ERR_LIMIT, "Out of memory");
    argv[0] = program;
    memcpy(argv + 1, job->args, n * sizeof(*argv));
    s.argv = argv;
    if (setenv("A3S_HOME", cli->home, 1) < 0)
        return err_os(e, "a3s-box-image");
    return cli_helper_run(
        cli,
        &(struct helper){
            .spawn = &s, .out = job->out_r, .out_w = job->out_w, .text = job->text },
        e);
}

int cli_image_worker(struct cli *cli, const char *const *args, int input_fd, json_t **ret_lines,
                     struct err *e)
{
    autostr text = STR_INIT(WORKER_OUTPUT_MAX);
    autofd int ours = -1, theirs = -1;
    int pipe_fds[2], r;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_os(e, "a3s-box-image");
    ours = pipe_fds[0];
    theirs = pipe_fds[1];
    r = run_worker(cli,
                   &(struct job){ .args = args,
                                  .in = input_fd,
                                  .out = theirs,
                                  .out_w = &theirs,
                                  .out_r = ours,
                                  .text = &text },
                   e);
    return r < 0 ? r : parse_lines(&text, ret_lines, e);
}

int cli_image_worker_to(struct cli *cli, const char *const *args, int output_fd, struct err *e)
{
    int none = -1;

    return run_worker(
        cli,
        &(struct job){ .args = args, .in = -1, .out = output_fd, .out_w = &none, .out_r = -1 },
        e);
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
