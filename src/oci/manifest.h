/* Manifests, indexes and configurations (OCI image spec 1.1 and docker's schema 2). */
#pragma once

#include "oci/json.h"
#include "oci/ref.h"
#include "util/own.h"

#include <stdbool.h>

#define MANIFEST_LAYERS_MAX 512
#define INDEX_ENTRIES_MAX   1024

enum media_kind {
    MEDIA_UNKNOWN,
    MEDIA_INDEX,
    MEDIA_MANIFEST,
    MEDIA_LAYER, /* a tar, plain or compressed with gzip or zstd */
};

enum media_kind media_kind(const char *media_type);

struct platform {
    char os[32], architecture[32], variant[32];
};

/* "linux/arm64/v8", "linux/amd64", "arm64": with the usual other names (x86_64, aarch64). */
int platform_parse(const char *text, struct platform *ret, struct err *e) MUST_CHECK;
/* linux on this machine. */
struct platform platform_host(void);
/* Whether an image made for `image` is right for `want`; empty fields of `image` fit anything. */
bool platform_fits(const struct platform *want, const struct platform *image);

/* How well an image for `image` suits `want`: 0 not at all; of several the highest. A variant is
 * right when it is the wanted one or an older one (arm v7 runs v6); none stands for the usual one
 * (arm v7, arm64 v8, amd64 v1). */
int platform_rank(const struct platform *want, const struct platform *image);
/* "linux/arm/v7". Bytes that are not printable become '?'. */
#define PLATFORM_TEXT_MAX 100
void platform_text(const struct platform *p, char ret[PLATFORM_TEXT_MAX]);

struct descriptor {
    char digest[DIGEST_LEN + 1];
    char *media_type; /* owned; "" when absent */
    uint64_t size;
};

struct manifest {
    struct descriptor config;
    struct descriptor *layers;
    size_t layers_n;
};

int manifest_parse(const void *text, size_t len, struct manifest *ret, struct err *e) MUST_CHECK;
void manifest_done(struct manifest *m);

/* The first layer that is the same blob as layer i, often i itself. */
size_t manifest_first(const struct manifest *m, size_t i);

struct index_entry {
    struct descriptor descriptor;
    bool has_platform;
    struct platform platform;
    char *name; /* owned; the reference its annotations give it, or NULL */
};

struct index {
    struct index_entry *entries;
    size_t n;
};

int index_parse(const void *text, size_t len, struct index *ret, struct err *e) MUST_CHECK;
void index_done(struct index *index);

/* The entry for `want`, or NULL. Entries that do not say what they are for come last: to be
 * looked into. */
const struct index_entry *index_choose(const struct index *index, const struct platform *want);
/* What it has, for people: "linux/amd64, linux/arm64"; at most `max` bytes. */
void index_platforms(const struct index *index, char *ret, size_t max);

/* What of a configuration matters before it is an image. */
struct image_meta {
    char (*diff_ids)[DIGEST_LEN + 1]; /* owned */
    size_t n;
    int64_t created_ns; /* 0 when absent */
    struct platform platform;
};

int image_meta_parse(const void *text, size_t len, struct image_meta *ret,
                     struct err *e) MUST_CHECK;
void image_meta_done(struct image_meta *meta);

/* RFC 3339 with any fraction and offset; false when it is something else. */
bool rfc3339_parse(const char *text, int64_t *ret_ns);
