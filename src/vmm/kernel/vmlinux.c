#include "vmm/kernel/vmlinux.h"

#include "util/cur.h"

#include <elf.h>
#include <string.h>

/* Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_MAGIC = 0x202,
    HDR_VERSION = 0x206,
    HDR_PAYLOAD_OFFSET = 0x248,
    HDR_PAYLOAD_LENGTH = 0x24c,
    HDR_END = 0x250,
    HDR_VERSION_MIN = 0x0208, /* the first with a payload offset */
};

/* Linux Documentation/arch/arm64/booting.rst */
enum { ARM64_MAGIC = 56 };

#define XEN_ELFNOTE_PHYS32_ENTRY 18

static uint32_t le(const uint8_t *p, int bytes)
{
    uint32_t v = 0;

    for (int i = bytes; i-- > 0;)
        v = v << 8 | p[i];
    return v;
}

static bool is_bzimage(const uint8_t *p, size_t len)
{
    return len >= HDR_END && memcmp(p + HDR_MAGIC, "HdrS", 4) == 0;
}

static bool is_arm64_image(const uint8_t *p, size_t len)
{
    return len >= 64 && memcmp(p + ARM64_MAGIC, "ARM\x64", 4) == 0;
}

static int unpack_bzimage(const uint8_t *p, size_t len, struct str *ret, struct err *e)
{
    uint64_t sects = p[HDR_SETUP_SECTS] ? p[HDR_SETUP_SECTS] : 4;
    uint64_t at = (sects + 1) * 512 + le(p + HDR_PAYLOAD_OFFSET, 4);
    uint64_t size = le(p + HDR_PAYLOAD_LENGTH, 4);

    if (le(p + HDR_VERSION, 2) < HDR_VERSION_MIN)
        return err_set(e, ERR_UNSUPPORTED, "bzImage of boot protocol %#x",
                       le(p + HDR_VERSION, 2));
    if (at > len || size > len - at)
        return err_set(e, ERR_CORRUPT, "bzImage: payload of %ju bytes at %ju is outside the file",
                       (uintmax_t)size, (uintmax_t)at);
    return kernel_unpack(p + at, (size_t)size, ret, e);
}

/* One note segment: name size, descriptor size, type, then both padded to 4. */
static bool notes_have_pvh(struct cur notes)
{
    uint32_t name_len, desc_len, type;

    while (cur_u32le(&notes, &name_len) && cur_u32le(&notes, &desc_len) &&
           cur_u32le(&notes, &type)) {
        const void *name;

        if (!cur_bytes(&notes, ((size_t)name_len + 3) & ~(size_t)3, &name))
            return false;
        if (type == XEN_ELFNOTE_PHYS32_ENTRY && name_len == 4 && memcmp(name, "Xen", 4) == 0 &&
            desc_len >= 4)
            return true;
        if (!cur_skip(&notes, ((size_t)desc_len + 3) & ~(size_t)3))
            return false;
    }
    return false;
}

static bool segment_has_pvh(const uint8_t *data, size_t len, const Elf64_Phdr *ph)
{
    if (ph->p_type != PT_NOTE || ph->p_offset > len || ph->p_filesz > len - ph->p_offset)
        return false;
    return notes_have_pvh(cur_of(data + ph->p_offset, (size_t)ph->p_filesz));
}

int kernel_check_pvh(const void *data, size_t len, struct err *e)
{
    Elf64_Ehdr eh;

    if (len < sizeof(eh) || memcmp(data, ELFMAG, SELFMAG) != 0)
        return err_set(e, ERR_CORRUPT, "Kernel is not an ELF file");
    memcpy(&eh, data, sizeof(eh)); /* little-endian on little-endian: checked right below */
    if (eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_ident[EI_DATA] != ELFDATA2LSB ||
        eh.e_machine != EM_X86_64 || eh.e_phentsize != sizeof(Elf64_Phdr))
        return err_set(e, ERR_CORRUPT, "Kernel is not for x86-64");
    if (eh.e_phoff > len || eh.e_phnum > (len - eh.e_phoff) / sizeof(Elf64_Phdr))
        return err_set(e, ERR_CORRUPT, "Kernel: program headers are outside the file");
    for (size_t i = 0; i < eh.e_phnum; i++) {
        Elf64_Phdr ph;

        memcpy(&ph, (const uint8_t *)data + eh.e_phoff + i * sizeof(ph), sizeof(ph));
        if (segment_has_pvh(data, len, &ph))
            return 0;
    }
    return err_set(e, ERR_UNSUPPORTED, "Kernel has no PVH entry (CONFIG_PVH)");
}

static int extract_arm64(const uint8_t *p, size_t len, struct str *ret, struct err *e)
{
    int r;

    if (is_arm64_image(p, len))
        return str_add(ret, p, len) ? 0 : err_set(e, ERR_LIMIT, "Kernel of %zu bytes", len);
    r = kernel_unpack(p, len, ret, e);
    if (r < 0)
        return r;
    if (!is_arm64_image((const uint8_t *)str_c(ret), ret->len))
        return err_set(e, ERR_CORRUPT, "Not an arm64 kernel image");
    return 0;
}

int kernel_extract(const void *data, size_t len, struct str *ret, struct err *e)
{
    const uint8_t *p = data;
    int r;

    if (is_arm64_image(p, len) || (len >= 2 && p[0] == 0x1f && p[1] == 0x8b))
        return extract_arm64(p, len, ret, e);
    if (is_bzimage(p, len)) {
        r = unpack_bzimage(p, len, ret, e);
    } else if (len >= SELFMAG && memcmp(p, ELFMAG, SELFMAG) == 0) {
        r = kernel_unpack(p, len, ret, e);
    } else {
        return err_set(e, ERR_CORRUPT, "Not a Linux kernel (bzImage, vmlinux or arm64 Image)");
    }
    return r < 0 ? r : kernel_check_pvh(str_c(ret), ret->len, e);
}
