#include "shim/lean.h"

#include "util/attr.h"

#include <link.h>
#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

/* Code is never written, so its pages are the file's and come back from the page cache. */
static int forget_code(struct dl_phdr_info *info, size_t size UNUSED, void *user UNUSED)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + ph->p_vaddr, to = from + ph->p_memsz;

        if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X) || (ph->p_flags & PF_W))
            continue;
        from &= ~(page - 1);
        to = (to + page - 1) & ~(page - 1);
        (void)madvise((void *)from, to - from, MADV_DONTNEED); /* only saves memory */
    }
    return 0;
}

void lean_after_start(void)
{
    (void)malloc_trim(0);
    (void)dl_iterate_phdr(forget_code, NULL);
}
