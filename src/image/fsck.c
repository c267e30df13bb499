#include "image/image.h"

#include "db/db.h"
#include "image/sandbox.h"
#include "oci/fsck.h"

#include <string.h>

static void print_line(void *ctx UNUSED, const char *line)
{
    (void)puts(line); /* finish checks the stream */
}

int verb_fsck(int argc, char **argv, struct err *e)
{
    bool repair = argc > 0 && strcmp(argv[0], "--repair") == 0;
    const char *home = NULL;
    autoptr(db) db = NULL;
    size_t findings = 0;
    int r;

    if (argc > (repair ? 1 : 0))
        return err_set(e, ERR_USAGE, "unexpected '%s'", argv[argc - 1]);
    r = image_open_home(&home, &db, e);
    if (r == 0)
        r = sandbox_enter(home, e);
    if (r == 0)
        r = store_fsck(db, home, repair, print_line, NULL, &findings, e);
    if (r == 0 && fflush(stdout) != 0)
        r = err_os(e, "write result");
    return r < 0 ? r : findings > 0;
}
