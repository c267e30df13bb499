/* What `df` shows, as JSON: the fields docker's `system df` has. */
#pragma once

#include "cli/command.h"

#include <jansson.h>

struct db;

/* One row for each kind of thing. The caller owns *ret. */
int disk_usage_summary(struct cli *cli, struct db *db, json_t **ret, struct err *e) MUST_CHECK;

/* {"Images": [...], "Boxes": [...], "RootfsCache": [...]}. The caller owns *ret. */
int disk_usage_details(struct cli *cli, struct db *db, json_t **ret, struct err *e) MUST_CHECK;
