/*
 * Any bytes as an image archive, loaded into a store: nothing may be left of what is refused, and
 * what is accepted can be looked up and removed again.
 */
#include "db/db.h"
#include "oci/load.h"
#include "util/fs.h"

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The fuzzer keeps no state for us; both are made once and live as long as the process. */
static char home[64];
static struct db *db;

static void remove_home(void)
{
    struct err ignored;

    db_free(db);
    if (fs_remove_tree(AT_FDCWD, home, &ignored) < 0)
        (void)fprintf(stderr, "%s stays\n", home);
}

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    struct err e = { 0 };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    (void)snprintf(home, sizeof(home), "/dev/shm/a3s-fuzz-archive-%d", (int)getpid());
    if (db_open(home, &db, &e) < 0 || atexit(remove_home) != 0)
        abort();
    return 0;
}

static void loaded(void *ctx, const struct incoming *in)
{
    struct digest *id = ctx;

    *id = in->id;
}

static void ignore_line(void *ctx UNUSED, const char *line UNUSED)
{
}

static void check_loaded(const char *id)
{
    autoptr(image) img = NULL;
    struct err e = { 0 };

    if (image_lookup(db, home, id, &img, &e) < 0 || access(img->rootfs, R_OK) < 0 ||
        image_remove(db, home, id, true, ignore_line, NULL, &e) < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct load_options options = { .home = home,
                                    .want = { .os = "linux", .architecture = "amd64" },
                                    .limits = { .layer_bytes_max = 1 << 20 } };
    autofd int fd = memfd_create("archive", MFD_CLOEXEC);
    struct image_list list = { 0 };
    struct digest id = { "" };
    struct err e = { 0 };
    int r;

    if (fd < 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
        abort();
    r = load_archive(db, fd, &options, loaded, &id, &e);
    if (r < 0 && (r != -(int)e.kind || !e.text[0]))
        abort(); /* every failure says why */
    if (r == 0)
        check_loaded(id.text);
    if (image_list(db, home, &list, &e) < 0 || (r < 0 && list.n))
        abort();
    for (size_t i = 0; i < list.n; i++) /* of an archive with several */
        if (image_remove(db, home, list.v[i]->id, true, ignore_line, NULL, &e) < 0)
            abort();
    image_list_done(&list);
    return 0;
}
