/* --restart, --health-*, and what the image's HEALTHCHECK says where flags do not. */
#include "cli/flags_internal.h"

#include "box/policy.h"
#include "oci/json.h"
#include "util/parse.h"

#include <string.h>

#define TEST_WORDS_MAX 4096 /* of an image's check; a command line has less */

static int fill_restart(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    if (!f->restart)
        return 0;
    return restart_policy_parse(f->restart, &s->restart_policy, &s->restart_max, e);
}

/* ---- the image's check ------------------------------------------------- */

static int image_test(const json_t *check, struct box_spec *s, struct err *e)
{
    char **words = NULL;
    int r;

    r = json_get_strv(check, "Test", &words, e);
    for (size_t i = 0; r == 0 && words[i]; i++)
        if (i >= TEST_WORDS_MAX || !strv_add(&s->health_test, words[i]))
            r = err_set(e, ERR_LIMIT, "Test is too long");
    if (r == 0)
        strv_free(words);
    return r;
}

static int image_check(const struct image *img, struct box_spec *s, struct err *e)
{
    const json_t *check = img->healthcheck;
    int r;

    if (!check)
        return 0;
    r = image_test(check, s, e);
    if (r == 0)
        r = json_get_u64(check, "Interval", &s->health_interval_ns, e);
    if (r == 0)
        r = json_get_u64(check, "Timeout", &s->health_timeout_ns, e);
    if (r == 0)
        r = json_get_u64(check, "StartPeriod", &s->health_start_period_ns, e);
    if (r == 0)
        r = json_get_u64(check, "StartInterval", &s->health_start_interval_ns, e);
    if (r == 0)
        r = json_get_u64(check, "Retries", &s->health_retries, e);
    if (r == 0 && s->health_test.n && !strcmp(s->health_test.v[0], "CMD-SHELL"))
        for (char *const *word = img->shell; r == 0 && word && *word; word++)
            r = strv_add(&s->health_shell, *word) ? 0 : flags_no_memory(e);
    return r < 0 ? err_ctx(e, "the image's HEALTHCHECK (--no-healthcheck disables it)") : 0;
}

/* ---- flags ------------------------------------------------------------- */

static int read_time(const char *flag, const char *text, uint64_t *ret, struct err *e)
{
    if (!text)
        return 0;
    if (parse_duration(text, ret, e) < 0)
        return err_ctx(e, "invalid argument \"%.100s\" for \"--%s\" flag", text, flag);
    return 0;
}

static int flag_times(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    int r;

    r = read_time("health-interval", f->health_interval, &s->health_interval_ns, e);
    if (r == 0)
        r = read_time("health-timeout", f->health_timeout, &s->health_timeout_ns, e);
    if (r == 0)
        r = read_time("health-start-period", f->health_start_period, &s->health_start_period_ns,
                      e);
    if (r == 0)
        r = read_time("health-start-interval", f->health_start_interval,
                      &s->health_start_interval_ns, e);
    if (f->health_retries)
        s->health_retries = (uint64_t)f->health_retries;
    return r;
}

static int flag_command(const struct box_flags *f, struct box_spec *s, struct err *e)
{
    if (!f->health_cmd || !*f->health_cmd)
        return 0;
    strv_done(&s->health_test);
    strv_done(&s->health_shell);
    return strv_add(&s->health_test, "CMD-SHELL") && strv_add(&s->health_test, f->health_cmd)
               ? 0
               : flags_no_memory(e);
}

static void set_default(uint64_t *value, uint64_t other)
{
    if (!*value)
        *value = other;
}

static void fill_defaults(const struct box_flags *f, struct box_spec *s)
{
    set_default(&s->health_interval_ns, HEALTH_INTERVAL_DEFAULT);
    set_default(&s->health_timeout_ns,
                f->health_cmd ? HEALTH_TIMEOUT_DEFAULT : HEALTH_TIMEOUT_IMAGE);
    set_default(&s->health_start_interval_ns, HEALTH_START_INTERVAL);
    set_default(&s->health_retries, HEALTH_RETRIES_DEFAULT);
}

/* The first flag that says something about checks. */
static const char *health_flag(const struct box_flags *f)
{
    if (f->health_cmd)
        return "health-cmd";
    if (f->health_interval)
        return "health-interval";
    if (f->health_timeout)
        return "health-timeout";
    if (f->health_start_period)
        return "health-start-period";
    if (f->health_start_interval)
        return "health-start-interval";
    return f->health_retries ? "health-retries" : NULL;
}

static int fill_health(const struct box_flags *f, const struct image *img, struct box_spec *s,
                       struct err *e)
{
    int r;

    if (f->no_healthcheck && health_flag(f))
        return err_set(e, ERR_INVALID, "--no-healthcheck conflicts with --health-* options");
    if (f->no_healthcheck)
        return strv_add(&s->health_test, "NONE") ? 0 : flags_no_memory(e);
    r = image_check(img, s, e);
    if (r == 0)
        r = flag_command(f, s, e);
    if (r == 0)
        r = flag_times(f, s, e);
    if (r < 0)
        return r;
    if (health_enabled(s)) {
        fill_defaults(f, s);
        return 0;
    }
    if (health_flag(f))
        return err_set(e, ERR_INVALID, "--%s needs a --health-cmd: the image has no HEALTHCHECK",
                       health_flag(f));
    s->health_interval_ns = s->health_timeout_ns = s->health_retries = 0;
    s->health_start_period_ns = s->health_start_interval_ns = 0;
    return 0;
}

int flags_policy(const struct box_flags *f, const struct image *img, struct box_spec *s,
                 struct err *e)
{
    int r = fill_restart(f, s, e);

    return r < 0 ? r : fill_health(f, img, s, e);
}
