#include "cli/images.h"
#include "cli/outfile.h"
#include "db/db.h"
#include "oci/event.h"
#include "util/log.h"

struct save_args {
    const char *output;
};

static const struct opt save_opts[] = {
    OPT_STR('o', "output", "FILE", struct save_args, output, "Write to a file, not to stdout"),
    { .type = OPT_END },
};

/* What is not there is found before anything is written. */
static int check_images(struct cli *cli, char **names, struct err *e)
{
    autoptr(db) db = NULL;
    int r;

    r = db_open(cli->home, &db, e);
    for (; r == 0 && *names; names++)
        r = image_named(db, *names, e);
    return r;
}

static void tell_saved(struct cli *cli, char **names)
{
    autoptr(db) db = NULL;
    struct err e;
    int r = db_open(cli->home, &db, &e);

    for (; r >= 0 && *names; names++) {
        autoptr(image) img = NULL;

        r = image_lookup(db, cli->home, *names, &img, &e);
        if (r == 0)
            r = image_event(db, "save", img->id, NULL, &e);
    }
    if (r < 0)
        log_warn("event 'save': %s", e.text);
}

static int save_run(struct cli *cli, const void *own_args, int argc, char **argv, struct err *e)
{
    const struct save_args *args = own_args;
    autofree const char **words = calloc((size_t)argc + 2, sizeof(*words));
    autoptr(outfile) out = NULL;
    int r;

    if (!words)
        return err_set(e, ERR_LIMIT, "Out of memory");
    words[0] = "save";
    for (int i = 0; i < argc; i++)
        words[i + 1] = argv[i];
    r = check_images(cli, argv, e);
    if (r == 0)
        r = outfile_open(args->output, &out, e);
    if (r == 0)
        r = cli_image_worker_to(cli, words, outfile_fd(out), e);
    if (r == 0)
        r = outfile_finish(out, e);
    if (r == 0)
        tell_saved(cli, argv);
    return r;
}

const struct command cmd_save = {
    .name = "save",
    .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
    .summary = "Save images to a tar archive",
    .details = "The archive is an OCI layout that older programs read as a docker-archive. It\n"
               "goes to stdout without --output, and with \"-\".\n",
    .group = GROUP_IMAGE,
    .arg = ARG_IMAGE,
    .min_args = 1,
    .max_args = ARGS_ANY,
    .opts = save_opts,
    .args_size = sizeof(struct save_args),
    .run = save_run,
};
