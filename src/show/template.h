/*
 * Go's text/template over JSON values: the engine behind every --format.
 *
 * The language is Go's (actions, pipelines, variables, if/else/with/range/break/continue,
 * define/template/block, comments, trim markers, all builtin functions) with docker's functions
 * json, split, join, title, lower, upper, pad and truncate. Values print as Go's fmt prints them.
 * JSON objects are map[string]interface{} unless a `struct show_type` says they are structs.
 * Not there: complex numbers, and functions as values.
 *
 * Templates come from users: nesting, steps and memory are limited, with errors in Go's words.
 */
#pragma once

#include "util/err.h"
#include "util/own.h"
#include "util/str.h"

#include <jansson.h>

enum show_form {
    SHOW_ANY,    /* whatever the JSON value is; null is a nil interface */
    SHOW_STRUCT, /* object: printed {a b} in the order of its keys; unknown fields are errors */
    SHOW_PTR,    /* the same behind a pointer: null is <nil>; as a field it may be left out */
    SHOW_SLICE,  /* null is [] */
    SHOW_MAP,    /* null is map[] */
};

struct show_type;

struct show_field {
    const char *name;
    const struct show_type *type;
};

/* `.Name "arg"` on a value: all arguments are strings, the result is one too. Members of the
 * value whose name begins with the character 1 are for methods: they are not shown. */
struct show_method {
    const char *name;
    size_t args_n; /* at most 4 */
    int (*call)(const json_t *self, const char *const *args, struct str *ret, struct err *e);
};

/* What JSON does not tell about a value. All of it is optional. */
struct show_type {
    const char *name; /* as Go spells the type, in error texts and %T */
    enum show_form form;
    bool escape_html;                  /* json writes <, > and & as \u003c, ... */
    const struct show_field *fields;   /* ends with a NULL name */
    const struct show_type *elem;      /* of elements: slices, and maps without `fields` */
    const struct show_method *methods; /* ends with a NULL name */
    void (*string)(const json_t *v, struct str *out); /* Go's String() */
};

struct show_template;

/* Fails with INVALID: "template: :1: unclosed action". */
int show_template_parse(const char *text, struct show_template **ret, struct err *e) MUST_CHECK;
void show_template_free(struct show_template *t);
DEFINE_AUTOPTR(show_template)

enum show_use {
    SHOW_UNUSED, /* surely not printed: it need not be filled */
    SHOW_MAYBE,  /* by something that prints, or passes on, all there is */
    SHOW_NAMED,
};

/* What a template does with a field (or method) of its data. */
enum show_use show_template_use(const struct show_template *t, const char *field);

struct show_exec {
    const json_t *data;
    const struct show_type *type; /* or NULL */
    bool missing_error;           /* missing keys are errors, not "<no value>" */
    bool header; /* for the header of a table: functions that change text do nothing */
};

/* Appends to `out`, also what came before an error. Fails with INVALID:
 * "template: :1:2: executing \"\" at <.X>: map has no entry for key \"X\"". */
int show_template_exec(const struct show_template *t, const struct show_exec *x, struct str *out,
                       struct err *e) MUST_CHECK;

/* JSON as Go's encoder writes it: maps sorted, structs in their order. `type` may be NULL. */
void show_json(const json_t *v, const struct show_type *type, struct str *out);
