/* The systemd unit that `monitor --install` writes. */
#include "monitor/monitor.h"
#include "util/fd.h"
#include "util/fs.h"
#include "util/own.h"
#include "util/str.h"
#include "util/time.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_LINE "# Written by a3s-box monitor --install."
#define UNIT_MAX   ((size_t)16 << 10)

/* In double quotes, as systemd.syntax(7) reads it back: % and $ mean something to it. */
static int add_quoted(struct str *out, const char *text, struct err *e)
{
    (void)str_addc(out, '"');
    for (const char *p = text; *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 127)
            return err_set(e, ERR_INVALID, "a control character in '%.100s'", text);
        if (*p == '"' || *p == '\\')
            (void)str_addc(out, '\\');
        if (*p == '%' || *p == '$')
            (void)str_addc(out, *p);
        (void)str_addc(out, *p);
    }
    (void)str_addc(out, '"');
    return 0;
}

/* As above, but $ means nothing in Environment=. */
static int add_environment(struct str *out, const char *name, const char *value, struct err *e)
{
    autofree char *pair = str_format("%s=%s", name, value);
    autostr quoted = STR_INIT(UNIT_MAX);
    int r;

    if (!pair)
        return err_os(e, "unit");
    (void)str_adds(out, "Environment=");
    r = add_quoted(&quoted, pair, e);
    for (size_t i = 0; r == 0 && i < quoted.len; i++) {
        (void)str_addc(out, quoted.p[i]);
        if (quoted.p[i] == '$')
            i++;
    }
    (void)str_addc(out, '\n');
    return r;
}

static int add_command(struct str *out, const struct monitor_options *o, struct err *e)
{
    int r;

    (void)str_adds(out, "ExecStart=");
    r = add_quoted(out, o->program, e);
    (void)str_addf(out, " monitor --interval %llums",
                   (unsigned long long)(o->interval_ns / NS_PER_MS));
    if (r == 0 && o->metrics_addr) {
        (void)str_adds(out, " --metrics-addr ");
        r = add_quoted(out, o->metrics_addr, e);
    }
    (void)str_addc(out, '\n');
    return r;
}

int monitor_unit_text(const struct monitor_options *o, char **ret, struct err *e)
{
    autostr out = STR_INIT(UNIT_MAX);
    int r;

    (void)str_adds(&out, FIRST_LINE
                   "\n"
                   "[Unit]\n"
                   "Description=a3s-box monitor: starts boxes again by their policies\n"
                   "\n"
                   "[Service]\n"
                   "Type=notify\n");
    r = add_environment(&out, "A3S_HOME", o->home, e);
    if (r == 0)
        r = add_command(&out, o, e);
    (void)str_addf(&out,
                   "Restart=always\n"
                   "RestartSec=2\n"
                   /* boxes it has started are in its group, and live on without it */
                   "KillMode=process\n"
                   "TasksMax=infinity\n"
                   "OOMPolicy=continue\n"
                   "\n"
                   "[Install]\n"
                   "WantedBy=%s\n",
                   geteuid() == 0 ? "multi-user.target" : "default.target");
    if (r < 0)
        return r;
    *ret = str_take(&out);
    return *ret ? 0 : err_set(e, ERR_LIMIT, "The unit would be too long");
}

/* Its directory; the caller frees. */
static int unit_dir(char **ret, struct err *e)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");

    if (geteuid() == 0)
        *ret = str_format("%s", "/etc/systemd/system");
    else if (config && *config == '/')
        *ret = str_format("%s/systemd/user", config);
    else if (home && *home == '/')
        *ret = str_format("%s/.config/systemd/user", home);
    else
        return err_set(e, ERR_INVALID, "Neither XDG_CONFIG_HOME nor HOME is set");
    return *ret ? 0 : err_os(e, "unit");
}

/* 1: there is one of ours; 0: none. EXISTS: one of somebody else. */
static int check_old(const char *path, struct err *e)
{
    autostr old = STR_INIT(UNIT_MAX);
    int r;

    r = fs_read_file(AT_FDCWD, path, &old, e);
    if (r == -(int)ERR_NOT_FOUND) {
        err_clear(e);
        return 0;
    }
    if (r < 0 && e->kind != ERR_LIMIT)
        return r;
    if (r < 0 || strncmp(str_c(&old), FIRST_LINE, strlen(FIRST_LINE)) != 0)
        return err_set(e, ERR_EXISTS, "%s was not written by a3s-box: remove it first", path);
    return 1;
}

static const char *scope(void)
{
    return geteuid() == 0 ? "" : " --user";
}

int monitor_install(const struct monitor_options *o, struct err *e)
{
    autofree char *dir = NULL, *path = NULL, *text = NULL;
    int r;

    r = monitor_unit_text(o, &text, e);
    if (r == 0)
        r = unit_dir(&dir, e);
    if (r < 0)
        return r;
    path = str_format("%s/" MONITOR_UNIT, dir);
    r = path ? check_old(path, e) : err_os(e, "unit");
    if (r >= 0)
        r = fs_mkdirs(dir, e);
    if (r >= 0)
        r = fs_write_file(AT_FDCWD, path, text, strlen(text), 0644, e);
    if (r < 0)
        return r;
    fprintf(o->out, "Wrote %s. To start it now and at every boot:\n\n", path);
    fprintf(o->out, "  systemctl%s daemon-reload\n  systemctl%s enable --now " MONITOR_UNIT "\n",
            scope(), scope());
    if (geteuid() != 0)
        fprintf(o->out,
                "  loginctl enable-linger   # so that it runs while nobody is logged in\n");
    return 0;
}

int monitor_uninstall(const struct monitor_options *o, struct err *e)
{
    autofree char *dir = NULL, *path = NULL;
    int r;

    r = unit_dir(&dir, e);
    if (r < 0)
        return r;
    path = str_format("%s/" MONITOR_UNIT, dir);
    r = path ? check_old(path, e) : err_os(e, "unit");
    if (r == 0)
        return err_set(e, ERR_NOT_FOUND, "There is no %s", path);
    if (r > 0 && unlink(path) < 0)
        r = err_os(e, "unlink %s", path);
    if (r < 0)
        return r;
    fprintf(o->out,
            "Removed %s. Should it still run:\n\n  systemctl%s stop " MONITOR_UNIT
            "\n  systemctl%s daemon-reload\n",
            path, scope(), scope());
    return 0;
}
