#include "proto/archive.h"

/* Tags are for ever: a member that goes leaves its number unused. */

const struct tlv_row archive_request_rows[] = {
    { 1, TLV_U64, offsetof(struct archive_request, op) },
    { 2, TLV_STR, offsetof(struct archive_request, container) },
    { 3, TLV_STR, offsetof(struct archive_request, path) },
    { 4, TLV_STR, offsetof(struct archive_request, name) },
    { 5, TLV_BOOL, offsetof(struct archive_request, keep_owner) },
    { 6, TLV_BOOL, offsetof(struct archive_request, freeze) },
    { .type = TLV_END },
};

const struct tlv_row archive_stat_rows[] = {
    { 1, TLV_STR, offsetof(struct archive_stat, name) },
    { 2, TLV_U64, offsetof(struct archive_stat, size) },
    { 3, TLV_U64, offsetof(struct archive_stat, mode) },
    { 4, TLV_I64, offsetof(struct archive_stat, mtime_ns) },
    { 5, TLV_U64, offsetof(struct archive_stat, uid) },
    { 6, TLV_U64, offsetof(struct archive_stat, gid) },
    { 7, TLV_STR, offsetof(struct archive_stat, target) },
    { .type = TLV_END },
};
