#include "box/log_config.h"

#include "util/parse.h"
#include "util/str.h"

#include <regex.h>
#include <string.h>

#define BUFFER_DEFAULT  (UINT64_C(1) << 20) /* docker's */
#define BUFFER_MAX      (UINT64_C(1) << 30)
#define FILES_DEFAULT   3
#define SIZE_MAX_BYTES  (UINT64_C(1) << 44)
#define FACILITY_DAEMON 3
#define PATH_LEN_MAX    107 /* sun_path */

/* ---- the options, by name ---- */

static const char *option(const struct box_spec *s, const char *key)
{
    return json_string_value(json_object_get(s->log_opts, key));
}

static int parse_bool(const char *key, const char *text, bool *ret, struct err *e)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (!strcmp(text, yes[i]) || !strcmp(text, no[i])) {
            *ret = !strcmp(text, yes[i]);
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "--log-opt %s=%.60s is not true or false", key, text);
}

static int check_keys(const struct box_spec *s, const char *driver, const char *const *known,
                      struct err *e)
{
    const char *key;
    json_t *value;

    json_object_foreach(s->log_opts, key, value)
    {
        size_t i = 0;

        while (known[i] && strcmp(known[i], key) != 0)
            i++;
        if (!known[i])
            return err_set(e, ERR_INVALID, "unknown log opt '%.60s' for %s log driver", key,
                           driver);
        if (!json_is_string(value))
            return err_set(e, ERR_CORRUPT, "log opt '%.60s' is no text", key);
    }
    return 0;
}

static int read_mode(const struct box_spec *s, struct log_config *c, struct err *e)
{
    const char *mode = option(s, "mode"), *size = option(s, "max-buffer-size");

    c->non_blocking = mode && !strcmp(mode, "non-blocking");
    c->buffer_bytes = BUFFER_DEFAULT;
    if (mode && *mode && !c->non_blocking && strcmp(mode, "blocking") != 0)
        return err_set(e, ERR_INVALID, "logger: logging mode not supported: %.60s", mode);
    if (!size)
        return 0;
    if (!c->non_blocking)
        return err_set(
            e, ERR_INVALID,
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'");
    return parse_size(size, 1, 1, BUFFER_MAX, &c->buffer_bytes, e) < 0
               ? err_ctx(e, "error parsing option max-buffer-size")
               : 0;
}

/* ---- the tag ---- */

struct names {
    const struct box_spec *spec;
    const char *id, *name;
};

/* What {{.KEY}} stands for; `*ret_len` is how much of it. NULL: nothing. */
static const char *tag_value(const struct names *n, const char *key, size_t len, int *ret_len)
{
    const char *image_id = n->spec->image_id ? n->spec->image_id : "";
    const char *hex = strchr(image_id, ':') ? strchr(image_id, ':') + 1 : image_id;
    const struct {
        const char *key, *value;
        int len;
    } rows[] = {
        { "ID", n->id, 12 },
        { "FullID", n->id, 64 },
        { "Name", n->name, 255 },
        { "ImageID", hex, 12 },
        { "ImageFullID", image_id, 255 },
        { "ImageName", n->spec->image ? n->spec->image : "", 255 },
        { "DaemonName", "a3s-box", 255 },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strlen(rows[i].key) == len && !memcmp(rows[i].key, key, len)) {
            *ret_len = rows[i].len;
            return rows[i].value;
        }
    }
    return NULL;
}

static int add_field(const struct names *n, const char **p, struct str *to, struct err *e)
{
    const char *start = *p + 2, *end = strstr(start, "}}"), *value;
    size_t len;
    int most = 0;

    if (!end)
        return err_set(e, ERR_INVALID, "--log-opt tag: '{{' has no '}}'");
    *p = end + 2;
    start += strspn(start, " \t");
    while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    len = (size_t)(end - start);
    value = len && *start == '.' ? tag_value(n, start + 1, len - 1, &most) : NULL;
    if (!value)
        return err_set(e, ERR_INVALID,
                       "--log-opt tag: {{%.*s}} is not known: use .ID, .FullID, .Name, "
                       ".ImageID, .ImageFullID, .ImageName or .DaemonName",
                       len < 60 ? (int)len : 60, start);
    (void)str_addf(to, "%.*s", most, value); /* checked at the end */
    return 0;
}

static int expand_tag(const struct names *n, const char *text, char **ret, struct err *e)
{
    autostr to = STR_INIT(4096);
    int r = 0;

    while (r == 0 && *text) {
        size_t plain = strstr(text, "{{") ? (size_t)(strstr(text, "{{") - text) : strlen(text);

        (void)str_add(&to, text, plain); /* checked at the end */
        text += plain;
        if (*text)
            r = add_field(n, &text, &to, e);
    }
    if (r < 0)
        return r;
    *ret = str_take(&to);
    return *ret ? 0 : err_set(e, ERR_LIMIT, "--log-opt tag is too long");
}

/* ---- attributes: docker's labels, labels-regex, env, env-regex, tag ---- */

static bool in_list(const char *list, const char *key, size_t len)
{
    while (list && *list) {
        size_t n = strcspn(list, ",");

        if (n == len && !memcmp(list, key, len))
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

static int compile(const char *option, const char *text, regex_t *ret, struct err *e)
{
    char why[100];
    int bad = regcomp(ret, text, REG_EXTENDED | REG_NOSUB);

    if (bad == 0)
        return 0;
    (void)regerror(bad, ret, why, sizeof(why));
    return err_set(e, ERR_INVALID, "--log-opt %s: '%.60s': %s", option, text, why);
}

struct picker {
    const char *list;  /* keys that are wanted, with commas; NULL: none */
    const char *regex; /* or those that match it; NULL: none */
    regex_t re;
};

static int picker_init(struct picker *p, const struct box_spec *s, const char *list,
                       const char *regex, struct err *e)
{
    p->list = option(s, list);
    p->regex = option(s, regex);
    return p->regex ? compile(regex, p->regex, &p->re, e) : 0;
}

static void picker_done(struct picker *p)
{
    if (p->regex)
        regfree(&p->re);
}

static bool picks(const struct picker *p, const char *key)
{
    return in_list(p->list, key, strlen(key)) ||
           (p->regex && regexec(&p->re, key, 0, NULL, 0) == 0);
}

static int add_labels(const struct box_spec *s, json_t *attrs, struct err *e)
{
    struct picker p = { 0 };
    const char *key;
    json_t *value;
    int r;

    r = picker_init(&p, s, "labels", "labels-regex", e);
    if (r < 0)
        return r;
    json_object_foreach(s->labels, key, value)
    {
        if (picks(&p, key))
            (void)json_object_set(attrs, key, value); /* memory: then it is not there */
    }
    picker_done(&p);
    return 0;
}

static int add_env(const struct box_spec *s, json_t *attrs, struct err *e)
{
    struct picker p = { 0 };
    int r;

    r = picker_init(&p, s, "env", "env-regex", e);
    for (size_t i = 0; r == 0 && i < s->env.n; i++) {
        const char *eq = strchr(s->env.v[i], '=');
        autofree char *key = eq ? strndup(s->env.v[i], (size_t)(eq - s->env.v[i])) : NULL;

        if (key && picks(&p, key)) /* what is no UTF-8 is left out */
            (void)json_object_set_new(attrs, key, json_string(eq + 1));
    }
    if (r == 0)
        picker_done(&p);
    return r;
}

static int read_attrs(const struct box_spec *s, struct log_config *c, struct err *e)
{
    json_t *attrs = json_object();
    int r;

    r = attrs ? add_labels(s, attrs, e) : err_os_at(e, ENOMEM, "log attributes");
    if (r == 0)
        r = add_env(s, attrs, e);
    if (r == 0 && c->tag)
        (void)json_object_set_new(attrs, "tag", json_string(c->tag)); /* likewise */
    if (r == 0 && json_object_size(attrs)) {
        c->attrs = json_dumps(attrs, JSON_COMPACT | JSON_SORT_KEYS);
        if (!c->attrs)
            r = err_os_at(e, ENOMEM, "log attributes");
        else if (strlen(c->attrs) > LOG_ATTRS_MAX)
            r = err_set(e, ERR_LIMIT, "--log-opt: the attributes of an entry exceed %zu KiB",
                        LOG_ATTRS_MAX >> 10);
    }
    json_decref(attrs);
    return r;
}

/* ---- json-file ---- */

static int read_json_file(const struct names *n, struct log_config *c, struct err *e)
{
    static const char *const known[] = { "max-size",        "max-file",     "compress", "mode",
                                         "labels",          "labels-regex", "env",      "tag",
                                         "max-buffer-size", "env-regex",    NULL };
    const struct box_spec *s = n->spec;
    const char *size = option(s, "max-size"), *files = option(s, "max-file");
    const char *compress = option(s, "compress"), *tag = option(s, "tag");
    bool asked = false;
    int r;

    r = check_keys(s, "json-file", known, e);
    if (r == 0 && size && parse_size(size, 1, 1, SIZE_MAX_BYTES, &c->max_bytes, e) < 0)
        r = err_ctx(e, "--log-opt max-size");
    c->max_files = FILES_DEFAULT;
    if (r == 0 && files && parse_u64(files, 1, LOG_FILES_MAX, &c->max_files, e) < 0)
        r = !strcmp(files, "0") ? err_set(e, ERR_INVALID, "max-file cannot be less than 1")
                                : err_ctx(e, "--log-opt max-file");
    c->compress = c->max_bytes && c->max_files > 1;
    if (r == 0 && compress)
        r = parse_bool("compress", compress, &asked, e);
    if (r == 0 && asked && !c->compress)
        r = err_set(
            e, ERR_INVALID,
            "compress cannot be true when max-file is less than 2 or max-size is not set");
    if (compress)
        c->compress = asked;
    if (r == 0 && tag && *tag)
        r = expand_tag(n, tag, &c->tag, e);
    return r == 0 ? read_attrs(s, c, e) : r;
}

/* ---- syslog ---- */

static int parse_facility(const char *text, unsigned *ret, struct err *e)
{
    static const char *const names[] = {
        "kern",   "user",   "mail",   "daemon", "auth",   "syslog", "lpr",    "news",
        "uucp",   "cron",   NULL,     NULL,     NULL,     NULL,     NULL,     NULL,
        "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
    };
    uint64_t number;
    struct err ignored;

    *ret = FACILITY_DAEMON;
    if (!text || !*text)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (names[i] && !strcmp(names[i], text)) {
            *ret = i;
            return 0;
        }
    }
    if (!strcmp(text, "authpriv") || !strcmp(text, "ftp"))
        *ret = *text == 'a' ? 10 : 11;
    else if (parse_u64(text, 0, 23, &number, &ignored) == 0)
        *ret = (unsigned)number;
    else
        return err_set(e, ERR_INVALID, "invalid syslog facility");
    return 0;
}

static int parse_format(const char *text, enum syslog_format *ret, struct err *e)
{
    *ret = SYSLOG_RFC5424_MICRO;
    if (!text || !*text || !strcmp(text, "rfc5424micro"))
        return 0;
    if (!strcmp(text, "rfc5424"))
        *ret = SYSLOG_RFC5424;
    else if (!strcmp(text, "rfc3164"))
        *ret = SYSLOG_RFC3164;
    else
        return err_set(e, ERR_INVALID, "Invalid syslog format");
    return 0;
}

static bool word_ok(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] <= ' ' || text[i] > '~' || strchr("/@?#[]", text[i]))
            return false;
    return len > 0;
}

/* "host", "host:514", "[::1]:514", with an optional '/' behind. */
static int parse_host(const char *address, const char *text, struct log_config *c, struct err *e)
{
    size_t len = strlen(text), host_len;
    const char *host = text, *port;
    uint64_t number = 514;
    struct err ignored;
    bool six = *text == '[';

    len -= len && text[len - 1] == '/';
    if (six) {
        host++;
        host_len = strcspn(host, "]");
        port = host + host_len + (host[host_len] == ']');
    } else {
        host_len = strcspn(host, ":");
        host_len = host_len < len ? host_len : len;
        port = host + host_len;
    }
    if (!word_ok(host, host_len) || port > text + len || (six && port[-1] != ']'))
        goto bad;
    if (port < text + len) {
        autofree char *digits =
            *port == ':' ? strndup(port + 1, (size_t)(text + len - port - 1)) : NULL;

        if (!digits || parse_u64(digits, 1, 65535, &number, &ignored) < 0)
            goto bad;
    }
    c->host = strndup(host, host_len);
    c->port = str_format("%llu", (unsigned long long)number);
    return c->host && c->port ? 0 : err_os_at(e, ENOMEM, "syslog-address");
bad:
    return err_set(e, ERR_INVALID, "syslog-address %.100s: no host and port", address);
}

static int parse_address(const char *text, struct log_config *c, struct err *e)
{
    static const struct {
        const char *scheme;
        enum syslog_transport transport;
    } rows[] = {
        { "unix://", SYSLOG_UNIX },
        { "unixgram://", SYSLOG_UNIXGRAM },
        { "udp://", SYSLOG_UDP },
        { "tcp://", SYSLOG_TCP },
    };

    if (!text || !*text)
        return 0;
    if (!strncmp(text, "tcp+tls://", 10))
        return err_set(e, ERR_UNSUPPORTED,
                       "syslog-address %.100s: TLS is not supported: use tcp:// to a relay on "
                       "this host",
                       text);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = strlen(rows[i].scheme);

        if (strncmp(text, rows[i].scheme, len) != 0)
            continue;
        c->transport = rows[i].transport;
        if (c->transport != SYSLOG_UNIX && c->transport != SYSLOG_UNIXGRAM)
            return parse_host(text, text + len, c, e);
        if (text[len] != '/' || strlen(text + len) > PATH_LEN_MAX)
            return err_set(e, ERR_INVALID,
                           "syslog-address %.160s: no absolute path of at most %d bytes", text,
                           PATH_LEN_MAX);
        c->host = strdup(text + len);
        return c->host ? 0 : err_os_at(e, ENOMEM, "syslog-address");
    }
    return err_set(e, ERR_INVALID, "syslog-address should be in form proto://address, got %.100s",
                   text);
}

static int read_syslog(const struct names *n, struct log_config *c, struct err *e)
{
    static const char *const known[] = { "syslog-address",
                                         "syslog-facility",
                                         "syslog-format",
                                         "tag",
                                         "mode",
                                         "max-buffer-size",
                                         "labels",
                                         "labels-regex",
                                         "env",
                                         "env-regex",
                                         NULL };
    static const char *const later[] = { "labels", "labels-regex", "env", "env-regex" };
    const struct box_spec *s = n->spec;
    const char *tag = option(s, "tag");
    int r;

    r = check_keys(s, "syslog", known, e);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(later); i++)
        if (option(s, later[i]))
            r = err_set(e, ERR_UNSUPPORTED,
                        "--log-opt %s is not supported by the log driver syslog: use json-file",
                        later[i]);
    if (r == 0)
        r = parse_facility(option(s, "syslog-facility"), &c->facility, e);
    if (r == 0)
        r = parse_format(option(s, "syslog-format"), &c->format, e);
    if (r == 0)
        r = parse_address(option(s, "syslog-address"), c, e);
    return r == 0 ? expand_tag(n, tag && *tag ? tag : "{{.ID}}", &c->tag, e) : r;
}

/* ---- the whole ---- */

int log_config_read(const struct box_spec *spec, const char *id, const char *name,
                    struct log_config *ret, struct err *e)
{
    const struct names n = { spec, id, name };
    const char *driver = spec->log_driver ? spec->log_driver : "json-file";
    int r;

    *ret = (struct log_config){ .kind = LOG_KIND_JSON_FILE };
    if (!strcmp(driver, "none")) {
        ret->kind = LOG_KIND_NONE;
        return json_object_size(spec->log_opts)
                   ? err_set(e, ERR_INVALID, "invalid logging opts for driver none")
                   : 0;
    }
    if (!strcmp(driver, "syslog"))
        ret->kind = LOG_KIND_SYSLOG;
    else if (strcmp(driver, "json-file") != 0)
        return err_set(e, ERR_INVALID,
                       "logger: no log driver named '%.60s' is registered (there are json-file, "
                       "syslog and none)",
                       driver);
    r = read_mode(spec, ret, e);
    if (r < 0)
        return r;
    return ret->kind == LOG_KIND_SYSLOG ? read_syslog(&n, ret, e) : read_json_file(&n, ret, e);
}

void log_config_done(struct log_config *c)
{
    free(c->attrs);
    free(c->host);
    free(c->port);
    free(c->tag);
    *c = (struct log_config){ 0 };
}

/* ---- names of files ---- */

bool log_file_parse(const char *name, uint64_t *ret_number, bool *ret_gz)
{
    static const char prefix[] = LOG_FILE ".";
    size_t digits;
    autofree char *number = NULL;
    struct err ignored;

    if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
        return false;
    name += sizeof(prefix) - 1;
    digits = strspn(name, "0123456789");
    if (digits == 0 || digits > 18 || name[0] == '0')
        return false;
    *ret_gz = !strcmp(name + digits, ".gz");
    if (name[digits] && !*ret_gz)
        return false;
    number = strndup(name, digits);
    return number && parse_u64(number, 1, UINT64_MAX, ret_number, &ignored) == 0;
}

void log_file_name(uint64_t number, bool gz, char ret[LOG_NAME_LEN])
{
    (void)snprintf(ret, LOG_NAME_LEN, LOG_FILE ".%llu%s", (unsigned long long)number,
                   gz ? ".gz" : "");
}
