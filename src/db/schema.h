/* The tables of state.db. */
#pragma once

/* One script per version: schema_scripts[n] brings version n to n + 1. Never edit one that has
 * been released; append. */
extern const char *const schema_scripts[];
extern const int schema_version;

/* The states of a box that has, or should have, a shim (box/state.h), for SQL's IN. */
#define DB_LIVE_STATES "('starting', 'running', 'paused', 'stopping', 'restarting')"
