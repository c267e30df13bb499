/* The shim's parsers: what a workload prints must become whole lines of JSON, and what a client
 * sends must not do harm. The first byte chooses. */
#include "box/lifecycle.h"
#include "shim/shim.h"

#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Not reached: nothing starts here. */
int box_security(const struct box_spec *spec UNUSED, struct security *ret UNUSED, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "security");
}

int LLVMFuzzerInitialize(int *argc UNUSED, char ***argv UNUSED)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)setenv("A3S_LOG", "error", 1);
    return 0;
}

static void check_lines(const char *text, size_t len)
{
    while (len) {
        const char *end = memchr(text, '\n', len);
        json_t *entry = end ? json_loadb(text, (size_t)(end - text), JSON_ALLOW_NUL, NULL) : NULL;

        if (!entry || !json_is_string(json_object_get(entry, "log")) ||
            !json_is_string(json_object_get(entry, "stream")) ||
            !json_is_string(json_object_get(entry, "time")))
            abort();
        json_decref(entry);
        len -= (size_t)(end + 1 - text);
        text = end + 1;
    }
}

/* Pieces are as long as their first byte says. */
static void print(const uint8_t *data, size_t len)
{
    struct json_log log;
    struct err e;
    char *text;

    json_log_none(&log);
    log.fd = memfd_create("log", MFD_CLOEXEC);
    while (len) {
        size_t n = data[0] < len ? data[0] : len - 1;

        json_log_add(&log, data[0] & 1 ? JSON_LOG_STDERR : JSON_LOG_STDOUT, data + 1, n);
        data += n + 1;
        len -= n + 1;
    }
    json_log_end(&log);
    if (json_log_flush(&log, &e) < 0)
        abort();
    if (log.size) {
        text = mmap(NULL, (size_t)log.size, PROT_READ, MAP_PRIVATE, log.fd, 0);
        if (text == MAP_FAILED)
            abort();
        check_lines(text, (size_t)log.size);
        (void)munmap(text, (size_t)log.size);
    }
    json_log_close(&log);
}

/* A box that boots: requests and sessions are taken, nothing is done yet. */
static struct shim *make_shim(struct loop *loop)
{
    struct shim *sh = calloc(1, sizeof(*sh));

    if (!sh)
        abort();
    sh->loop = loop;
    sh->home = "/nonexistent";
    sh->dir_fd = sh->console_fd = sh->channel_fd = sh->report_fd = -1;
    sh->stdin_once = true;
    sh->box = calloc(1, sizeof(*sh->box));
    if (!sh->box)
        abort();
    sh->box->name = strdup("box");
    sh->box->spec.open_stdin = sh->box->spec.tty = true;
    shim_timers_init(sh);
    stop_init(sh);
    workload_init(sh);
    clients_init(sh);
    relays_init(&sh->relays, loop);
    return sh;
}

static void talk(const uint8_t *data, size_t len, bool attached)
{
    struct loop *loop = NULL;
    struct shim *sh;
    struct err e;
    int pair[2];

    if (loop_new(&loop, &e) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        abort();
    sh = make_shim(loop);
    if (attached ? clients_attach(sh, pair[0], true, &e) < 0
                 : clients_request(sh, pair[0], &e) < 0)
        abort();
    if (send(pair[1], data, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        len = 0; /* longer than a socket holds */
    (void)shutdown(pair[1], SHUT_WR);
    for (int i = 0; i < 100 && !clients_idle(sh) && loop_turn(loop, 0, &e) > 0; i++)
        clients_turn(sh);
    (void)close(pair[1]);
    shim_done(sh);
    free(sh);
    loop_free(loop);
}

static void connect_line(const uint8_t *data, size_t len)
{
    uint32_t port = 0;
    struct err e;
    int used;

    if (len > VSOCK_LINE_MAX)
        len = VSOCK_LINE_MAX;
    used = vsock_parse((const char *)data, len, &port, &e);
    if (used > (int)len || (used > 0 && (port == 0 || data[used - 1] != '\n')) ||
        (used == 0 && len == VSOCK_LINE_MAX))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    switch (data[0] % 4) {
    case 0:
        print(data + 1, len - 1);
        break;
    case 1:
        talk(data + 1, len - 1, false);
        break;
    case 2:
        talk(data + 1, len - 1, true);
        break;
    default:
        connect_line(data + 1, len - 1);
        break;
    }
    return 0;
}
