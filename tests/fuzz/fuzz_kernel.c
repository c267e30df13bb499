/* Kernel images: whatever comes out has a PVH entry, and is within the limit. */
#include "vmm/kernel/vmlinux.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    autostr out = STR_INIT((size_t)16 << 20);
    struct err e;

    if (kernel_extract(data, len, &out, &e) == 0 && out.len > (size_t)16 << 20)
        abort();
    (void)!kernel_check_pvh(data, len, &e);
    return 0;
}
