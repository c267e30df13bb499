#include "cli/images.h"
#include "oci/ref.h"

struct load_args {
    bool quiet;
    const char *input, *tag, *platform;
};

static const struct opt load_opts[] = {
    OPT_STR('i', "input", "FILE", struct load_args, input, "Read from a file, not from stdin"),
    OPT_STR(0, "platform", "OS/ARCH", struct load_args, platform,
            "Which of several platforms (default: this machine's)"),
    OPT_FLAG('q', "quiet", struct load_args, quiet, "Accepted for docker's sake", .hidden = true),
    OPT_STR('t', "tag", "REFERENCE", struct load_args, tag, "Name for the archive's only image"),
    { .type = OPT_END },
};

static void print_loaded(struct cli *cli, const json_t *lines)
{
    json_t *line, *reference;
    size_t i, k;

    json_array_foreach(lines, i, line)
    {
        json_t *references = json_object_get(line, "references");

        json_array_foreach(references, k, reference)
        {
            fprintf(cli->out, "Loaded image: %s\n",
                    ref_familiar_name(json_string_value(reference)));
        }
        if (json_array_size(references) == 0)
            fprintf(cli->out, "Loaded image ID: %s\n",
                    json_string_value(json_object_get(line, "id")));
    }
}

static int load_run(struct cli *cli, const void *own_args, int argc UNUSED, char **argv UNUSED,
                    struct err *e)
{
    const struct load_args *args = own_args;
    struct image_words words = { .v = { "load" }, .n = 1 };
    autofd int fd = -1;
    json_t *lines = NULL;
    struct ref ref;
    int r = args->tag ? ref_parse(args->tag, &ref, e) : 0;

    if (r < 0)
        return r;
    image_words_add(&words, "--tag", args->tag);
    image_words_add(&words, "--platform", args->platform);
    r = cli_open_input(args->input, &fd, e);
    if (r >= 0)
        r = cli_image_worker(cli, words.v, fd, &lines, e);
    if (r < 0)
        return r;
    print_loaded(cli, lines);
    json_decref(lines);
    return 0;
}

const struct command cmd_load = {
    .name = "load",
    .synopsis = "[OPTIONS]",
    .summary = "Load images from a tar archive or stdin",
    .details = "Archives are OCI layouts or what `docker save` writes, plain or compressed with\n"
               "gzip or zstd.\n",
    .group = GROUP_IMAGE,
    .audit = "image_load",
    .opts = load_opts,
    .args_size = sizeof(struct load_args),
    .run = load_run,
};
