#include "box/state.h"

#include "util/attr.h"

#include <string.h>

static const struct {
    const char *name, *docker;
} names[BOX_STATE_N] = {
#define X(name, text, docker) [BOX_##name] = { text, docker },
    BOX_STATES(X)
#undef X
};

/* Row: from; bit: to. */
static const uint32_t may[BOX_STATE_N] = {
    [BOX_CREATED] = BIT(BOX_STARTING) | BIT(BOX_REMOVING),
    [BOX_STARTING] = BIT(BOX_RUNNING) | BIT(BOX_CREATED) | BIT(BOX_STOPPING) | BIT(BOX_STOPPED) |
                     BIT(BOX_RESTARTING) | BIT(BOX_DEAD),
    [BOX_RUNNING] = BIT(BOX_PAUSED) | BIT(BOX_STOPPING) | BIT(BOX_STOPPED) | BIT(BOX_RESTARTING) |
                    BIT(BOX_DEAD),
    [BOX_PAUSED] = BIT(BOX_RUNNING) | BIT(BOX_STOPPING) | BIT(BOX_STOPPED) | BIT(BOX_RESTARTING) |
                   BIT(BOX_DEAD),
    [BOX_STOPPING] = BIT(BOX_STOPPED) | BIT(BOX_RESTARTING) | BIT(BOX_DEAD),
    /* to itself: the new machine could not even be begun */
    [BOX_RESTARTING] = BIT(BOX_RUNNING) | BIT(BOX_STOPPED) | BIT(BOX_RESTARTING) | BIT(BOX_DEAD),
    [BOX_STOPPED] = BIT(BOX_STARTING) | BIT(BOX_REMOVING),
    [BOX_DEAD] = BIT(BOX_STARTING) | BIT(BOX_REMOVING),
    [BOX_REMOVING] = BIT(BOX_REMOVING),
};

const char *box_state_name(enum box_state state)
{
    return names[state].name;
}

const char *box_state_docker_name(enum box_state state)
{
    return names[state].docker;
}

int box_state_parse(const char *text, enum box_state *ret, struct err *e)
{
    for (int i = 0; i < BOX_STATE_N; i++) {
        if (!strcmp(text, names[i].name)) {
            *ret = (enum box_state)i;
            return 0;
        }
    }
    return err_set(e, ERR_CORRUPT, "state.db: unknown state '%s'", text);
}

bool box_state_may(enum box_state from, enum box_state to)
{
    return (may[from] & BIT(to)) != 0;
}

bool box_state_is_live(enum box_state state)
{
    return state == BOX_STARTING || state == BOX_RUNNING || state == BOX_PAUSED ||
           state == BOX_STOPPING || state == BOX_RESTARTING;
}
