#include "cli/port_list.h"

#include "proto/tlv.h"
#include "util/parse.h"

#include <string.h>

static const char *member(const json_t *binding, const char *key)
{
    const char *s = json_string_value(json_object_get(binding, key));

    return s ? s : "";
}

/* "80/tcp -> 0.0.0.0:8080", "[::]:8080"; `port` NULL: without the first part. */
static char *line_of(const char *port, const json_t *binding)
{
    const char *ip = member(binding, "HostIp");
    bool six = strchr(ip, ':');

    return str_format("%s%s%s%s%s:%s", port ? port : "", port ? " -> " : "", six ? "[" : "", ip,
                      six ? "]" : "", member(binding, "HostPort"));
}

static int add_lines(struct strv *lines, const char *port, const json_t *bindings, struct err *e)
{
    size_t i;
    json_t *binding;

    json_array_foreach(bindings, i, binding)
    {
        autofree char *line = line_of(port, binding);

        if (!line || !strv_add(lines, line))
            return err_set(e, ERR_LIMIT, "Out of memory");
    }
    return 0;
}

static int add_only(struct strv *lines, const json_t *ports, const char *only, const char *name,
                    struct err *e)
{
    const char *slash = strchrnul(only, '/');
    autofree char *number = strndup(only, (size_t)(slash - only));
    autofree char *key =
        number ? str_format("%s/%s", number, *slash && slash[1] ? slash + 1 : "tcp") : NULL;
    const json_t *bindings;
    struct err ignored;
    uint64_t n;

    if (!key)
        return err_set(e, ERR_LIMIT, "Out of memory");
    if (parse_u64(number, 0, 65535, &n, &ignored) < 0)
        return err_set(e, ERR_INVALID, "invalid port (%.100s)", number);
    bindings = json_object_get(ports, key);
    if (!json_array_size(bindings))
        return err_set(e, ERR_NOT_FOUND, "No public port '%.100s' published for %s", only, name);
    return add_lines(lines, NULL, bindings, e);
}

static int natural(const void *a, const void *b)
{
    return strverscmp(*(char *const *)a, *(char *const *)b);
}

int port_list(const json_t *ports, const char *only, const char *name, struct str *out,
              struct err *e)
{
    struct strv lines = { 0 };
    const char *port;
    json_t *bindings;
    int r = 0;

    if (only)
        r = add_only(&lines, ports, only, name, e);
    else
        json_object_foreach((json_t *)(uintptr_t)ports, port, bindings)
        {
            r = r == 0 ? add_lines(&lines, port, bindings, e) : r;
        }
    if (lines.n)
        qsort(lines.v, lines.n, sizeof(*lines.v), natural);
    for (size_t i = 0; r == 0 && i < lines.n; i++)
        str_addf(out, "%s\n", lines.v[i]);
    strv_done(&lines);
    if (r == 0 && out->failed)
        r = err_set(e, ERR_LIMIT, "Output is too big");
    return r;
}
