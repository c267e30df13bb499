#include "box/audit.h"

#include "util/fd.h"
#include "util/fs.h"
#include "util/time.h"
#include "util/utf8.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define CURRENT  "audit.jsonl"
#define NAME_LEN 32

static const char *const outcomes[] = {
    [AUDIT_SUCCESS] = "success", [AUDIT_FAILURE] = "failure", [AUDIT_DENIED] = "denied"
};

const char *audit_outcome_name(enum audit_outcome outcome)
{
    return outcomes[outcome];
}

/* ---- a record ----------------------------------------------------------- */

static void put_member(struct str *out, const char *key, const char *value)
{
    char cut[AUDIT_TEXT_MAX + 1];

    if (!value || !*value)
        return;
    (void)snprintf(cut, sizeof(cut), "%s", value); /* a character cut in half becomes U+FFFD */
    if (out->len && out->p[out->len - 1] != '{')
        str_addc(out, ',');
    utf8_put_json(out, key);
    str_addc(out, ':');
    utf8_put_json(out, cut);
}

static void put_record(struct str *out, const struct audit_record *record, int64_t now_ns)
{
    char id[40], when[TIME_RFC3339_LEN];
    size_t n = record->metadata_n;

    (void)snprintf(id, sizeof(id), "audit-%lld", (long long)now_ns);
    time_rfc3339(now_ns, when);
    str_addc(out, '{');
    put_member(out, "id", id);
    put_member(out, "timestamp", when);
    put_member(out, "action", record->action);
    put_member(out, "box_id", record->box_id);
    put_member(out, "actor", record->actor ? record->actor : "cli");
    put_member(out, "outcome", outcomes[record->outcome]);
    put_member(out, "message", record->message);
    if (n) {
        str_adds(out, ",\"metadata\":{");
        for (size_t i = 0; i < n && i < AUDIT_METADATA_MAX; i++)
            put_member(out, record->metadata[i].key, record->metadata[i].value);
        str_addc(out, '}');
    }
    str_adds(out, "}\n");
}

/* ---- files -------------------------------------------------------------- */

/* The directory, locked until it is closed. */
static int lock_dir(const char *home, int how, struct err *e)
{
    autofree char *path = str_format("%s/audit", home);
    autofd int dir = -1;

    if (!path)
        return err_os(e, "audit");
    if (how == LOCK_EX && mkdir(path, 0700) < 0 && errno != EEXIST) {
        if (errno != ENOENT)
            return err_os(e, "create %s", path);
        if (fs_mkdirs(path, e) < 0)
            return -(int)e->kind;
    }
    dir = fs_open_dir(AT_FDCWD, path, e);
    if (dir < 0)
        return dir;
    while (flock(dir, how) < 0)
        if (errno != EINTR)
            return err_os(e, "lock %s", path);
    return take_fd(&dir);
}

static void file_name(char ret[NAME_LEN], unsigned n)
{
    if (n)
        (void)snprintf(ret, NAME_LEN, CURRENT ".%u", n);
    else
        (void)snprintf(ret, NAME_LEN, CURRENT);
}

static int rotate(int dir, unsigned files_max, struct err *e)
{
    char from[NAME_LEN], to[NAME_LEN];

    file_name(to, files_max);
    if (unlinkat(dir, to, 0) < 0 && errno != ENOENT)
        return err_os(e, "remove audit/%s", to);
    for (unsigned n = files_max; n > 0; n--) {
        file_name(from, n - 1);
        file_name(to, n);
        if (renameat(dir, from, dir, to) < 0 && errno != ENOENT)
            return err_os(e, "rename audit/%s", from);
    }
    if (fsync(dir) < 0)
        return err_os(e, "sync audit");
    return 0;
}

static int open_current(int dir, off_t *ret_size, struct err *e)
{
    autofd int fd =
        openat(dir, CURRENT, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    struct stat st;

    if (fd < 0)
        return err_os(e, "open audit/" CURRENT);
    if (fstat(fd, &st) < 0)
        return err_os(e, "stat audit/" CURRENT);
    *ret_size = st.st_size;
    return take_fd(&fd);
}

/* A power cut may have left half a line: ours begins on its own. All of it, or nothing. */
static int write_line(int fd, off_t size, struct str *line, struct err *e)
{
    autostr whole = STR_INIT(0);
    char last = '\n';
    struct err why;

    if (size > 0 && pread(fd, &last, 1, size - 1) < 0)
        return err_os(e, "read audit/" CURRENT);
    if (last != '\n')
        str_addc(&whole, '\n');
    str_add(&whole, line->p, line->len);
    if (whole.failed)
        return err_os_at(e, ENOMEM, "audit");
    if (fd_write_all(fd, whole.p, whole.len, e) == 0)
        return 0;
    why = *e;
    if (ftruncate(fd, size) < 0) /* then the next one begins on a line of its own */
        (void)err_os(&why, "%s; and truncate", why.text);
    *e = why;
    return err_ctx(e, "audit/" CURRENT);
}

int audit_append(const char *home, const struct audit_record *record,
                 const struct audit_limits *limits, int *ret_fd, struct err *e)
{
    static const struct audit_limits usual = { AUDIT_BYTES_MAX, AUDIT_FILES_MAX };
    autofd int dir = lock_dir(home, LOCK_EX, e), fd = -1;
    autostr line = STR_INIT(0);
    off_t size = 0;
    int r = 0;

    limits = limits ? limits : &usual;
    if (dir < 0)
        return dir;
    put_record(&line, record, time_real_ns()); /* under the lock: times and ids grow */
    if (line.failed)
        return err_os_at(e, ENOMEM, "audit");
    fd = open_current(dir, &size, e);
    if (fd < 0)
        return fd;
    if (size > 0 && (uint64_t)size + line.len > limits->bytes_max) {
        r = rotate(dir, limits->files_max, e);
        close_fd(&fd);
        if (r < 0)
            return r;
        fd = open_current(dir, &size, e);
        if (fd < 0)
            return fd;
    }
    r = write_line(fd, size, &line, e);
    if (r == 0)
        *ret_fd = take_fd(&fd);
    return r;
}

int audit_open_all(const char *home, int ret_fds[AUDIT_FILES_MAX + 2], struct err *e)
{
    autofd int dir = lock_dir(home, LOCK_SH, e);
    char name[NAME_LEN];
    size_t n = 0;

    ret_fds[0] = -1;
    if (dir == -ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (dir < 0)
        return dir;
    for (unsigned i = 0; i <= AUDIT_FILES_MAX; i++) {
        file_name(name, i);
        ret_fds[n] = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (ret_fds[n] < 0 && errno != ENOENT) {
            (void)err_os(e, "open audit/%s", name);
            while (n > 0)
                close_fd(&ret_fds[--n]);
            return -(int)e->kind;
        }
        n += ret_fds[n] >= 0;
        ret_fds[n] = -1;
    }
    return 0;
}
