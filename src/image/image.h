/* The verbs of a3s-box-image. argv are the words behind the verb. */
#pragma once

#include "util/err.h"

/* flatten OUT.ext4 LAYER...: layer tars to one image; for tests and benchmarks. */
int verb_flatten(int argc, char **argv, struct err *e);
