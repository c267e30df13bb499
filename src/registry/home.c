#include "registry/registry.h"

#include "db/db.h"

#include <stdlib.h>

int registry_open_home(const char **ret_home, struct db **ret_db, struct err *e)
{
    const char *home = getenv("A3S_HOME");
    int r;

    if (!home || !*home)
        return err_set(e, ERR_INVALID, "A3S_HOME is not set");
    r = ret_db ? db_open(home, ret_db, e) : 0;
    if (r < 0)
        return r;
    *ret_home = home;
    return 0;
}
