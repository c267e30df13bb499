/*
 * From a distribution's kernel file to what a microVM boots directly.
 *
 * x86: a bzImage (Linux Documentation/arch/x86/boot.rst) carries a compressed vmlinux; unpacking
 * it here saves the guest its own decompressor and the real-mode entry. The result is an ELF
 * file with the PVH entry note. arm64: an Image is taken as it is, compressed or not.
 */
#pragma once

#include "util/err.h"
#include "util/str.h"

#define KERNEL_UNPACKED_MAX ((size_t)512 << 20) /* Debian's is 60 MB, with debug data 400 */

/* Appends the bootable kernel in the file image `data` to `ret`, whose max is the limit.
 * CORRUPT when it is no kernel, UNSUPPORTED for a compression we do not read. */
int kernel_extract(const void *data, size_t len, struct str *ret, struct err *e) MUST_CHECK;

/* Is this an x86-64 ELF file with a PVH entry (note "Xen", type 18)? */
int kernel_check_pvh(const void *data, size_t len, struct err *e) MUST_CHECK;

/* Internal to this directory: append what `data` unpacks to. For a format with the kernel's
 * 4-byte size behind it, that size is the caller's to check. */
int kernel_unpack(const void *data, size_t len, struct str *ret, struct err *e) MUST_CHECK;
