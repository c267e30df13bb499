#include "registry/registry.h"

#include "db/db.h"
#include "util/fd.h"

#include <stdlib.h>
#include <string.h>

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

int registry_emit(json_t *own_event, struct err *e)
{
    char *text = own_event ? json_dumps(own_event, JSON_COMPACT) : NULL;
    autofree char *line = text ? str_format("%s\n", text) : NULL;

    free(text);
    json_decref(own_event);
    return line ? fd_write_all(1, line, strlen(line), e) : err_set(e, ERR_LIMIT, "Out of memory");
}
