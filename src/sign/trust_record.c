/* What has been verified. */
#include "oci/image.h"
#include "oci/ref.h"
#include "sign/trust_internal.h"
#include "util/fs.h"
#include "util/time.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define RECORD_MAX  ((size_t)4 << 20)
#define ENTRIES_MAX 16 /* rules that one image met, newest last */

static int record_dir(const char *home, char **ret, struct err *e)
{
    *ret = str_format("%s/trust", home);
    return *ret ? 0 : err_os_at(e, ENOMEM, "trust record");
}

static int record_name(const char *digest, char **ret, struct err *e)
{
    if (!digest_valid(digest))
        return err_set(e, ERR_INTERNAL, "'%.100s' is not a digest", digest);
    *ret = str_format("%s.json", digest + strlen("sha256:"));
    return *ret ? 0 : err_os_at(e, ENOMEM, "trust record");
}

/* Its list of rules; a new one when there is no record. */
static int record_read(int dirfd, const char *name, json_t **ret, struct err *e)
{
    autostr text = STR_INIT(RECORD_MAX);
    json_t *list = NULL;
    int r = fs_read_file(dirfd, name, &text, e);

    if (r < 0 && e->kind == ERR_NOT_FOUND) {
        err_clear(e);
        list = json_array();
        r = list ? 0 : err_os_at(e, ENOMEM, "trust record");
    } else if (r >= 0) {
        r = json_parse(str_c(&text), text.len, "trust record", &list, e);
    }
    if (r < 0)
        return r;
    if (!json_is_array(list)) {
        json_decref(list);
        return err_set(e, ERR_CORRUPT, "trust record %s is not a list", name);
    }
    *ret = list;
    return 0;
}

static size_t record_find(const json_t *list, const char *rule)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_object_get(json_array_get(list, i), "rule"));

        if (text && strcmp(text, rule) == 0)
            return i;
    }
    return SIZE_MAX;
}

/* The oldest go when there are too many, or they are too large to be read again. */
static int record_write(int dirfd, const char *name, json_t *list, struct err *e)
{
    for (;;) {
        autofree char *text = json_dumps(list, JSON_COMPACT);
        size_t len = text ? strlen(text) : 0;

        if (!text)
            return err_os_at(e, ENOMEM, "trust record");
        if (json_array_size(list) <= ENTRIES_MAX && len <= RECORD_MAX)
            return fs_write_file(dirfd, name, text, len, 0600, e);
        if (json_array_size(list) == 1)
            return err_set(e, ERR_LIMIT, "The files of the trust rule are too large to remember");
        json_array_remove(list, 0);
    }
}

static int record_add(int dirfd, const char *name, const char *rule, const char *how,
                      struct err *e)
{
    autojson *list = NULL;
    char now[TIME_RFC3339_LEN];
    size_t at;
    int r = record_read(dirfd, name, &list, e);

    if (r < 0)
        return r;
    at = record_find(list, rule);
    if (at != SIZE_MAX)
        json_array_remove(list, at);
    time_rfc3339(time_real_ns(), now);
    if (json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "rule", rule, "how", how, "time", now)) < 0)
        return err_os_at(e, ENOMEM, "trust record");
    return record_write(dirfd, name, list, e);
}

int trust_remember(const char *home, const char *manifest_digest, const struct trust_rule *rule,
                   const char *repository, const char *how, struct err *e)
{
    autofree char *text = trust_rule_text(rule, repository);
    autofree char *path = NULL, *name = NULL;
    autofd int dirfd = -1;
    int r = text ? record_dir(home, &path, e) : err_os_at(e, ENOMEM, "trust record");

    if (r >= 0)
        r = record_name(manifest_digest, &name, e);
    if (r >= 0)
        r = fs_mkdirs(path, e);
    if (r < 0)
        return r;
    dirfd = fs_open_dir(AT_FDCWD, path, e);
    if (dirfd < 0)
        return dirfd;
    if (flock(dirfd, LOCK_EX) < 0) /* read, change, write */
        return err_os(e, "lock %s", path);
    return record_add(dirfd, name, text, how, e);
}

static int was_verified(const char *home, const char *digest, const char *rule, bool *ret,
                        struct err *e)
{
    autofree char *path = NULL, *name = NULL;
    autojson *list = NULL;
    autofd int dirfd = -1;
    int r = record_dir(home, &path, e);

    if (r >= 0)
        r = record_name(digest, &name, e);
    if (r < 0)
        return r;
    *ret = false;
    dirfd = fs_open_dir(AT_FDCWD, path, e);
    if (dirfd < 0 && e->kind == ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    r = dirfd < 0 ? dirfd : record_read(dirfd, name, &list, e);
    if (r >= 0)
        *ret = record_find(list, rule) != SIZE_MAX;
    return r < 0 ? r : 0;
}

int trust_check_present(const char *home, const char *repository, const char *manifest_digest,
                        struct err *e)
{
    autoptr(trust_rule) rule = NULL;
    autofree char *text = NULL;
    bool verified;
    int r = trust_find(home, repository, &rule, e);

    if (r < 0 || rule->kind == TRUST_ACCEPT)
        return r;
    if (rule->kind == TRUST_REJECT)
        return err_set(e, ERR_DENIED, "The trust policy rejects images of %s (rule '%s')",
                       repository, rule->scope);
    text = trust_rule_text(rule, repository);
    if (!text)
        return err_os_at(e, ENOMEM, "trust policy");
    r = was_verified(home, manifest_digest, text, &verified, e);
    if (r < 0 || verified)
        return r;
    (void)err_set(e, ERR_DENIED,
                  "The trust policy wants a signature on images of %s (rule '%s'), and this one "
                  "has not been verified",
                  repository, rule->scope);
    e->hint = "Pull the image: that verifies it";
    return -(int)e->kind;
}

/* Whether `full` ("docker.io/library/redis:7", "...@sha256:...") is of that repository. */
static bool is_of(const char *full, const char *repository)
{
    size_t len = strlen(repository);

    return strncmp(full, repository, len) == 0 && (full[len] == ':' || full[len] == '@');
}

static bool any_of(char *const *list, const char *repository)
{
    for (; *list; list++)
        if (is_of(*list, repository))
            return true;
    return false;
}

static int check_all(const char *home, const struct image *img, struct err *e)
{
    for (char **name = img->references; *name; name++) {
        struct ref ref;
        int r = ref_parse(*name, &ref, e);

        if (r >= 0)
            r = trust_check_present(home, ref.name, img->manifest_digest, e);
        if (r < 0)
            return r;
    }
    return *img->references ? 0 : trust_check_present(home, "", img->manifest_digest, e);
}

int trust_check_image(const char *home, const char *query, const struct image *img, struct err *e)
{
    struct err ignored = { 0 };
    struct ref ref;

    if (ref_parse(query, &ref, &ignored) >= 0 &&
        (any_of(img->references, ref.name) || any_of(img->repo_digests, ref.name)))
        return trust_check_present(home, ref.name, img->manifest_digest, e);
    return check_all(home, img, e);
}
