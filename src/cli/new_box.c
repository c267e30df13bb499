#include "cli/new_box.h"

#include "cli/pull.h"
#include "oci/ref.h"
#include "sign/trust.h"
#include "util/fd.h"

#include <fcntl.h>
#include <string.h>

static int check_flags(const struct box_flags *f, struct err *e)
{
    static const char *const when[] = { "missing", "never", "always" };
    bool known = !f->pull;
    int r;

    r = box_flags_refuse(f, e);
    if (r == 0 && f->name)
        r = box_check_name(f->name, e);
    if (r < 0)
        return r;
    for (size_t i = 0; !known && i < ARRAY_LEN(when); i++)
        known = !strcmp(f->pull, when[i]);
    if (!known)
        return err_set(e, ERR_INVALID,
                       "invalid pull option: '%.40s': must be one of \"always\", "
                       "\"missing\" or \"never\"",
                       f->pull);
    if (f->cidfile && access(f->cidfile, F_OK) == 0)
        return err_set(e, ERR_EXISTS,
                       "container ID file found, make sure the other container isn't running or "
                       "delete %s",
                       f->cidfile);
    return 0;
}

static int pull_image(struct cli *cli, const struct box_flags *f, const char *name, bool missing,
                      struct err *e)
{
    const struct pull_how how = { .platform = f->platform, .quiet = f->quiet, .out = cli->err };
    char familiar[REF_TEXT_MAX];
    struct ref ref;
    int r;

    r = ref_parse(name, &ref, e);
    if (r < 0)
        return r;
    ref_familiar(&ref, familiar);
    if (missing && !f->quiet)
        fprintf(cli->err, "Unable to find image '%s' locally\n", familiar);
    return cli_pull(cli, name, &how, e);
}

static int find_image(struct cli *cli, struct db *db, const struct box_flags *f, const char *name,
                      struct image **ret, struct err *e)
{
    bool always = f->pull && !strcmp(f->pull, "always");
    int r = always ? 0 : image_lookup(db, cli->home, name, ret, e);

    if (!always && (r != -ERR_NOT_FOUND || (f->pull && !strcmp(f->pull, "never"))))
        return r;
    err_clear(e);
    r = pull_image(cli, f, name, !always, e);
    return r < 0 ? r : image_lookup(db, cli->home, name, ret, e);
}

/* Like docker's, the file has no newline at its end. */
static int write_cidfile(const char *path, const char *id, struct err *e)
{
    autofd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd < 0)
        return err_os(e, "failed to create the container ID file %s", path);
    return fd_write_all(fd, id, strlen(id), e);
}

/* There is neither AppArmor nor SELinux in the guest: like docker on a host without them. */
static void warn_ignored(const struct cli *cli, const struct str_list *options)
{
    for (size_t i = 0; i < options->n; i++)
        if (!strncmp(options->v[i], "apparmor", 8) || !strncmp(options->v[i], "label", 5))
            fprintf(cli->err, "WARNING: --security-opt %s has no effect in a box\n",
                    options->v[i]);
}

static int create(struct cli *cli, struct db *db, const struct box_flags *f, char **argv,
                  struct box **ret, struct err *e)
{
    autoptr(image) img = NULL;
    struct box_spec spec = { 0 };
    int r;

    r = find_image(cli, db, f, argv[0], &img, e);
    if (r >= 0)
        r = trust_check_image(cli->home, argv[0], img, e);
    if (r < 0)
        return r;
    r = box_flags_fill(f, argv[0], img, argv + 1, &spec, e);
    if (r == 0)
        r = box_spec_check(&spec, e);
    if (r < 0) {
        box_spec_done(&spec);
        return r;
    }
    warn_ignored(cli, &f->security_opt);
    r = box_create(db, cli->home, f->name, &spec, ret, e);
    /* From now on rmi sees that it is used. Was it faster? */
    if (r == 0)
        r = image_exists(db, img->id, e);
    return r == 0 ? image_touch(db, img, e) : r;
}

int cli_new_box(struct cli *cli, const struct box_flags *flags, char **argv, struct db **ret_db,
                struct box **ret, struct err *e)
{
    autoptr(box) box = NULL;
    autoptr(db) db = NULL;
    struct err ignored;
    int r;

    r = check_flags(flags, e);
    if (r < 0) {
        cli_audit_skip(cli); /* nothing was tried */
        return r;
    }
    r = db_open(cli->home, &db, e);
    if (r == 0)
        r = create(cli, db, flags, argv, &box, e);
    if (r == 0 && flags->cidfile)
        r = write_cidfile(flags->cidfile, box->id, e);
    if (box)
        cli_audit_box(cli, box);
    cli_audit(cli, "box_create", box ? box->name : flags->name, r < 0 ? e : NULL);
    if (r < 0) {
        if (box && box_remove(db, cli->home, box, &ignored) < 0)
            err_clear(&ignored); /* it stays, in state created; the first error counts */
        return r;
    }
    *ret_db = take_ptr(db);
    *ret = take_ptr(box);
    return 0;
}
