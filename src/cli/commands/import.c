#include "cli/images.h"
#include "oci/ref.h"

#include <string.h>

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

static int import_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv,
                      struct err *e)
{
    const struct import_args *args = own_args;
    struct image_words words = { .v = { "import" }, .n = 1 };
    json_t *lines = NULL;
    autofd int fd = -1;
    struct ref ref;
    int r;

    r = image_words_add_changes(&words, &args->changes, e);
    if (r < 0)
        return r;
    if (strstr(argv[0], "://"))
        return err_set(e, ERR_UNSUPPORTED, "Cannot import '%.200s': fetch it first", argv[0]);
    if (argv[1])
        r = ref_parse(argv[1], &ref, e);
    if (r < 0)
        return r;
    image_words_add(&words, "--reference", argv[1]);
    image_words_add(&words, "--message", args->message);
    image_words_add(&words, "--platform", args->platform);
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
