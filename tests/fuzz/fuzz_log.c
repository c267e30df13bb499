/* Log drivers: options as users give them, names of files in logs/, and messages to syslog. The
 * first byte chooses. */
#include "box/log_config.h"
#include "shim/syslog.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool good)
{
    if (!good)
        abort();
}

static void check_config(const struct log_config *c)
{
    must(c->kind != LOG_KIND_JSON_FILE || (c->max_files >= 1 && c->max_files <= LOG_FILES_MAX));
    must(!c->compress || (c->max_bytes && c->max_files > 1));
    must(c->facility < 24);
    if (c->attrs) {
        json_t *attrs = json_loads(c->attrs, 0, NULL);

        must(json_is_object(attrs) && strlen(c->attrs) <= LOG_ATTRS_MAX);
        json_decref(attrs);
    }
    if (c->kind == LOG_KIND_SYSLOG && c->port) {
        must(*c->host && strspn(c->port, "0123456789") == strlen(c->port));
        for (const char *p = c->host; *p; p++)
            must(*p > ' ' && *p <= '~');
    }
    if (c->kind == LOG_KIND_SYSLOG && c->host && !c->port)
        must(*c->host == '/');
}

/* Cuts off and returns the first line. */
static char *next_line(char **text)
{
    char *line = *text;
    size_t len = strcspn(line, "\n");

    *text = line + len + (line[len] == '\n');
    line[len] = '\0';
    return line;
}

/* Lines "K=V"; the first is the driver. Regular expressions are libc's, and slow if asked to. */
static void options(char *text)
{
    struct box_spec spec = { .image = strdup("image"), .image_id = strdup("sha256:00") };
    struct log_config c;
    struct err e;

    spec.log_driver = strdup(next_line(&text));
    spec.log_opts = json_object();
    spec.labels = json_pack("{s:s, s:s}", "a", "1", "b.c", "\"");
    must(spec.image && spec.log_driver && spec.image_id && strv_add(&spec.env, "A=b") &&
         strv_add(&spec.env, "X=\xff"));
    while (*text) {
        char *line = next_line(&text), *eq = strchr(line, '=');

        if (eq)
            *eq = '\0';
        if (!strstr(line, "-regex"))
            (void)json_object_set_new(spec.log_opts, line, json_string(eq ? eq + 1 : ""));
    }
    if (log_config_read(&spec, "0123456789abcdef", "name", &c, &e) == 0)
        check_config(&c);
    log_config_done(&c);
    box_spec_done(&spec);
}

static void file_name(const char *text)
{
    char again[LOG_NAME_LEN];
    uint64_t number;
    bool gz;

    if (!log_file_parse(text, &number, &gz))
        return;
    log_file_name(number, gz, again);
    must(!strcmp(text, again));
}

/* The header has its fields, whatever tag and host are; the text is as it was. */
static void message(const char *text, size_t len)
{
    struct log_config c = { .facility = 23, .format = (enum syslog_format)(len % 3) };
    struct syslog_text t = { .stream = (int)(len & 1), .text = text, .len = len };
    autofree char *tag = strdup(text);
    autostr out = STR_INIT(1 << 20);
    size_t fields = 0;

    c.tag = tag;
    must(tag && syslog_format(&c, text, 1, &t, &out));
    must(out.len >= len && !memcmp(out.p + out.len - len, text, len) && out.p[0] == '<');
    for (size_t i = 0; i < out.len - len; i++) {
        must(out.p[i] >= ' ' && out.p[i] <= '~');
        fields += out.p[i] == ' ';
    }
    must(c.format == SYSLOG_RFC3164 ? fields >= 5 : fields == 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *text = len && len < 100000 ? strndup((const char *)data + 1, len - 1) : NULL;

    if (!text)
        return 0;
    if (data[0] % 3 == 0)
        options(text);
    else if (data[0] % 3 == 1)
        file_name(text);
    else
        message(text, strlen(text));
    free(text);
    return 0;
}
