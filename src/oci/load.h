/*
 * Bring images in: archives (OCI layout, docker-archive) and plain root file systems.
 *
 * The heavy half of oci/: libarchive, libcrypto, libext2fs. Runs in a3s-box-image only.
 */
#pragma once

#include "oci/install.h"

struct load_options {
    const char *home;
    const char *tag; /* the only image's reference instead of the archive's, or NULL */
    struct platform want;
    bool platform_given; /* else this machine's, or the only one there is */
    struct store_limits limits;
};

/* Once per image that is in the store now. `in` has its references and id. */
typedef void loaded_fn(void *ctx, const struct incoming *in);

/* `fd` is read to its end. On failure the store is as it was. */
int load_archive(struct db *db, int fd, const struct load_options *options, loaded_fn *loaded,
                 void *ctx, struct err *e) MUST_CHECK;

struct import_options {
    const char *home;
    const char *reference; /* or NULL */
    const char *message;   /* history's comment, or NULL */
    const char **changes;  /* Dockerfile instructions, NULL-terminated, or NULL */
    struct platform platform;
    struct store_limits limits;
};

int import_archive(struct db *db, int fd, const struct import_options *options, loaded_fn *loaded,
                   void *ctx, struct err *e) MUST_CHECK;
