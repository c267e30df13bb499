#include "cli/audit.h"

#include "box/audit.h"
#include "box/box.h"
#include "cli/command.h"

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>

void cli_audit_box(struct cli *cli, const struct box *box)
{
    (void)snprintf(cli->audit.box_id, sizeof(cli->audit.box_id), "%s", box->id);
    (void)snprintf(cli->audit.box_name, sizeof(cli->audit.box_name), "%s", box->name);
}

void cli_audit_skip(struct cli *cli)
{
    cli->audit.records++;
}

static void complain(struct cli *cli, const char *action, const char *why)
{
    (void)fflush(cli->out); /* keeps the order on a terminal; main checks the stream */
    fprintf(cli->err, "Warning: '%s' is not in the audit log: %s\n", action, why);
}

/* Whom the session belongs to: stays the same through su and sudo. NULL: the kernel does not say.
 */
static const char *login_uid(char *buf, size_t size)
{
    autofd int proc = open("/proc/self/loginuid", O_RDONLY | O_CLOEXEC);
    ssize_t n = proc < 0 ? -1 : read(proc, buf, size - 1);

    if (n <= 0)
        return NULL;
    buf[n] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
    return strcmp(buf, "4294967295") == 0 ? NULL : buf;
}

void cli_audit_settle(struct cli *cli)
{
    const struct aiocb *list[] = { &cli->audit.sync };
    int fd = cli->audit.sync.aio_fildes, error;

    if (!cli->audit.syncing)
        return;
    while ((error = aio_error(&cli->audit.sync)) == EINPROGRESS)
        (void)aio_suspend(list, 1, NULL); /* EINTR: look again */
    (void)aio_return(&cli->audit.sync);   /* the same as `error` */
    cli->audit.syncing = false;
    close_fd(&fd);
    if (error)
        complain(cli, "the last action", strerror(error));
}

/* Goes on while the machine boots or the guest works: a disk takes milliseconds for it. */
static void begin_sync(struct cli *cli, const char *action, int own_fd)
{
    cli->audit.sync = (struct aiocb){ .aio_fildes = own_fd };
    cli->audit.sync.aio_sigevent.sigev_notify = SIGEV_NONE;
    cli->audit.syncing = true;
    if (aio_fsync(O_DSYNC, &cli->audit.sync) == 0)
        return;
    cli->audit.syncing = false;
    if (fdatasync(own_fd) < 0)
        complain(cli, action, strerror(errno));
    close_fd(&own_fd);
}

void cli_audit(struct cli *cli, const char *action, const char *target, const struct err *failure)
{
    char uid[16], pid[16], login[16], tty[64] = "";
    const struct passwd *user = getpwuid(getuid());
    const struct audit_meta metadata[] = {
        { "command", cli->path },
        { "target", target },
        { "to", cli->audit.to },
        { "name", cli->audit.box_name },
        { "uid", uid },
        { "user", user ? user->pw_name : NULL },
        { "login_uid", login_uid(login, sizeof(login)) },
        { "pid", pid },
        { "tty", ttyname_r(0, tty, sizeof(tty)) == 0 ? tty : NULL },
    };
    struct audit_record record = {
        .action = action,
        .box_id = cli->audit.box_id,
        .metadata = metadata,
        .metadata_n = ARRAY_LEN(metadata),
    };
    struct err e;
    int fd;

    (void)snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
    (void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
    if (failure) {
        record.outcome = failure->kind == ERR_DENIED ? AUDIT_DENIED : AUDIT_FAILURE;
        record.message = failure->text[0] ? failure->text : "the reason went to standard error";
    }
    cli->audit.records++;
    cli_audit_settle(cli);
    if (audit_append(cli->home, &record, NULL, &fd, &e) < 0)
        complain(cli, action, e.text);
    else
        begin_sync(cli, action, fd);
}
