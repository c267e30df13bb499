#include "cli/log_reader.h"

#include "box/log_config.h"
#include "util/fd.h"
#include "util/own.h"
#include "util/spawn.h"
#include "util/time.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)64 << 10)
/* A rotation in between means to look again: one takes microseconds and is followed by as many
 * bytes as a file has. */
#define LOOKS 1000
/* A file's time is as coarse as the kernel's tick: this far it may lie before its last entry. */
#define TIME_SLACK_NS ((int64_t)NS_PER_S)

/* ---- what there is ---- */

struct span {
    uint64_t first, last; /* of the older files; 0: there are none */
};

/* `current` is container.json: it may have its number as a second name already. */
static int list(int dirfd, const struct stat *current, struct span *ret, struct err *e)
{
    struct span s = { 0 };
    int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    uint64_t number;
    bool gz;

    if (!dir) {
        close_fd(&fd);
        return err_os(e, "read the log's directory");
    }
    while ((entry = readdir(dir))) {
        if (!log_file_parse(entry->d_name, &number, &gz) || entry->d_ino == current->st_ino)
            continue;
        if (!s.first || number < s.first)
            s.first = number;
        if (number > s.last)
            s.last = number;
    }
    (void)closedir(dir);
    *ret = s;
    return 0;
}

/* The list is not made in one step: a file that is compressed meanwhile may be in it under
 * neither name. It is in the second one then. */
static int list_twice(int dirfd, const struct stat *current, struct span *ret, struct err *e)
{
    struct span again = { 0 };
    int r = list(dirfd, current, &again, e);

    for (int i = 0; r == 0 && i < LOOKS; i++) {
        *ret = again;
        r = list(dirfd, current, &again, e);
        if (r < 0 || (again.first == ret->first && again.last == ret->last))
            return r;
    }
    return r;
}

static bool is_current(int dirfd, const struct stat *st)
{
    struct stat now;

    return fstatat(dirfd, LOG_FILE, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == st->st_ino &&
           now.st_dev == st->st_dev;
}

/* container.json and its number, at a moment at which nothing is renamed. 0: there is none. */
static int open_current(int dirfd, int *ret_fd, struct span *ret, struct err *e)
{
    struct stat st = { 0 };
    int r;

    for (int i = 0; i < LOOKS; i++) {
        autofd int fd = openat(dirfd, LOG_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0 && errno == ENOENT)
            return 0;
        if (fd < 0 || fstat(fd, &st) < 0)
            return err_os(e, "open " LOG_FILE);
        r = list_twice(dirfd, &st, ret, e);
        if (r < 0)
            return r;
        if (is_current(dirfd, &st)) {
            *ret_fd = take_fd(&fd);
            return 1;
        }
    }
    return err_set(e, ERR_TIMEOUT, "the log is rotated faster than it can be read");
}

/* ---- one older file ---- */

static void close_file(struct log_reader *r)
{
    struct err ignored;
    int status;

    close_fd(&r->fd);
    if (r->gunzip && spawn_wait(r->gunzip, &status, &ignored) < 0) /* it ends: nobody reads it */
        err_clear(&ignored);
    r->gunzip = 0;
}

static int start_gunzip(struct log_reader *r, int own_fd, struct err *e)
{
    const char *const argv[] = { r->helper, "gunzip", NULL };
    autofd int in = own_fd;
    autofd int theirs = -1;
    autofd int ours = -1;
    struct spawn_fd fds[] = { { in, 0 }, { -1, 1 }, { STDERR_FILENO, 2 } };
    const struct spawn s = { .argv = argv, .fds = fds, .fds_n = ARRAY_LEN(fds) };
    int pipefd[2], ret;

    if (pipe2(pipefd, O_CLOEXEC) < 0)
        return err_os(e, "pipe");
    ours = pipefd[0];
    fds[1].fd = theirs = pipefd[1];
    ret = spawn_start(&s, &r->gunzip, NULL, e);
    if (ret == 0)
        r->fd = take_fd(&ours);
    return ret;
}

/* 0: it is not there any more. `since_ns`: nor wanted when it ends before. */
static int open_older(struct log_reader *r, uint64_t number, int64_t since_ns, struct err *e)
{
    for (int look = 0; look < 4; look++) { /* plain, compressed, and once more */
        bool gz = look & 1;
        char name[LOG_NAME_LEN];
        autofd int fd = -1;
        struct stat st;
        int ret;

        log_file_name(number, gz, name);
        fd = openat(r->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0 || fstat(fd, &st) < 0)
            return err_os(e, "open %s", name);
        if (since_ns > INT64_MIN + TIME_SLACK_NS &&
            st.st_mtim.tv_sec < (since_ns - TIME_SLACK_NS) / (int64_t)NS_PER_S)
            return 0;
        r->number = number;
        r->sealed = true;
        if (!gz) {
            r->fd = take_fd(&fd);
            return 1;
        }
        ret = start_gunzip(r, take_fd(&fd), e);
        return ret < 0 ? ret : 1;
    }
    return 0;
}

/* ---- going through them ---- */

int log_reader_open(struct log_reader *r, int dirfd, const char *helper, struct err *e)
{
    struct span s = { 0 };
    int ret;

    *r = (struct log_reader){ .dirfd = dirfd, .helper = helper, .fd = -1 };
    ret = open_current(dirfd, &r->fd, &s, e);
    if (ret <= 0)
        return ret;
    r->number = s.last + 1;
    r->first = s.first ? s.first : r->number;
    return 1;
}

void log_reader_close(struct log_reader *r)
{
    close_file(r);
}

int log_reader_rewind(struct log_reader *r, int64_t since_ns, struct err *e)
{
    uint64_t current = r->number;
    int fd = take_fd(&r->fd), ret = 0;

    for (uint64_t n = r->first; ret == 0 && n < current; n++)
        ret = open_older(r, n, since_ns, e);
    if (ret == 0) /* it may be an older one by now: that is found out at its end */
        r->fd = take_fd(&fd);
    close_fd(&fd);
    return ret < 0 ? ret : 0;
}

int log_reader_check(struct log_reader *r, struct err *e)
{
    struct stat st;

    if (r->sealed)
        return 0;
    if (fstat(r->fd, &st) < 0)
        return err_os(e, "stat the log");
    r->sealed = !is_current(r->dirfd, &st);
    return r->sealed;
}

int log_reader_next(struct log_reader *r, struct err *e)
{
    uint64_t want = r->number + 1;
    struct span s = { 0 };
    int ret = 0;

    close_file(r);
    ret = open_older(r, want, INT64_MIN, e);
    if (ret != 0)
        return ret < 0 ? ret : 0;
    for (;;) {
        ret = open_current(r->dirfd, &r->fd, &s, e);
        if (ret == 0) /* the box was removed: what was read was all */
            return err_set(e, ERR_NOT_FOUND, "the log was removed");
        if (ret < 0)
            return ret;
        r->number = s.last + 1;
        r->sealed = false;
        if (r->number <= want)
            return 0;
        /* there are newer ones: the oldest of them, unless it is dropped meanwhile */
        close_fd(&r->fd);
        ret = open_older(r, want > s.first ? want : s.first, INT64_MIN, e);
        if (ret != 0)
            return ret < 0 ? ret : 0;
        want = want > s.first ? want + 1 : s.first + 1;
    }
}

static int end_gunzip(struct log_reader *r, struct err *e)
{
    pid_t pid = r->gunzip;
    int status, ret;

    r->gunzip = 0;
    ret = spawn_wait(pid, &status, e);
    if (ret < 0 || status == 0)
        return ret;
    return err_set(e, ERR_CORRUPT, "log file " LOG_FILE ".%llu.gz cannot be read",
                   (unsigned long long)r->number);
}

ssize_t log_reader_read(struct log_reader *r, void *data, size_t len, struct err *e)
{
    ssize_t n;

    do {
        n = read(r->fd, data, len);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_os(e, "read the log");
    return n == 0 && r->gunzip ? end_gunzip(r, e) : n;
}

/* ---- the last entries ---- */

/* Put container.json's position before its last `n` entries; *ret_missing: so many it has not. */
static int seek_back(int fd, uint64_t n, uint64_t *ret_missing, struct err *e)
{
    autofree char *block = malloc(CHUNK);
    off_t end = lseek(fd, 0, SEEK_END), at = end, found = 0;
    uint64_t left = n;

    if (!block)
        return err_set(e, ERR_LIMIT, "Out of memory");
    if (end < 0)
        return err_os(e, "seek in the log");
    *ret_missing = n && end == 0 ? n : 0;
    while (n && at > 0 && !found) {
        size_t len = at < (off_t)CHUNK ? (size_t)at : CHUNK;

        at -= (off_t)len;
        if (pread(fd, block, len, at) != (ssize_t)len)
            return err_os(e, "read the log");
        for (size_t i = len; i > 0 && !found; i--) /* the last byte ends the last entry */
            if (block[i - 1] == '\n' && at + (off_t)i != end && --left == 0)
                found = at + (off_t)i;
    }
    if (n && end > 0 && !found)
        *ret_missing = left - 1; /* an entry begins where the file does */
    return lseek(fd, n ? found : end, SEEK_SET) < 0 ? err_os(e, "seek in the log") : 0;
}

static int count_entries(struct log_reader *r, uint64_t *ret, struct err *e)
{
    autofree char *block = malloc(CHUNK);
    uint64_t entries = 0;
    ssize_t n;

    if (!block)
        return err_set(e, ERR_LIMIT, "Out of memory");
    while ((n = log_reader_read(r, block, CHUNK, e)) > 0)
        for (const char *p = block; (p = memchr(p, '\n', (size_t)(block + n - p))); p++)
            entries++;
    *ret = entries;
    return n < 0 ? (int)n : 0;
}

int log_reader_tail(struct log_reader *r, int64_t n, uint64_t *ret_skip, struct err *e)
{
    uint64_t missing = 0, current = r->number, start = r->number;
    autofd int fd = -1;
    int ret;

    *ret_skip = 0;
    ret = seek_back(r->fd, (uint64_t)n, &missing, e);
    if (ret < 0 || !missing)
        return ret;
    fd = take_fd(&r->fd);
    for (uint64_t k = current - 1; missing && k >= r->first && k > 0; k--) {
        uint64_t entries = 0;

        ret = open_older(r, k, INT64_MIN, e);
        if (ret > 0)
            ret = count_entries(r, &entries, e);
        close_file(r);
        if (ret < 0)
            return ret;
        start = k;
        *ret_skip = entries > missing ? entries - missing : 0;
        missing -= entries < missing ? entries : missing;
    }
    r->number = current;
    r->sealed = false;
    ret = 0;
    for (uint64_t k = start; ret == 0 && k < current; k++) {
        ret = open_older(r, k, INT64_MIN, e);
        if (ret == 0)
            *ret_skip = 0; /* it was dropped */
    }
    if (ret == 0)
        r->fd = take_fd(&fd);
    return ret < 0 ? ret : 0;
}
