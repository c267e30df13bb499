#include "vmm/kernel/vmlinux.h"

#include "unit.h"

#include <elf.h>
#include <lz4.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define VMLINUX_SIZE 4096

/* A vmlinux of a few headers: one note segment with (or without) the PVH entry. */
static void make_vmlinux(uint8_t *p, uint32_t note_type)
{
    const size_t ph_at = sizeof(Elf64_Ehdr);
    Elf64_Ehdr eh = {
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
        .e_machine = EM_X86_64,
        .e_phoff = ph_at,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1,
    };
    Elf64_Phdr ph = { .p_type = PT_NOTE, .p_offset = 1024, .p_filesz = 40 };
    uint8_t notes[] = "\4\0\0\0\2\0\0\0\7\0\0\0GNU\0\0\0\0\0" /* padded to 4 */
                      "\4\0\0\0\4\0\0\0?\0\0\0Xen\0\0\0\0";

    for (size_t i = 0; i < VMLINUX_SIZE; i++)
        p[i] = (uint8_t)(i * i >> 3);
    memcpy(p, &eh, sizeof(eh));
    memcpy(p + ph_at, &ph, sizeof(ph));
    notes[28] = (uint8_t)note_type;
    memcpy(p + 1024, notes, sizeof(notes));
}

/* A bzImage around a payload. Returns its size. */
static size_t make_bzimage(uint8_t *p, const void *payload, size_t len)
{
    uint32_t offset = 100, size = (uint32_t)len;

    memset(p, 0, 2048);
    p[0x1f1] = 1; /* setup sectors: the protected-mode part begins at 1024 */
    memcpy(p + 0x202, "HdrS\x0f\x02", 6);
    memcpy(p + 0x248, &offset, 4);
    memcpy(p + 0x24c, &size, 4);
    memcpy(p + 1024 + offset, payload, len);
    return 1024 + offset + len;
}

static size_t pack_gzip(uint8_t *out, size_t room, const void *in, size_t len)
{
    z_stream z = { .next_in = (z_const Bytef *)in,
                   .avail_in = (uInt)len,
                   .next_out = out,
                   .avail_out = (uInt)room };

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    (void)deflateEnd(&z);
    return room - z.avail_out;
}

static size_t pack_zstd(uint8_t *out, size_t room, const void *in, size_t len)
{
    size_t n = ZSTD_compress(out, room, in, len, 3);
    uint32_t size = (uint32_t)len;

    assert_false(ZSTD_isError(n));
    memcpy(out + n, &size, 4); /* as the kernel's build does */
    return n + 4;
}

static size_t pack_lz4(uint8_t *out, size_t room, const void *in, size_t len)
{
    int n = LZ4_compress_default(in, (char *)out + 8, (int)len, (int)room - 8);
    uint32_t size = (uint32_t)len, block = (uint32_t)n;

    assert_true(n > 0);
    memcpy(out, "\x02\x21\x4c\x18", 4);
    memcpy(out + 4, &block, 4);
    memcpy(out + 8 + n, &size, 4);
    return (size_t)n + 12;
}

struct world {
    uint8_t vmlinux[VMLINUX_SIZE], packed[3 * VMLINUX_SIZE], image[4 * VMLINUX_SIZE];
    size_t len;
};

static void make_world(struct world *w,
                       size_t (*pack)(uint8_t *out, size_t room, const void *in, size_t len))
{
    make_vmlinux(w->vmlinux, 18);
    w->len = make_bzimage(w->image, w->packed,
                          pack(w->packed, sizeof(w->packed), w->vmlinux, VMLINUX_SIZE));
}

static void extracts(struct world *w)
{
    autostr out = STR_INIT(KERNEL_UNPACKED_MAX);
    struct err e = { .kind = ERR_NONE };

    if (kernel_extract(w->image, w->len, &out, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(out.len, VMLINUX_SIZE);
    assert_memory_equal(out.p, w->vmlinux, VMLINUX_SIZE);
}

/* Every shorter image is an error, never a crash, never a success. */
static void cut_images_fail(struct world *w)
{
    for (size_t len = 0; len < w->len; len += 7) {
        autostr out = STR_INIT(KERNEL_UNPACKED_MAX);
        uint8_t *copy = malloc(len + 1); /* so that reading behind it is seen */
        struct err e;

        assert_non_null(copy);
        memcpy(copy, w->image, len);
        assert_true(kernel_extract(copy, len, &out, &e) < 0);
        free(copy);
    }
}

static void gzip_kernel(void **state UNUSED)
{
    static struct world w;

    make_world(&w, pack_gzip);
    extracts(&w);
    cut_images_fail(&w);
}

static void zstd_kernel(void **state UNUSED)
{
    static struct world w;

    make_world(&w, pack_zstd);
    extracts(&w);
    cut_images_fail(&w);
}

static void lz4_kernel(void **state UNUSED)
{
    static struct world w;

    make_world(&w, pack_lz4);
    extracts(&w);
    cut_images_fail(&w);
}

static size_t pack_xz(uint8_t *out, size_t room UNUSED, const void *in UNUSED, size_t len UNUSED)
{
    memcpy(out, "\xfd\x37zXZ\0", 6);
    return 64;
}

static void unknown_compressions_are_named(void **state UNUSED)
{
    static struct world w;
    autostr out = STR_INIT(KERNEL_UNPACKED_MAX);
    struct err e;

    make_world(&w, pack_xz);
    assert_int_equal(kernel_extract(w.image, w.len, &out, &e), -ERR_UNSUPPORTED);
    assert_non_null(strstr(e.text, "xz"));
}

static void a_kernel_without_pvh_is_refused(void **state UNUSED)
{
    uint8_t p[VMLINUX_SIZE];
    struct err e;

    make_vmlinux(p, 18);
    assert_int_equal(kernel_check_pvh(p, sizeof(p), &e), 0);
    make_vmlinux(p, 17);
    assert_int_equal(kernel_check_pvh(p, sizeof(p), &e), -ERR_UNSUPPORTED);
    make_vmlinux(p, 18);
    p[offsetof(Elf64_Ehdr, e_phnum)] = 0xff; /* headers outside of the file */
    assert_int_equal(kernel_check_pvh(p, sizeof(p), &e), -ERR_CORRUPT);
}

static void sizes_have_a_limit(void **state UNUSED)
{
    static struct world w;
    autostr out = STR_INIT(VMLINUX_SIZE - 1);
    struct err e;

    make_world(&w, pack_gzip);
    assert_int_equal(kernel_extract(w.image, w.len, &out, &e), -ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gzip_kernel),
        cmocka_unit_test(zstd_kernel),
        cmocka_unit_test(lz4_kernel),
        cmocka_unit_test(unknown_compressions_are_named),
        cmocka_unit_test(a_kernel_without_pvh_is_refused),
        cmocka_unit_test(sizes_have_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
