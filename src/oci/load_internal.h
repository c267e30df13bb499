/* load*.c only. */
#pragma once

#include "oci/load.h"

#define LOAD_IMAGES_MAX 256 /* in one archive */

struct load {
    const struct load_options *options;
    struct spool spool;
    char *stage; /* owned */
    struct incoming *v;
    size_t n;
};

/* The next incoming, to be filled; manifest, config and layers are set by load_manifest(). */
int load_add(struct load *l, struct incoming **ret, struct err *e) MUST_CHECK;
int load_add_reference(struct incoming *in, const char *name, struct err *e) MUST_CHECK;

/* From in->manifest: the config, the layers' members and diff ids. */
int load_manifest(struct load *l, struct incoming *in, struct err *e) MUST_CHECK;

int load_oci(struct load *l, const struct member *index, struct err *e) MUST_CHECK;
int load_docker(struct load *l, const struct member *manifest, struct err *e) MUST_CHECK;

/* Give images without a name the RepoTags that a manifest.json has for their config. */
int load_docker_names(struct load *l, const struct member *manifest, struct err *e) MUST_CHECK;

/* A manifest for layers that came without one. Media types come from the layers' first bytes. */
int load_make_manifest(struct incoming *in, struct err *e) MUST_CHECK;

/* A staging directory, and the archive that is to be read into it. */
struct staging {
    char *path;
    int fd;
    struct source_fd in;
};

/* Also sweeps what crashes left. staging_done() is needed after a failure, too. */
int staging_open(struct staging *s, const char *home, int fd, struct err *e) MUST_CHECK;
void staging_done(struct staging *s);
