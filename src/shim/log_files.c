#include "shim/log_files.h"

#include "util/fd.h"
#include "util/log.h"
#include "util/spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static bool exists(const struct log_files *f, uint64_t number, bool gz)
{
    char name[LOG_NAME_LEN];

    log_file_name(number, gz, name);
    return faccessat(f->dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void drop(const struct log_files *f, uint64_t number, bool gz)
{
    char name[LOG_NAME_LEN];

    log_file_name(number, gz, name);
    (void)unlinkat(f->dirfd, name, 0); /* mostly only one of the two is there */
}

/* The oldest that is kept. */
static uint64_t oldest(const struct log_files *f)
{
    return f->number > f->max_files - 1 ? f->number - (f->max_files - 1) : 1;
}

/* ---- compressing ---- */

static void start_job(struct log_files *f);

/* The compressed file takes the place of the plain one. */
static void put_in_place(struct log_files *f)
{
    const struct timespec times[2] = { f->job.modified, f->job.modified };
    char name[LOG_NAME_LEN];

    if (f->job.number < oldest(f) || !exists(f, f->job.number, false))
        return; /* dropped in the meantime */
    log_file_name(f->job.number, true, name);
    (void)futimens(f->job.out, times); /* only saves readers work */
    if (renameat(f->dirfd, LOG_FILE_TMP, f->dirfd, name) < 0)
        log_warn("log: %s: %s", name, strerror(errno));
    else
        drop(f, f->job.number, false);
}

static void end_job(struct log_files *f, bool good)
{
    if (good)
        put_in_place(f);
    (void)unlinkat(f->dirfd, LOG_FILE_TMP, 0); /* not there when it is in place */
    close_fd(&f->job.out);
    f->job.pid = 0;
}

static void on_job_end(struct watch *w, uint32_t events UNUSED)
{
    struct log_files *f = CONTAINER_OF(w, struct log_files, job.ended);
    int status = -1;
    struct err e;

    loop_del(f->loop, w);
    close_fd(&w->fd);
    if (spawn_wait(f->job.pid, &status, &e) < 0)
        log_warn("log: %s", e.text);
    else if (status != 0)
        log_warn("log: file %llu stays uncompressed: " LOG_FILE " compressor ended with %d",
                 (unsigned long long)f->job.number, status);
    end_job(f, status == 0);
    start_job(f);
}

static int spawn_job(struct log_files *f, int in, struct err *e)
{
    const char *const argv[] = { f->helper, "gzip", NULL };
    const struct spawn_fd fds[] = { { in, 0 }, { f->job.out, 1 }, { STDERR_FILENO, 2 } };
    const struct spawn s = {
        .argv = argv,
        .fds = fds,
        .fds_n = ARRAY_LEN(fds),
        .parent_death_signal = SIGKILL,
        .no_new_privs = true,
    };
    int r;

    r = spawn_start(&s, &f->job.pid, &f->job.ended.fd, e);
    if (r < 0)
        return r;
    f->job.ended.what = "log compressor";
    f->job.ended.ready = on_job_end;
    r = loop_add(f->loop, &f->job.ended, EPOLLIN, e);
    if (r < 0) {
        int status;
        struct err ignored;

        (void)syscall(SYS_pidfd_send_signal, f->job.ended.fd, SIGKILL, NULL, 0);
        (void)!spawn_wait(f->job.pid, &status, &ignored); /* it is ours, and ends */
        close_fd(&f->job.ended.fd);
    }
    return r;
}

static int try_job(struct log_files *f, struct err *e)
{
    char name[LOG_NAME_LEN];
    struct stat st;
    autofd int in = -1;

    log_file_name(f->job.number, false, name);
    in = openat(f->dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0 || fstat(in, &st) < 0)
        return err_os(e, "open %s", name);
    f->job.modified = st.st_mtim;
    f->job.out = openat(f->dirfd, LOG_FILE_TMP, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (f->job.out < 0)
        return err_os(e, "open " LOG_FILE_TMP);
    return spawn_job(f, in, e);
}

/* The oldest plain file is next. Without a compressor they stay as they are. */
static void start_job(struct log_files *f)
{
    struct err e;

    if (!f->compress || !f->loop || f->job.pid)
        return;
    if (f->next < oldest(f))
        f->next = oldest(f);
    while (f->next < f->number && !exists(f, f->next, false))
        f->next++;
    if (f->next >= f->number)
        return;
    f->job.number = f->next++;
    if (try_job(f, &e) == 0)
        return;
    log_warn("log: nothing is compressed from now on: %s", e.text);
    f->compress = false;
    end_job(f, false);
}

/* ---- opening ---- */

static int sweep(struct log_files *f, struct err *e)
{
    int fd = fd_dup(f->dirfd, e);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    uint64_t number;
    bool gz;

    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return err_os(e, "read the log's directory");
    }
    rewinddir(dir);
    while ((entry = readdir(dir)))
        if (log_file_parse(entry->d_name, &number, &gz) && number >= f->number)
            f->number = number + 1;
    f->next = oldest(f);
    rewinddir(dir);
    while ((entry = readdir(dir)))
        if (log_file_parse(entry->d_name, &number, &gz) &&
            (number < oldest(f) || (!gz && exists(f, number, true))))
            drop(f, number, gz);
    (void)closedir(dir);
    (void)unlinkat(f->dirfd, LOG_FILE_TMP, 0); /* mostly not there */
    (void)unlinkat(f->dirfd, LOG_FILE_NEW, 0); /* likewise */
    return 0;
}

int log_files_open(struct log_files *f, int own_dirfd, const struct log_config *c, struct err *e)
{
    *f = (struct log_files){
        .dirfd = own_dirfd,
        .max_bytes = c->max_bytes,
        .max_files = c->max_files,
        .compress = c->compress,
        .number = 1,
        .job = { .out = -1, .ended.fd = -1 },
    };
    return sweep(f, e);
}

void log_files_compress(struct log_files *f, struct loop *loop, const char *helper)
{
    f->loop = loop;
    f->helper = helper;
    start_job(f);
}

void log_files_close(struct log_files *f)
{
    struct err e;
    int status;

    if (f->job.pid) {
        loop_del(f->loop, &f->job.ended);
        (void)syscall(SYS_pidfd_send_signal, f->job.ended.fd, SIGKILL, NULL, 0);
        if (spawn_wait(f->job.pid, &status, &e) < 0)
            log_warn("log: %s", e.text);
        close_fd(&f->job.ended.fd);
        end_job(f, false);
    }
    close_fd(&f->dirfd);
}

/* ---- rotating ---- */

/* container.json gets its number, and LOG_FILE_NEW its name, in one step where links exist. */
static int exchange(struct log_files *f)
{
    char name[LOG_NAME_LEN];

    log_file_name(f->number, false, name);
    if (f->max_files > 1 && linkat(f->dirfd, LOG_FILE, f->dirfd, name, 0) < 0 &&
        renameat(f->dirfd, LOG_FILE, f->dirfd, name) < 0 && errno != ENOENT)
        return errno; /* ENOENT: somebody has removed it */
    return renameat(f->dirfd, LOG_FILE_NEW, f->dirfd, LOG_FILE) < 0 ? errno : 0;
}

void log_files_rotate(struct log_files *f, int *fd, off_t *size)
{
    autofd int fresh =
        openat(f->dirfd, LOG_FILE_NEW,
               O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    int os = fresh < 0 ? errno : exchange(f);

    if (os) {
        if (!f->told)
            log_warn("log: no new file, " LOG_FILE " grows above max-size: %s", strerror(os));
        f->told = true;
        return;
    }
    f->told = false;
    close_fd(fd);
    *fd = take_fd(&fresh);
    *size = 0;
    f->number++;
    if (f->number > f->max_files) {
        drop(f, f->number - f->max_files, false);
        drop(f, f->number - f->max_files, true);
    }
    start_job(f);
}
