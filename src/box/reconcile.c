/* Records against reality: what a shim that was killed, or a CLI that died halfway, left. */
#include "box/event.h"
#include "box/record.h"

#include "db/schema.h"
#include "util/fs.h"
#include "util/time.h"

#include <fcntl.h>
#include <sys/file.h>

#define REASON_SHIM "shim ended unexpectedly"

/* docker says 255 when it was not there to see the end. */
#define EXIT_UNSEEN 255

/* The shim of a box holds a lock on its directory. Returns the locked directory, -1 when there is
 * none, and sets *ret_held when somebody has the lock: a shim lives, though not in our PID
 * namespace, or is just starting. */
static int lock_dir(const char *home, const struct box *box, bool *ret_held)
{
    struct err e;
    autofd int dir = box_open_dir(home, box, &e);

    *ret_held = false;
    if (dir < 0)
        return -1;
    if (flock(dir, LOCK_EX | LOCK_NB) < 0) {
        *ret_held = errno == EWOULDBLOCK;
        return -1;
    }
    return take_fd(&dir);
}

/* The sockets nobody serves any more; the virtual machine went with the shim (pdeathsig). A new
 * shim waits for our lock before it makes its own. */
static void sweep_sockets(int dir)
{
    static const char *const names[] = { BOX_CTL_SOCK, BOX_EXEC_SOCK, BOX_PTY_SOCK,
                                         BOX_VSOCK_SOCK, BOX_FILES_SOCK };

    for (size_t i = 0; dir >= 0 && i < ARRAY_LEN(names); i++)
        (void)unlinkat(dir, names[i], 0); /* it may never have made them */
}

static int bury_run(struct db *db, void *user, struct err *e)
{
    const struct event_attr code = { "exitCode", "255" /* EXIT_UNSEEN */ };
    struct box *box = user;
    int n, r = 0;

    n = db_exec(db, e,
                "UPDATE boxes SET state = 'dead', error = ?1, finished_ns = ?2, exit_code = ?3,"
                " shim_pid = 0, shim_start = 0, vm_pid = 0"
                " WHERE id = ?4 AND state IN " DB_LIVE_STATES
                " AND shim_pid = ?5 AND shim_start = ?6",
                "slisil", REASON_SHIM, time_real_ns(), EXIT_UNSEEN, box->id, (int)box->shim_pid,
                (int64_t)box->shim_start);
    if (n > 0)
        r = box_event(db, box, "die", &code, 1, e);
    return r < 0 ? r : n;
}

/* Marks it dead unless the record has changed since we read it. Returns 1 when it did. */
static int bury(struct db *db, struct box *box, struct err *e)
{
    return db_transaction(db, bury_run, box, e);
}

int box_reconcile(struct db *db, const char *home, struct box *box, struct err *e)
{
    autofd int dir = -1;
    bool held;
    int n;

    if (!box_state_is_live(box->state) && box->state != BOX_REMOVING)
        return 1;
    if (record_owner_lives(box))
        return !record_is_unmade(box);
    if (box->state == BOX_REMOVING) {
        n = box_erase(db, home, box->id, e);
        return n < 0 ? n : 0;
    }
    dir = lock_dir(home, box, &held);
    if (held)
        return 1;
    n = bury(db, box, e);
    if (n < 0)
        return n;
    if (n > 0)
        sweep_sockets(dir);
    close_fd(&dir); /* box_remove() needs no lock */
    n = box_reload(db, box, e);
    if (n < 0) /* --rm: a shim that ended as it should has removed it meanwhile */
        return n == -ERR_NOT_FOUND ? 0 : n;
    if (box->state != BOX_DEAD || !box->spec.auto_remove)
        return 1;
    n = box_remove(db, home, box, e);
    return n < 0 ? n : 0;
}
