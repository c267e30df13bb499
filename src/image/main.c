/* a3s-box-image: the worker that reads strangers' archives. Started by a3s-box, not by people. */
#include "image/image.h"

#include "util/log.h"

#include <locale.h>
#include <string.h>

static const struct verb {
    const char *name, *synopsis;
    int (*run)(int argc, char **argv, struct err *e);
} verbs[] = {
    { "archive", "--disk PATH --rootfs PATH [--write]", verb_archive },
    { "assemble", "--stage DIR --reference REF --digest DIGEST", verb_assemble },
    { "commit",
      "--image ID [--reference REF] [--author TEXT] [--message TEXT] "
      "[--change INSTRUCTION]...",
      verb_commit },
    { "disk-template", "SIZE PATH", verb_disk_template },
    { "flatten", "OUT.ext4 LAYER...", verb_flatten },
    { "fsck", "[--repair]", verb_fsck },
    { "import", "[--input FILE] [--reference REF] [--message TEXT] [--change INSTRUCTION]...",
      verb_import },
    { "load", "[--input FILE] [--tag REFERENCE] [--platform OS/ARCH]", verb_load },
    { "rebuild", "ID", verb_rebuild },
    { "save", "IMAGE...", verb_save },
};

static int usage(struct err *e)
{
    (void)fprintf(stderr, "Usage: a3s-box-image COMMAND\n\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        (void)fprintf(stderr, "  %s %s\n", verbs[i].name, verbs[i].synopsis);
    return err_set(e, ERR_USAGE, "a3s-box-image is started by a3s-box");
}

static int run(int argc, char **argv, struct err *e)
{
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(verbs); i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return verbs[i].run(argc - 2, argv + 2, e);
    return usage(e);
}

int main(int argc, char **argv)
{
    struct err e = { 0 };
    int r;

    log_init("a3s-box-image");
    /* Without a UTF-8 locale libarchive cannot take names from pax headers. */
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        log_warn("no C.UTF-8 locale: file names beyond ASCII will be refused");
    r = run(argc, argv, &e);
    if (r >= 0)
        return r;
    err_print(&e, stderr);
    return err_exit_status(&e);
}
