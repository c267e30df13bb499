#include "image/image.h"

#include "db/db.h"
#include "image/sandbox.h"
#include "oci/load.h"
#include "util/parse.h"

#include <fcntl.h>
#include <string.h>

#define LAYER_BYTES_DEFAULT ((uint64_t)16 << 30)

int image_open_home(const char **ret_home, struct db **ret_db, struct err *e)
{
    const char *home = getenv("A3S_HOME");

    if (!home || !*home)
        return err_set(e, ERR_USAGE, "A3S_HOME is not set");
    *ret_home = home;
    return db_open(home, ret_db, e);
}

static int read_limits(struct store_limits *ret, struct err *e)
{
    const char *text = getenv("A3S_BOX_MAX_LAYER_BYTES");
    int r;

    ret->layer_bytes_max = LAYER_BYTES_DEFAULT;
    if (!text || !*text)
        return 0;
    r = parse_size(text, 1, 1, INT64_MAX, &ret->layer_bytes_max, e);
    return r < 0 ? err_ctx(e, "A3S_BOX_MAX_LAYER_BYTES") : 0;
}

/* One JSON line for each image: {"id": "sha256:...", "references": [...]}. */
static void print_loaded(void *ctx, const struct incoming *in)
{
    json_t *references = json_array(), *line;
    FILE *out = ctx;

    for (size_t i = 0; in->references && in->references[i]; i++)
        (void)json_array_append_new(references, json_string(in->references[i]));
    line = json_pack("{s:s, s:o}", "id", in->id.text, "references", references);
    if (line) {
        (void)json_dumpf(line, out, JSON_COMPACT);
        (void)fputc('\n', out);
    }
    json_decref(line);
}

static int finish_output(struct err *e)
{
    return fflush(stdout) != 0 ? err_os(e, "write result") : 0;
}

/* The words are: --input FILE ("-" is stdin), then what the verb takes. */
static int open_input(const char *path, int *ret_fd, struct err *e)
{
    int fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_os(e, "open %s", path);
    *ret_fd = fd;
    return 0;
}

/* "--name value" pairs; anything else is a mistake of the program that started us. */
static int next_option(char **argv, int argc, int *at, const char **ret_name,
                       const char **ret_value, struct err *e)
{
    if (*at >= argc)
        return 0;
    if (strncmp(argv[*at], "--", 2) != 0 || *at + 1 >= argc)
        return err_set(e, ERR_USAGE, "unexpected '%s'", argv[*at]);
    *ret_name = argv[*at] + 2;
    *ret_value = argv[*at + 1];
    *at += 2;
    return 1;
}

int verb_load(int argc, char **argv, struct err *e)
{
    struct load_options options = { .want = platform_host() };
    const char *name = "", *value = "", *input = "-";
    autoptr(db) db = NULL;
    autofd int fd = -1;
    int at = 0, r;

    while ((r = next_option(argv, argc, &at, &name, &value, e)) > 0) {
        if (strcmp(name, "input") == 0) {
            input = value;
        } else if (strcmp(name, "tag") == 0) {
            options.tag = value;
        } else if (strcmp(name, "platform") == 0) {
            options.platform_given = true;
            r = platform_parse(value, &options.want, e);
        } else {
            r = err_set(e, ERR_USAGE, "unknown option --%s", name);
        }
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = read_limits(&options.limits, e);
    if (r == 0)
        r = open_input(input, &fd, e);
    if (r == 0)
        r = image_open_home(&options.home, &db, e);
    if (r == 0)
        r = sandbox_enter(options.home, e);
    if (r == 0)
        r = load_archive(db, fd, &options, print_loaded, stdout, e);
    return r < 0 ? r : finish_output(e);
}

static int import_option(struct import_options *o, const char *name, const char *value,
                         size_t *changes_n, struct err *e)
{
    if (strcmp(name, "reference") == 0)
        o->reference = value;
    else if (strcmp(name, "message") == 0)
        o->message = value;
    else if (strcmp(name, "platform") == 0)
        return platform_parse(value, &o->platform, e);
    else if (strcmp(name, "change") == 0)
        o->changes[(*changes_n)++] = value;
    else
        return err_set(e, ERR_USAGE, "unknown option --%s", name);
    return 0;
}

int verb_import(int argc, char **argv, struct err *e)
{
    struct import_options options = { .platform = platform_host() };
    autofree const char **changes = calloc((size_t)argc + 1, sizeof(char *));
    const char *name = "", *value = "", *input = "-";
    autoptr(db) db = NULL;
    size_t changes_n = 0;
    autofd int fd = -1;
    int at = 0, r;

    if (!changes)
        return err_os(e, "import");
    options.changes = changes;
    while ((r = next_option(argv, argc, &at, &name, &value, e)) > 0) {
        if (strcmp(name, "input") == 0)
            input = value;
        else
            r = import_option(&options, name, value, &changes_n, e);
        if (r < 0)
            return r;
    }
    if (r == 0)
        r = read_limits(&options.limits, e);
    if (r == 0)
        r = open_input(input, &fd, e);
    if (r == 0)
        r = image_open_home(&options.home, &db, e);
    if (r == 0)
        r = sandbox_enter(options.home, e);
    if (r == 0)
        r = import_archive(db, fd, &options, print_loaded, stdout, e);
    return r < 0 ? r : finish_output(e);
}
