#include "cli/images.h"
#include "oci/ref.h"

#include <string.h>

#define CHANGES_MAX 24 /* instructions on one command line */

struct import_args {
    struct str_list changes;
    const char *message, *platform;
};

static const struct opt import_opts[] = {
    OPT_LIST('c', "change", "INSTRUCTION", struct import_args, changes,
             "Apply a Dockerfile instruction to the image"),
    OPT_STR('m', "message", "TEXT", struct import_args, message, "Comment for the image"),
    OPT_STR(0, "platform", "OS/ARCH", struct import_args, platform,
            "What the image is for (default: this machine)"),
    { .type = OPT_END },
};

struct words {
    const char *v[64];
    size_t n;
};

static void add_pair(struct words *w, const char *name, const char *value)
{
    if (!value)
        return;
    w->v[w->n++] = name;
    w->v[w->n++] = value;
}

static int import_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                      struct err *e)
{
    const struct import_args *args = own_args;
    struct words words = { .v = { "import" }, .n = 1 };
    json_t *lines = NULL;
    autofd int fd = -1;
    struct ref ref;
    int r = 0;

    if (args->changes.n > CHANGES_MAX)
        return err_set(e, ERR_LIMIT, "More than %d changes", CHANGES_MAX);
    if (strstr(argv[0], "://"))
        return err_set(e, ERR_UNSUPPORTED, "Cannot import '%.200s': fetch it first", argv[0]);
    if (argv[1])
        r = ref_parse(argv[1], &ref, e);
    if (r < 0)
        return r;
    add_pair(&words, "--reference", argv[1]);
    add_pair(&words, "--message", args->message);
    add_pair(&words, "--platform", args->platform);
    for (size_t i = 0; i < args->changes.n; i++)
        add_pair(&words, "--change", args->changes.v[i]);
    r = cli_open_input(argv[0], &fd, e);
    if (r >= 0)
        r = cli_image_worker(cli, words.v, fd, &lines, e);
    if (r < 0)
        return r;
    fprintf(cli->out, "%s\n", json_string_value(json_object_get(json_array_get(lines, 0), "id")));
    json_decref(lines);
    return 0;
}

const struct command cmd_import = {
    .name = "import",
    .synopsis = "[OPTIONS] FILE|- [REPOSITORY[:TAG]]",
    .summary = "Make an image from a tar of a root file system",
    .group = GROUP_IMAGE,
    .audit = "image_import",
    .arg = ARG_FILE,
    .min_args = 1,
    .max_args = 2,
    .opts = import_opts,
    .args_size = sizeof(struct import_args),
    .run = import_run,
};
