#include "image/image.h"

#include "db/db.h"
#include "image/sandbox.h"
#include "oci/content.h"

int verb_rebuild(int argc, char **argv, struct err *e)
{
    struct store_limits limits;
    const char *home = NULL;
    autoptr(db) db = NULL;
    int r;

    if (argc != 1)
        return err_set(e, ERR_USAGE, "rebuild needs an image's id");
    r = image_read_limits(&limits, e);
    if (r == 0)
        r = image_open_home(&home, &db, e);
    if (r == 0)
        r = sandbox_enter(home, e);
    return r < 0 ? r : content_rebuild(db, home, argv[0], limits.layer_bytes_max, e);
}
