#include "image/image.h"

#include "rootfs/disk.h"
#include "rootfs/template.h"
#include "util/parse.h"

int verb_disk_template(int argc, char **argv, struct err *e)
{
    uint64_t size = 0;
    int r;

    if (argc != 2)
        return err_set(e, ERR_USAGE, "disk-template needs SIZE and PATH");
    r = parse_u64(argv[0], DISK_SIZE_MIN, DISK_SIZE_MAX, &size, e);
    return r < 0 ? r : template_make(size / 4096 * 4096, argv[1], e);
}
