/* Making, renaming and removing boxes. */
#include "box/event.h"
#include "box/name.h"
#include "box/record.h"
#include "rootfs/disk.h"
#include "util/fs.h"
#include "util/spawn.h"
#include "util/time.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_TRIES 64

int box_open_dir(const char *home, const struct box *box, struct err *e)
{
    autofree char *path = str_format("%s/boxes/%s", home, box->id);

    return path ? fs_open_dir(AT_FDCWD, path, e) : err_os(e, "box directory");
}

static int open_boxes(const char *home, struct err *e)
{
    autofree char *path = str_format("%s/boxes", home);
    int r;

    if (!path)
        return err_os(e, "boxes directory");
    r = fs_mkdirs(path, e);
    return r < 0 ? r : fs_open_dir(AT_FDCWD, path, e);
}

static int name_taken(struct db *db, const char *home, const char *name, struct err *e)
{
    struct record_list found = { 0 };
    int r;

    r = record_select(db, "WHERE name = ?1", name, &found, e);
    if (r < 0)
        return r;
    /* The holder may be the rest of a creation or removal that was killed. */
    r = found.n ? box_reconcile(db, home, found.v[0], e) : 0;
    if (r == 0 && found.n && record_is_unmade(found.v[0]) && record_owner_lives(found.v[0]))
        r = 1;
    if (r > 0)
        r = err_set(e, ERR_EXISTS,
                    "Conflict. The box name \"%s\" is already in use by box \"%s\". You have to "
                    "remove (or rename) that box to be able to reuse that name.",
                    name, found.v[0]->id);
    record_list_done(&found);
    return r;
}

/* Returns 0, or EXISTS in docker's words. */
static int reserve_name(struct db *db, const char *home, const struct box *box, struct err *e)
{
    for (int try = 0; try < 2; try++) {
        int r = record_insert(db, box, e);

        if (r != -ERR_EXISTS)
            return r;
        r = name_taken(db, home, box->name, e);
        if (r < 0)
            return r;
    }
    return err_set(e, ERR_EXISTS, "The box name \"%s\" is being used by another process",
                   box->name);
}

static int reserve(struct db *db, const char *home, struct box *box, const char *name,
                   struct err *e)
{
    char invented[BOX_NAME_MAX + 1];
    int r = 0;

    for (unsigned try = 0; try < (name ? 1 : NAME_TRIES); try++) {
        if (!name)
            r = box_invent_name(try, invented, e);
        if (r < 0)
            return r;
        free(box->name);
        box->name = strdup(name ? name : invented);
        if (!box->name)
            return err_os(e, "box name");
        r = reserve_name(db, home, box, e);
        if (r != -ERR_EXISTS)
            return r;
    }
    return r;
}

static int make_disk(const char *home, const struct box *box, struct err *e)
{
    autofree char *worker = box_worker_path();
    autofree char *path = str_format("%s/boxes/%s/" BOX_DISK, home, box->id);

    if (!worker || !path)
        return err_os(e, "writable layer");
    return rootfs_disk_create(home, worker, box->spec.disk_bytes, path, e);
}

static int make_files(const char *home, const struct box *box, struct err *e)
{
    static const char *const subdirs[] = { "sockets", "logs" };
    autofd int boxes = open_boxes(home, e), dir = -1;

    if (boxes < 0)
        return boxes;
    if (mkdirat(boxes, box->id, 0700) < 0)
        return err_os(e, "create boxes/%s", box->id);
    dir = fs_open_dir(boxes, box->id, e);
    if (dir < 0)
        return dir;
    for (size_t i = 0; i < ARRAY_LEN(subdirs); i++)
        if (mkdirat(dir, subdirs[i], 0700) < 0)
            return err_os(e, "create boxes/%s/%s", box->id, subdirs[i]);
    return make_disk(home, box, e);
}

static int publish_run(struct db *db, void *user, struct err *e)
{
    struct box *box = user;
    int n;

    n = db_exec(db, e,
                "UPDATE boxes SET state = 'created', created_ns = ?1, shim_pid = 0,"
                " shim_start = 0 WHERE id = ?2 AND state = 'removing'",
                "ls", time_real_ns(), box->id);
    if (n == 0)
        n = err_set(e, ERR_CANCELED, "Box %s was removed while it was created", box->name);
    return n < 0 ? n : box_event(db, box, "create", NULL, 0, e);
}

/* The last step: from now on the box exists. */
static int publish(struct db *db, struct box *box, struct err *e)
{
    int r = db_transaction(db, publish_run, box, e);

    return r < 0 ? r : box_reload(db, box, e);
}

static int fill(struct db *db, const char *home, struct box *box, struct err *e)
{
    int r;

    r = make_files(home, box, e);
    return r < 0 ? r : publish(db, box, e);
}

int box_create(struct db *db, const char *home, const char *name, struct box_spec *own_spec,
               struct box **ret, struct err *e)
{
    autoptr(box) box = calloc(1, sizeof(*box));
    struct err ignored;
    int r;

    if (!box) {
        box_spec_done(own_spec);
        return err_os(e, "box");
    }
    box->spec = *own_spec;
    *own_spec = (struct box_spec){ 0 };
    r = name ? box_check_name(name, e) : 0;
    if (r == 0)
        r = id_random(box->id, e);
    if (r == 0)
        r = reserve(db, home, box, name, e);
    if (r < 0)
        return r;
    r = fill(db, home, box, e);
    if (r < 0) {
        if (box_erase(db, home, box->id, &ignored) < 0)
            ignored.kind = ERR_NONE; /* whoever looks next does it; the first error counts */
        return r;
    }
    *ret = take_ptr(box);
    return 0;
}

/* A box that was never published is no event's business. */
static int erase_run(struct db *db, void *user, struct err *e)
{
    struct record_list found = { 0 };
    const char *id = user;
    int n;

    n = record_select(db, "WHERE id = ?1 AND state = 'removing' AND created_ns > 0", id, &found,
                      e);
    if (n == -ERR_CORRUPT)
        n = 0; /* nobody can read it, but it can go */
    if (n >= 0)
        n = db_exec(db, e, "DELETE FROM boxes WHERE id = ?1 AND state = 'removing'", "s", id);
    if (n > 0 && found.n)
        n = box_event(db, found.v[0], "destroy", NULL, 0, e);
    record_list_done(&found);
    return n;
}

int box_erase(struct db *db, const char *home, const char *id, struct err *e)
{
    autofd int boxes = open_boxes(home, e);
    int r;

    if (boxes < 0)
        return boxes;
    r = fs_remove_tree(boxes, id, e);
    if (r == 0)
        r = db_transaction(db, erase_run, (void *)(uintptr_t)id, e);
    return r < 0 ? err_ctx(e, "remove box %.12s", id) : 0;
}

int box_remove(struct db *db, const char *home, struct box *box, struct err *e)
{
    struct box_change change = { .to = BOX_REMOVING,
                                 .set_shim = true, /* this process is who removes it */
                                 .shim_pid = getpid(),
                                 .stopped_by_user = -1 };
    int r;

    r = proc_start_time(change.shim_pid, &change.shim_start, e);
    if (r == 0)
        r = box_set_state(db, box, &change, e);
    return r < 0 ? r : box_erase(db, home, box->id, e);
}

struct renaming {
    const struct box *box;
    const char *name;
};

/* Returns the number of boxes renamed. */
static int rename_run(struct db *db, void *user, struct err *e)
{
    const struct renaming *to = user;
    autofree char *old = str_format("/%s", to->box->name); /* docker's spelling */
    const struct event_attr attr = { "oldName", old };
    struct box renamed = *to->box;
    int n, r = 0;

    if (!old)
        return err_os(e, "rename");
    n = db_exec(db, e, "UPDATE boxes SET name = ?1 WHERE id = ?2 AND state != 'removing'", "ss",
                to->name, to->box->id);
    renamed.name = (char *)(uintptr_t)to->name; /* borrowed, read only */
    if (n > 0)
        r = box_event(db, &renamed, "rename", &attr, 1, e);
    return r < 0 ? r : n;
}

int box_rename(struct db *db, struct box *box, const char *name, struct err *e)
{
    struct record_list holder = { 0 };
    char *copy;
    int r;

    if (name[0] == '/')
        name++;
    r = box_check_name(name, e);
    if (r < 0)
        return r;
    if (!strcmp(name, box->name))
        return err_set(e, ERR_INVALID, "Renaming a box with the same name as its current name");
    r = db_transaction(db, rename_run, &(struct renaming){ box, name }, e);
    if (r == -ERR_EXISTS && record_select(db, "WHERE name = ?1", name, &holder, e) == 0)
        r = err_set(e, ERR_EXISTS,
                    "Conflict. The box name \"%s\" is already in use by box \"%s\". You have to "
                    "remove (or rename) that box to be able to reuse that name.",
                    name, holder.n ? holder.v[0]->id : "?");
    record_list_done(&holder);
    if (r < 0)
        return r;
    if (r == 0)
        return err_set(e, ERR_NOT_FOUND, "No such box: %s", box->name);
    copy = strdup(name);
    if (!copy)
        return err_os(e, "rename");
    free(box->name);
    box->name = copy;
    return 0;
}
