#include "box/name.h"

#include "box/box.h"

#include <string.h>
#include <sys/random.h>

static const char *const adjectives[32] = {
    "bold",  "calm",  "cool",  "dark",  "fast",  "glad",  "keen",  "kind",
    "loud",  "mild",  "neat",  "pale",  "pure",  "rare",  "safe",  "slim",
    "soft",  "tall",  "tiny",  "vast",  "warm",  "wise",  "zen",   "agile",
    "brave", "eager", "happy", "lucid", "noble", "quick", "sharp", "vivid",
};

static const char *const surnames[32] = {
    "allen",    "backus",    "bartik",  "cerf",     "codd",     "corbato", "diffie",
    "dijkstra", "engelbart", "floyd",   "goldberg", "hamilton", "hamming", "hoare",
    "hopper",   "johnson",   "kay",     "knuth",    "lamport",  "liskov",  "lovelace",
    "mccarthy", "minsky",    "neumann", "perlis",   "ritchie",  "shannon", "sutherland",
    "thompson", "turing",    "wilkes",  "zuse",
};

#define PLAIN_TRIES 4 /* 1024 names: a few collisions are normal, many mean most are taken */

int box_invent_name(unsigned try, char ret[BOX_NAME_MAX + 1], struct err *e)
{
    uint32_t r[2];
    int n;

    if (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
        return err_os(e, "getrandom");
    n = snprintf(ret, BOX_NAME_MAX + 1, "%s_%s", adjectives[r[0] % 32], surnames[r[0] / 32 % 32]);
    if (try >= PLAIN_TRIES)
        (void)snprintf(ret + n, (size_t)(BOX_NAME_MAX + 1 - n), "%u",
                       try < 2 * PLAIN_TRIES ? r[1] % 100 : r[1]);
    return 0;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

int box_check_name(const char *name, struct err *e)
{
    size_t len = strlen(name);
    bool ok = len >= 2 && len <= BOX_NAME_MAX && is_alnum(name[0]);

    for (size_t i = 1; ok && i < len; i++)
        ok = is_alnum(name[i]) || strchr("_.-", name[i]);
    if (!ok)
        return err_set(e, ERR_INVALID,
                       "Invalid box name (%.64s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
                       name);
    return 0;
}
