#include "cli/box_filter.h"

#include "cli/log_view.h"
#include "util/parse.h"
#include "util/time.h"

#include <regex.h>
#include <string.h>

const char *const box_filter_keys[] = {
    "ancestor", "before",  "exited",  "expose", "health", "id",     "is-task", "label",
    "name",     "network", "publish", "since",  "status", "volume", NULL,
};

static bool match_id(const char *value, const void *arg)
{
    const struct box_brief *box = arg;

    return strstr(box->id, value) == box->id;
}

/* A regular expression over the name, with or without docker's leading slash. */
static bool match_name(const char *value, const void *arg)
{
    const struct box_brief *box = arg;
    char slashed[ID_LEN * 8];
    regex_t re;
    bool hit;

    if (regcomp(&re, value, REG_EXTENDED | REG_NOSUB) != 0)
        return false; /* refused by check_values() */
    (void)snprintf(slashed, sizeof(slashed), "/%s", box->name);
    hit = !regexec(&re, box->name, 0, NULL, 0) || !regexec(&re, slashed, 0, NULL, 0);
    regfree(&re);
    return hit;
}

/* "key" or "key=value". */
static bool match_label(const char *value, const void *arg)
{
    const struct box_brief *box = arg;
    const char *eq = strchrnul(value, '='), *has;
    json_t *labels = *box->labels ? json_loads(box->labels, 0, NULL) : NULL;
    bool hit;

    has = json_string_value(json_object_getn(labels, value, (size_t)(eq - value)));
    hit = has && (!*eq || !strcmp(has, eq + 1));
    json_decref(labels);
    return hit;
}

static bool match_exited(const char *value, const void *arg)
{
    const struct box_brief *box = arg;
    struct err ignored;
    int64_t code;

    return (box->state == BOX_STOPPED || box->state == BOX_DEAD) &&
           parse_i64(value, INT32_MIN, INT32_MAX, &code, &ignored) >= 0 && code == box->exit_code;
}

static bool match_status(const char *value, const void *arg)
{
    const struct box_brief *box = arg;

    return !strcmp(value, box_state_docker_name(box->state)) ||
           !strcmp(value, box_state_name(box->state));
}

/* By reference as given, without its tag, or by (the start of) the image's id. */
static bool match_ancestor(const char *value, const void *arg)
{
    const struct box_brief *box = arg;
    const char *id = box->image_id, *image = box->image;
    size_t len = strlen(value);

    if (!strncmp(image, value, len) && (!image[len] || image[len] == ':' || image[len] == '@'))
        return true;
    return len >= 4 && (!strncmp(id, value, len) ||
                        (!strncmp(id, "sha256:", 7) && !strncmp(id + 7, value, len)));
}

static bool match_network(const char *value, const void *arg)
{
    const struct box_brief *box = arg;

    return !strcmp(value, box->network);
}

static bool match_health(const char *value, const void *arg)
{
    const struct box_brief *box = arg;

    return !strcmp(value, *box->health ? box->health : "none");
}

static bool match_false(const char *value, const void *arg UNUSED)
{
    return !strcmp(value, "false") || !strcmp(value, "0");
}

static bool match_never(const char *value UNUSED, const void *arg UNUSED)
{
    return false; /* boxes have no volumes and no published ports */
}

static bool is_state(const char *text)
{
    for (int s = 0; s < BOX_STATE_N; s++)
        if (!strcmp(text, box_state_docker_name((enum box_state)s)) ||
            !strcmp(text, box_state_name((enum box_state)s)))
            return true;
    return false;
}

static int check_value(const char *text, struct err *e)
{
    const char *value = strchr(text, '=') + 1;
    struct err ignored;
    int64_t code;
    regex_t re;

    if (!strncmp(text, "status=", 7) && !is_state(value))
        return err_set(e, ERR_INVALID, "invalid filter 'status=%.100s'", value);
    if (!strncmp(text, "exited=", 7) &&
        parse_i64(value, INT32_MIN, INT32_MAX, &code, &ignored) < 0)
        return err_set(e, ERR_INVALID, "invalid filter 'exited=%.100s'", value);
    if (!strncmp(text, "name=", 5)) {
        if (regcomp(&re, value, REG_EXTENDED | REG_NOSUB) != 0)
            return err_set(e, ERR_INVALID, "invalid filter 'name=%.100s'", value);
        regfree(&re);
    }
    return 0;
}

static bool match_no_label(const char *value, const void *arg)
{
    return !match_label(value, arg);
}

/* The moment the named box was made. */
static int moment(const struct box_list *all, const char *name, int64_t *ret, struct err *e)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < all->n; i++) {
        const struct box_brief *box = &all->v[i];

        if (!strcmp(box->name, name) || (len >= 4 && !strncmp(box->id, name, len))) {
            *ret = box->created_ns;
            return 0;
        }
    }
    return err_set(e, ERR_NOT_FOUND, "No such box: %.100s", name);
}

int box_filter_init(struct box_filter *f, const struct show_filters *filters,
                    const struct box_list *all, struct err *e)
{
    *f = (struct box_filter){ .filters = filters };
    for (size_t i = 0; i < filters->n; i++) {
        const char *text = filters->text[i];
        int r = check_value(text, e);

        if (r >= 0 && !strncmp(text, "before=", 7))
            r = moment(all, text + 7, &f->before_ns, e);
        else if (r >= 0 && !strncmp(text, "since=", 6))
            r = moment(all, text + 6, &f->since_ns, e);
        else if (r >= 0 && !strncmp(text, "until=", 6) &&
                 log_moment(text + 6, time_real_ns(), &f->until_ns, e) < 0)
            r = err_ctx(e, "invalid filter 'until'");
        if (r < 0)
            return r;
    }
    return 0;
}

bool box_filter_match(const struct box_filter *f, const struct box_brief *box)
{
    static const struct {
        const char *key;
        show_match *match;
    } any[] = {
        { "ancestor", match_ancestor }, { "exited", match_exited },   { "expose", match_never },
        { "health", match_health },     { "id", match_id },           { "is-task", match_false },
        { "name", match_name },         { "network", match_network }, { "publish", match_never },
        { "status", match_status },     { "volume", match_never },
    };

    if ((f->before_ns && box->created_ns >= f->before_ns) ||
        (f->since_ns && box->created_ns <= f->since_ns) ||
        (f->until_ns && box->created_ns >= f->until_ns))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(any); i++)
        if (!show_filters_any(f->filters, any[i].key, any[i].match, box))
            return false;
    return show_filters_all(f->filters, "label", match_label, box) &&
           show_filters_all(f->filters, "label!", match_no_label, box);
}
