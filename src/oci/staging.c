#include "oci/load_internal.h"
#include "oci/store.h"
#include "util/fs.h"
#include "util/log.h"

#include <fcntl.h>

int staging_open(struct staging *s, const char *home, int fd, struct err *e)
{
    int r;

    *s = (struct staging){ .fd = -1 };
    r = store_sweep(home, NULL, e);
    if (r == 0)
        r = store_stage(home, &s->path, &s->fd, e);
    if (r == 0)
        r = source_fd_init(&s->in, fd, UINT64_MAX, e);
    return r;
}

void staging_done(struct staging *s)
{
    struct err ignored = { 0 };

    source_fd_done(&s->in);
    if (s->path && fs_remove_tree(AT_FDCWD, s->path, &ignored) < 0)
        log_debug("%s: %s", s->path, ignored.text); /* swept by the next load */
    free(s->path);
    close_fd(&s->fd);
}
