#include "image/image.h"

#include "db/db.h"
#include "image/sandbox.h"
#include "oci/save.h"

int verb_save(int argc, char **argv, struct err *e)
{
    const char *home = NULL;
    autoptr(db) db = NULL;
    int r;

    if (argc < 1)
        return err_set(e, ERR_USAGE, "save needs an image");
    r = image_open_home(&home, &db, e);
    if (r == 0)
        r = sandbox_enter(home, e);
    return r < 0 ? r : save_archive(db, home, argv, (size_t)argc, STDOUT_FILENO, e);
}
