#include "rootfs/tar_input.h"

static la_ssize_t feed(struct archive *a UNUSED, void *ctx, const void **ret)
{
    struct tar_input *t = ctx;
    ssize_t n = t->source->read(t->source, ret, &t->source_err);

    return n < 0 ? ARCHIVE_FATAL : n;
}

static int failed(struct tar_input *t, const char *what, struct err *e)
{
    const char *text = archive_error_string(t->archive);

    if (t->source_err.kind) {
        *e = t->source_err;
        return -(int)e->kind;
    }
    return err_set(e, ERR_CORRUPT, "%s: %s", what, text ? text : "broken tar");
}

int tar_input_init(struct tar_input *t, struct source *source, const char *what, struct err *e)
{
    *t = (struct tar_input){ .archive = archive_read_new(), .source = source, .what = what };
    if (!t->archive || archive_read_support_format_tar(t->archive) != ARCHIVE_OK ||
        archive_read_support_format_empty(t->archive) != ARCHIVE_OK)
        return err_set(e, ERR_SYSTEM, "libarchive cannot read tar");
    return 0;
}

void tar_input_done(struct tar_input *t)
{
    (void)archive_read_free(t->archive); /* NULL is fine; read-only: nothing to lose */
    t->archive = NULL;
}

int tar_input_open(struct tar_input *t, struct err *e)
{
    int code = archive_read_open2(t->archive, t, NULL, feed, NULL, NULL);

    return code == ARCHIVE_OK ? 0 : failed(t, t->what, e);
}

int tar_input_next(struct tar_input *t, struct archive_entry **ret, const char **ret_path,
                   struct err *e)
{
    int code = archive_read_next_header(t->archive, ret);

    if (code == ARCHIVE_EOF)
        return 0;
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN)
        return failed(t, t->what, e);
    *ret_path = archive_entry_pathname(*ret);
    if (!*ret_path || !**ret_path)
        return err_set(e, ERR_CORRUPT, "an entry has no valid name");
    return 1;
}

int tar_input_data(struct tar_input *t, const void **ret, size_t *ret_len, int64_t *ret_offset,
                   struct err *e)
{
    int code = archive_read_data_block(t->archive, ret, ret_len, ret_offset);

    if (code == ARCHIVE_EOF)
        return 0;
    return code == ARCHIVE_OK ? 1 : failed(t, "its data", e);
}
