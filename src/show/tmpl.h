/* Inside the template engine: tokens, nodes, values. Included by tmpl_*.c only. */
#pragma once

#include "show/arena.h"
#include "show/template.h"

#include <stdint.h>

#define TMPL_TEXT_MAX  ((size_t)1 << 20)  /* bytes of template text */
#define TMPL_NODES_MAX ((size_t)64 << 20) /* bytes of nodes */
#define TMPL_VALUE_MAX ((size_t)64 << 20) /* bytes of values during one execution */
#define TMPL_DEPTH_MAX 200                /* nesting of actions, parentheses and JSON values */
#define TMPL_CALLS_MAX 200                /* nesting of {{template}} */
#define TMPL_STACK_MAX 1000    /* nesting of all that together; each is up to 3 KiB of stack */
#define TMPL_STEPS_MAX 5000000 /* nodes visited by one execution: about a second */
#define TMPL_WIDTH_MAX 1000000 /* printf's widths, as in Go */

enum token_type {
    T_ERROR,
    T_EOF,
    T_TEXT,
    T_LEFT,
    T_RIGHT,
    T_LPAREN,
    T_RPAREN,
    T_SPACE,
    T_PIPE,
    T_ASSIGN,
    T_DECLARE,
    T_CHAR, /* another printable character */
    T_BOOL,
    T_NUMBER,
    T_CHARCONST,
    T_STRING,
    T_RAWSTRING,
    T_FIELD,
    T_VARIABLE,
    T_IDENT,
    T_KEYWORD, /* those before are not keywords, those behind are */
    T_DOT,
    T_NIL,
    T_BLOCK,
    T_BREAK,
    T_CONTINUE,
    T_DEFINE,
    T_ELSE,
    T_END,
    T_IF,
    T_RANGE,
    T_TEMPLATE,
    T_WITH,
};

struct token {
    enum token_type type;
    uint32_t pos, line;
    const char *p; /* into the template's text; of T_ERROR: the message */
    size_t len;
};

struct lexer {
    const char *text;
    size_t len, pos, start;
    uint32_t line, start_line;
    int parens;
    bool inside;
    char error[128];
};

void lex_init(struct lexer *l, const char *text, size_t len);
struct token lex_next(struct lexer *l);

enum node_type {
    N_LIST,     /* items */
    N_TEXT,     /* text */
    N_ACTION,   /* pipe */
    N_IF,       /* pipe, list, other */
    N_WITH,     /* likewise */
    N_RANGE,    /* likewise */
    N_TEMPLATE, /* text: name; pipe */
    N_BREAK,
    N_CONTINUE,
    N_PIPE,    /* items: commands; decl: variables */
    N_COMMAND, /* items: arguments */
    N_BOOL,
    N_DOT,
    N_NIL,
    N_NUMBER,
    N_STRING,   /* text; src: as written */
    N_FIELD,    /* words */
    N_VARIABLE, /* words: the name with its '$', then fields */
    N_CHAIN,    /* items: one operand; words: fields */
    N_IDENT,    /* text */
    N_END,      /* the parser only */
    N_ELSE,
};

struct word {
    struct word *next;
    const char *text; /* NUL-terminated */
};

struct node {
    enum node_type type;
    uint32_t pos, line;
    struct node *next;                /* in the list it stands in */
    struct node *items, *last;        /* children */
    struct node *pipe, *list, *other; /* of control nodes */
    struct node *decl;                /* of a pipe */
    bool assign;                      /* of a pipe: "=", not ":=" */
    bool yes;                         /* N_BOOL */
    bool is_int, is_float;            /* N_NUMBER; neither: above int's range */
    int64_t i;
    double f;
    struct word *words;
    const char *text; /* NUL-terminated (but may hold NULs) */
    size_t len;
    const char *src;
};

struct define {
    struct define *next;
    const char *name;
    struct node *root;
};

struct show_template {
    struct arena arena;
    const char *text;
    size_t len;
    struct node *root;
    struct define *defines;
};

/* The node as Go prints it in error texts. */
void node_print(const struct node *n, struct str *out);

/* The number in a token. False: not one. */
bool number_parse(const char *p, size_t len, struct node *ret);

/* Go's unquoting of a "..." or `...` literal. NULL: bad syntax, or no memory. */
char *string_unquote(struct arena *a, const char *p, size_t len, size_t *ret_len);

bool tmpl_is_function(const char *name);

enum value_kind {
    V_NONE, /* no value at all: a missing key */
    V_NIL,  /* a nil interface, pointer, slice or map */
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STRING,
    V_LIST,
    V_MAP, /* structs too, see type */
};

struct value {
    enum value_kind kind;
    bool yes;
    int64_t i;
    double f;
    const char *s; /* NUL-terminated, but `len` counts */
    size_t len;
    const json_t *json;           /* V_LIST and V_MAP; borrowed */
    size_t from, to;              /* V_LIST: the part of it */
    const struct show_type *type; /* or NULL */
    const char *name;             /* V_INT, V_LIST: Go's type when it is not the usual one */
    bool boxed; /* just taken out of a map or slice: its type is interface {} to Go */
};

struct value value_of(const json_t *j, const struct show_type *type);
struct value value_string(const char *s, size_t len);
struct value value_int(int64_t i);
struct value value_bool(bool yes);
bool value_true(const struct value *v);
bool value_is_struct(const struct value *v);
/* Element i of a list; i is within its length. */
struct value value_at(const struct value *list, size_t i);
/* Entry of a map; V_NONE when it has none. */
struct value value_get(const struct value *map, const char *key);
/* Is this entry, which is not there, a pointer that JSON leaves out when it is nil? Then *ret is
 * that, with the key (borrowed) in `s`. */
bool value_may_lack(const struct value *map, const char *key, struct value *ret);
size_t value_len(const struct value *v); /* V_STRING, V_LIST, V_MAP */
const char *value_type_name(const struct value *v);
/* The keys of a map, sorted (structs: in order); NULL without memory. Borrowed from the map. */
const char **value_keys(struct arena *a, const struct value *map);

void value_json(const struct value *v, bool html, struct str *out, int depth);

/* What fmt.Sprint, Sprintln and Sprintf give. */
struct printer {
    struct arena *arena;
    struct str *out;
};
void print_value(struct printer *p, const struct value *v);
void print_all(struct printer *p, const struct value *args, size_t n, bool line);
void print_format(struct printer *p, const struct value *format, const struct value *args,
                  size_t n);

/* Shortest decimal that reads back as f: 'g' (%v), 'e', 'f'. */
void print_float(struct str *out, double f, char verb, int precision);
void print_quoted(struct str *out, const char *s, size_t len, bool ascii);

struct call {
    struct arena *arena;
    json_t *owned; /* lists made by functions live here */
    bool header;
    const char *callee; /* how the first argument is written; for `call` */
};

/* Call a function that is not and/or. Fails with a text for "error calling NAME: ...". */
int function_call(struct call *c, const char *name, const struct value *args, size_t n,
                  struct value *ret, struct err *e) MUST_CHECK;

/* How many arguments it takes; max -1: any number. False: there is no such function. */
bool function_arity(const char *name, int *ret_min, int *ret_max);

/* What parameter `i` must be: 's'tring, 'i'nteger, or 0 for anything. */
char function_param(const char *name, size_t i);
