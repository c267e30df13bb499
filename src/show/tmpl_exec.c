#include "show/tmpl.h"

#include <string.h>

#define ARGS_MAX 64 /* of one function call */

struct variable {
    const char *name;
    struct value value;
};

/* One execution. Functions return < 0 with the error set. */
struct exec {
    const struct show_template *t;
    const struct show_exec *how;
    struct str *out;
    struct arena arena;
    json_t *owned;
    struct variable *vars; /* the stack; owned */
    size_t vars_n, vars_cap, base;
    const char *name;      /* of the template being executed */
    const struct node *at; /* named by errors */
    uint64_t steps;
    int depth, calls;
    struct err *e;
};

enum walk { WALK_ON, WALK_BREAK, WALK_CONTINUE };

static int fail(struct exec *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int walk(struct exec *x, const struct value *dot, const struct node *n);
static int eval_pipe(struct exec *x, const struct value *dot, const struct node *pipe,
                     struct value *ret);
static int eval_operand(struct exec *x, const struct value *dot, const struct node *n,
                        struct value *ret);

static int fail(struct exec *x, const char *fmt, ...)
{
    autostr what = STR_INIT(4096), name = STR_INIT(256);
    const struct node *n = x->at;
    size_t line = 1, start = 0;
    char text[320];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    for (size_t i = 0; i < n->pos && i < x->t->len; i++) {
        if (x->t->text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
    node_print(n, &what);
    print_quoted(&name, x->name, strlen(x->name), false);
    return err_set(x->e, ERR_INVALID, "template: :%zu:%zu: executing %s at <%.120s>: %s", line,
                   n->pos - start, str_c(&name), str_c(&what), text);
}

/* Count the work. Every loop and every recursion comes by here. */
static int step(struct exec *x)
{
    if (++x->steps > TMPL_STEPS_MAX)
        return fail(x, "template runs too long");
    if (x->out->failed)
        return fail(x, "output is too big");
    return 0;
}

/* ---- variables ---- */

static int push(struct exec *x, const char *name, const struct value *v)
{
    if (x->vars_n == x->vars_cap) {
        size_t cap = x->vars_cap ? x->vars_cap * 2 : 16;
        struct variable *vars = realloc(x->vars, cap * sizeof(*vars));

        if (!vars)
            return fail(x, "out of memory");
        x->vars = vars;
        x->vars_cap = cap;
    }
    x->vars[x->vars_n++] = (struct variable){ name, *v };
    return 0;
}

static struct variable *lookup(struct exec *x, const char *name)
{
    for (size_t i = x->vars_n; i > x->base; i--)
        if (!strcmp(x->vars[i - 1].name, name))
            return &x->vars[i - 1];
    return NULL;
}

static int assign(struct exec *x, const char *name, const struct value *v)
{
    struct variable *var = lookup(x, name);

    if (!var)
        return fail(x, "undefined variable: %s", name);
    var->value = *v;
    return 0;
}

/* ---- fields and methods ---- */

static const struct show_method *find_method(const struct value *v, const char *name)
{
    for (const struct show_method *m = v->type ? v->type->methods : NULL; m && m->name; m++)
        if (!strcmp(m->name, name))
            return m;
    return NULL;
}

struct arguments {
    const struct node *nodes;  /* what stands behind the name */
    const struct value *final; /* from the pipeline, or NULL */
};

static int validate(struct exec *x, struct value *v, char param)
{
    const char *want = param == 's' ? "string" : "int";

    if (v->kind == V_NONE && param)
        return fail(x, "invalid value; expected %s", want);
    if ((param == 's' && v->kind != V_STRING) || (param == 'i' && v->kind != V_INT))
        return fail(x, "wrong type for value; expected %s; got %s", want, value_type_name(v));
    if (v->kind == V_NONE)
        v->kind = V_NIL;
    return 0;
}

static int eval_literal(struct exec *x, const struct node *n, char param, struct value *ret)
{
    autostr text = STR_INIT(1024);

    if (n->type == N_NIL && !param) {
        *ret = (struct value){ .kind = V_NIL };
        return 0;
    }
    if (n->type == N_NIL)
        return fail(x, "cannot assign nil to %s", param == 's' ? "string" : "int");
    if ((param == 's' && n->type != N_STRING) ||
        (param == 'i' && (n->type != N_NUMBER || !n->is_int))) {
        node_print(n, &text);
        return fail(x, "expected %s; found %.100s", param == 's' ? "string" : "integer",
                    str_c(&text));
    }
    return eval_operand(x, NULL, n, ret);
}

static int eval_arg(struct exec *x, const struct value *dot, const struct node *n, char param,
                    struct value *ret)
{
    int r;

    x->at = n;
    if (n->type == N_BOOL || n->type == N_NUMBER || n->type == N_STRING || n->type == N_NIL)
        return eval_literal(x, n, param, ret);
    r = eval_operand(x, dot, n, ret);
    return r < 0 ? r : validate(x, ret, param);
}

static int call_method(struct exec *x, const struct value *dot, const struct show_method *m,
                       const struct value *self, const struct arguments *a, struct value *ret)
{
    autostr text = STR_INIT(0);
    const struct node *at = x->at;
    const char *args[4] = { NULL };
    struct value v;
    size_t n = 0;
    int r;

    for (const struct node *arg = a->nodes; arg && n < ARRAY_LEN(args); arg = arg->next) {
        r = eval_arg(x, dot, arg, 's', &v);
        if (r < 0)
            return r;
        args[n++] = v.s;
    }
    if (a->final && n < ARRAY_LEN(args)) {
        v = *a->final;
        r = validate(x, &v, 's');
        if (r < 0)
            return r;
        args[n++] = v.s;
    }
    x->at = at;
    if (n != m->args_n)
        return fail(x, "wrong number of args for %s: want %zu got %zu", m->name, m->args_n, n);
    r = m->call(self->json, args, &text, x->e);
    if (r < 0) {
        char why[256];

        (void)snprintf(why, sizeof(why), "%.255s", x->e->text);
        return fail(x, "error calling %s: %s", m->name, why);
    }
    v = value_string(arena_copy(&x->arena, str_c(&text), text.len), text.len);
    if (!v.s || text.failed)
        return fail(x, "out of memory");
    *ret = v;
    return 0;
}

/* .Field of a value. */
static int get_field(struct exec *x, const struct value *v, const char *name, bool has_args,
                     struct value *ret)
{
    if (v->kind == V_NONE) {
        if (x->how->missing_error)
            return fail(x, "nil data; no entry for key \"%s\"", name);
        *ret = *v;
        return 0;
    }
    if (v->kind == V_NIL && v->s && x->how->missing_error) /* docker looks at the JSON then */
        return fail(x, "map has no entry for key \"%s\"", v->s);
    if (v->kind == V_NIL)
        return fail(x, "nil pointer evaluating %s.%s", value_type_name(v), name);
    if (v->kind != V_MAP)
        return fail(x, "can't evaluate field %s in type %s", name,
                    v->boxed ? "interface {}" : value_type_name(v));
    if (has_args && !value_is_struct(v))
        return fail(x, "%s is not a method but has arguments", name);
    *ret = value_get(v, name);
    if (ret->kind == V_NONE && value_may_lack(v, name, ret))
        return 0;
    if (ret->kind == V_NONE && value_is_struct(v) && !x->how->missing_error)
        return fail(x, "can't evaluate field %s in type %s", name, value_type_name(v));
    if (has_args)
        return fail(x, "%s has arguments but cannot be invoked as function", name);
    if (ret->kind == V_NONE && x->how->missing_error)
        return fail(x, "map has no entry for key \"%s\"", name);
    return 0;
}

/* .A.B.C of a value; the last may be a method and gets the arguments. */
static int eval_chain(struct exec *x, const struct value *dot, const struct value *from,
                      const struct word *words, const struct arguments *a, struct value *ret)
{
    struct value v = *from, next;

    for (const struct word *w = words; w; w = w->next) {
        const struct show_method *m = find_method(&v, w->text);
        bool last = !w->next;
        int r;

        if (m)
            r = call_method(x, dot, m, &v, last ? a : &(struct arguments){ 0 }, &next);
        else
            r = get_field(x, &v, w->text, last && (a->nodes || a->final), &next);
        if (r < 0)
            return r;
        v = next;
    }
    *ret = v;
    return 0;
}

/* ---- functions ---- */

static int check_arity(struct exec *x, const char *name, size_t fixed, size_t n)
{
    int min, max;

    if (!function_arity(name, &min, &max))
        return fail(x, "\"%s\" is not a defined function", name);
    if (max < 0 && n < (size_t)min)
        return fail(x, "wrong number of args for %s: want at least %d got %zu", name, min, fixed);
    if (max >= 0 && n != (size_t)max)
        return fail(x, "wrong number of args for %s: want %d got %zu", name, max, n);
    if (n > ARGS_MAX)
        return fail(x, "too many args for %s", name);
    return 0;
}

/* `and` and `or` stop at the first argument that decides. */
static int eval_logic(struct exec *x, const struct value *dot, bool is_or,
                      const struct arguments *a, struct value *ret)
{
    for (const struct node *n = a->nodes; n; n = n->next) {
        int r = eval_arg(x, dot, n, 0, ret);

        if (r < 0)
            return r;
        if (value_true(ret) == is_or)
            return 0;
    }
    if (a->final)
        *ret = *a->final;
    return 0;
}

static int eval_function(struct exec *x, const struct value *dot, const struct node *ident,
                         const struct node *cmd, const struct arguments *a, struct value *ret)
{
    const char *name = ident->text;
    struct value *args = NULL;
    autostr callee = STR_INIT(256);
    struct call call = { &x->arena, x->owned, x->how->header, NULL };
    size_t n = 0, total = a->final != NULL;
    char why[256];
    int r;

    x->at = ident;
    for (const struct node *arg = a->nodes; arg; arg = arg->next)
        total++;
    r = check_arity(x, name, total - (a->final != NULL), total);
    if (r < 0)
        return r;
    if (!strcmp(name, "and") || !strcmp(name, "or"))
        return eval_logic(x, dot, *name == 'o', a, ret);
    args = arena_alloc(&x->arena, (total + 1) * sizeof(*args));
    if (!args)
        return fail(x, "out of memory");
    for (const struct node *arg = a->nodes; arg; arg = arg->next, n++) {
        r = eval_arg(x, dot, arg, function_param(name, n), &args[n]);
        if (r < 0)
            return r;
    }
    if (a->final) {
        args[n] = *a->final;
        r = validate(x, &args[n], function_param(name, n));
        if (r < 0)
            return r;
    }
    if (a->nodes)
        node_print(a->nodes, &callee);
    call.callee = str_c(&callee);
    r = function_call(&call, name, args, total, ret, x->e);
    if (r >= 0)
        return 0;
    x->at = cmd;
    (void)snprintf(why, sizeof(why), "%.255s", x->e->text);
    return fail(x, "error calling %s: %s", name, why);
}

/* ---- operands, commands, pipelines ---- */

static int eval_variable(struct exec *x, const struct value *dot, const struct node *n,
                         const struct arguments *a, struct value *ret)
{
    const struct variable *var = lookup(x, n->words->text);
    struct value v;

    if (!var)
        return fail(x, "undefined variable: %s", n->words->text);
    v = var->value;
    if (n->words->next)
        return eval_chain(x, dot, &v, n->words->next, a, ret);
    if (a->nodes || a->final)
        return fail(x, "can't give argument to non-function %s", n->words->text);
    *ret = v;
    return 0;
}

static int eval_chain_node(struct exec *x, const struct value *dot, const struct node *n,
                           const struct arguments *a, struct value *ret)
{
    struct value v;
    autostr text = STR_INIT(256);
    int r;

    x->at = n;
    if (n->items->type == N_NIL) {
        node_print(n, &text);
        return fail(x, "indirection through explicit nil in %.100s", str_c(&text));
    }
    r = eval_operand(x, dot, n->items, &v);
    if (r < 0)
        return r;
    return eval_chain(x, dot, &v, n->words, a, ret);
}

/* A node by itself, without arguments. */
static int eval_operand(struct exec *x, const struct value *dot, const struct node *n,
                        struct value *ret)
{
    const struct arguments none = { 0 };
    autostr text = STR_INIT(256);

    x->at = n;
    switch ((int)n->type) {
    case N_BOOL:
        *ret = value_bool(n->yes);
        return 0;
    case N_NUMBER:
        if (!n->is_int && !n->is_float)
            return fail(x, "%s overflows int", n->src);
        *ret = n->is_int ? value_int(n->i) : (struct value){ .kind = V_FLOAT, .f = n->f };
        return 0;
    case N_STRING:
        *ret = value_string(n->text, n->len);
        return 0;
    case N_DOT:
        *ret = *dot;
        return 0;
    case N_FIELD:
        return eval_chain(x, dot, dot, n->words, &none, ret);
    case N_VARIABLE:
        return eval_variable(x, dot, n, &none, ret);
    case N_CHAIN:
        return eval_chain_node(x, dot, n, &none, ret);
    case N_IDENT:
        return eval_function(x, dot, n, n, &none, ret);
    case N_PIPE:
        return eval_pipe(x, dot, n, ret);
    case N_NIL:
        return fail(x, "nil is not a command");
    default:
        node_print(n, &text);
        return fail(x, "can't evaluate command \"%.100s\"", str_c(&text));
    }
}

static int eval_command(struct exec *x, const struct value *dot, const struct node *cmd,
                        const struct value *final, struct value *ret)
{
    const struct node *first = cmd->items;
    const struct arguments a = { first->next, final };
    autostr text = STR_INIT(256);
    int r = step(x);

    if (r < 0)
        return r;
    if (first->type != N_PIPE)
        x->at = first;
    switch ((int)first->type) {
    case N_FIELD:
        return eval_chain(x, dot, dot, first->words, &a, ret);
    case N_CHAIN:
        return eval_chain_node(x, dot, first, &a, ret);
    case N_VARIABLE:
        return eval_variable(x, dot, first, &a, ret);
    case N_IDENT:
        return eval_function(x, dot, first, cmd, &a, ret);
    default:
        if (!a.nodes && !a.final)
            return eval_operand(x, dot, first, ret);
        node_print(first, &text);
        return fail(x, "can't give argument to non-function %.100s", str_c(&text));
    }
}

static int eval_pipe(struct exec *x, const struct value *dot, const struct node *pipe,
                     struct value *ret)
{
    struct value v = { .kind = V_NONE }, next;
    const struct value *final = NULL;
    int r = 0;

    if (x->depth >= TMPL_STACK_MAX)
        return fail(x, "template is nested too deeply");
    x->depth++;
    x->at = pipe;
    for (const struct node *cmd = pipe->items; cmd && r >= 0; cmd = cmd->next) {
        r = eval_command(x, dot, cmd, final, &next);
        v = next;
        if (r >= 0 && v.kind == V_NIL && !(v.type && v.type->form != SHOW_ANY))
            v.kind = V_NONE; /* a nil interface loses its type here */
        v.boxed = false;
        final = &v;
    }
    x->depth--;
    for (const struct node *d = pipe->decl; d && r >= 0; d = d->next)
        r = pipe->assign ? assign(x, d->words->text, &v) : push(x, d->words->text, &v);
    if (r >= 0)
        *ret = v;
    return r;
}

/* ---- statements ---- */

static int print(struct exec *x, const struct node *n, const struct value *v)
{
    struct printer p = { &x->arena, x->out };

    x->at = n;
    if (v->kind == V_NONE)
        str_adds(x->out, "<no value>");
    else
        print_value(&p, v);
    return step(x);
}

static int walk_list(struct exec *x, const struct value *dot, const struct node *list)
{
    int r = WALK_ON;

    for (const struct node *n = list->items; n && r == WALK_ON; n = n->next)
        r = walk(x, dot, n);
    return r;
}

static int walk_if(struct exec *x, const struct value *dot, const struct node *n)
{
    size_t mark = x->vars_n;
    struct value v;
    int r = eval_pipe(x, dot, n->pipe, &v);

    if (r >= 0 && value_true(&v))
        r = walk_list(x, n->type == N_WITH ? &v : dot, n->list);
    else if (r >= 0 && n->other)
        r = walk_list(x, dot, n->other);
    x->vars_n = mark;
    return r;
}

/* One turn of a range; `key` and `item` go to the variables it declares. */
static int turn(struct exec *x, const struct node *n, const struct value *key,
                const struct value *item, size_t mark)
{
    const struct node *first = n->pipe->decl, *second = first ? first->next : NULL;
    int r = 0;

    if (first && n->pipe->assign) {
        r = assign(x, first->words->text, second ? key : item);
        if (r >= 0 && second)
            r = assign(x, second->words->text, item);
    } else if (first) {
        x->vars[mark - 1].value = *item;
        if (second)
            x->vars[mark - 2].value = *key;
    }
    if (r >= 0)
        r = walk_list(x, item, n->list);
    x->vars_n = mark;
    return r == WALK_CONTINUE ? WALK_ON : r;
}

static int range_over(struct exec *x, const struct node *n, const struct value *v, size_t mark)
{
    const char **keys = v->kind == V_MAP ? value_keys(&x->arena, v) : NULL;
    size_t len = v->kind == V_INT ? (size_t)v->i : value_len(v);
    int r = WALK_ON;

    if (v->kind == V_MAP && !keys)
        return fail(x, "out of memory");
    for (size_t i = 0; (keys ? keys[i] != NULL : i < len) && r == WALK_ON; i++) {
        struct value key = value_int((int64_t)i), item = key;

        if (keys) {
            key = value_string(keys[i], strlen(keys[i]));
            item = value_get(v, keys[i]);
        } else if (v->kind == V_LIST) {
            item = value_at(v, i);
        } else {
            item.name = v->name;
        }
        r = step(x);
        if (r >= 0)
            r = turn(x, n, &key, &item, mark);
    }
    return r == WALK_BREAK ? WALK_ON : r;
}

static int walk_range(struct exec *x, const struct value *dot, const struct node *n)
{
    size_t mark = x->vars_n;
    autostr text = STR_INIT(256);
    struct printer p = { &x->arena, &text };
    struct value v;
    int r;

    x->at = n;
    r = eval_pipe(x, dot, n->pipe, &v);
    if (r < 0)
        return r;
    if (v.kind == V_INT && n->pipe->decl && n->pipe->decl->next)
        return fail(x, "can't use %lld to iterate over more than one variable", (long long)v.i);
    if (v.kind == V_BOOL || v.kind == V_FLOAT || v.kind == V_STRING || value_is_struct(&v)) {
        print_value(&p, &v);
        return fail(x, "range can't iterate over %.100s", str_c(&text));
    }
    if (v.kind == V_INT ? v.i > 0 : value_len(&v) > 0)
        r = range_over(x, n, &v, x->vars_n);
    else if (n->other)
        r = walk_list(x, dot, n->other);
    x->vars_n = mark;
    return r;
}

static int walk_template(struct exec *x, const struct value *dot, const struct node *n)
{
    struct value arg = { .kind = V_NONE };
    size_t base = x->base, mark = x->vars_n;
    const char *name = x->name;
    const struct define *d = x->t->defines;
    int r = 0;

    x->at = n;
    while (d && strcmp(d->name, n->text) != 0)
        d = d->next;
    if (!d)
        return fail(x, "template \"%.100s\" not defined", n->text);
    if (x->calls >= TMPL_CALLS_MAX)
        return fail(x, "exceeded maximum template depth (%d)", TMPL_CALLS_MAX);
    if (n->pipe)
        r = eval_pipe(x, dot, n->pipe, &arg);
    if (r < 0)
        return r;
    mark = x->vars_n; /* what the pipeline declared stays */
    x->calls++;
    x->base = mark;
    x->name = d->name;
    r = push(x, "$", &arg);
    if (r >= 0)
        r = walk_list(x, &arg, d->root);
    x->calls--;
    x->base = base;
    x->name = name;
    x->vars_n = mark;
    return r;
}

static int print_action(struct exec *x, const struct value *dot, const struct node *n)
{
    struct value v;
    int r = eval_pipe(x, dot, n->pipe, &v);

    return r < 0 || n->pipe->decl ? r : print(x, n, &v);
}

static int walk_inner(struct exec *x, const struct value *dot, const struct node *n)
{
    switch ((int)n->type) {
    case N_TEXT:
        str_add(x->out, n->text, n->len);
        return WALK_ON;
    case N_ACTION:
        return print_action(x, dot, n);
    case N_IF:
    case N_WITH:
        return walk_if(x, dot, n);
    case N_RANGE:
        return walk_range(x, dot, n);
    case N_TEMPLATE:
        return walk_template(x, dot, n);
    case N_BREAK:
        return WALK_BREAK;
    case N_CONTINUE:
        return WALK_CONTINUE;
    case N_LIST:
        return walk_list(x, dot, n);
    default:
        return fail(x, "unknown node");
    }
}

static int walk(struct exec *x, const struct value *dot, const struct node *n)
{
    int r;

    x->at = n;
    r = step(x);
    if (r < 0)
        return r;
    if (x->depth >= TMPL_STACK_MAX)
        return fail(x, "template is nested too deeply");
    x->depth++;
    r = walk_inner(x, dot, n);
    x->depth--;
    return r;
}

int show_template_exec(const struct show_template *t, const struct show_exec *how,
                       struct str *out, struct err *e)
{
    struct value dot = value_of(how->data, how->type);
    struct exec x = { .t = t,
                      .how = how,
                      .out = out,
                      .name = "",
                      .at = t->root,
                      .e = e,
                      .arena = { .max = TMPL_VALUE_MAX } };
    int r;

    x.owned = json_array();
    r = x.owned ? push(&x, "$", &dot) : err_os(e, "template");
    if (r >= 0)
        r = walk_list(&x, &dot, t->root);
    if (r >= 0 && out->failed)
        r = fail(&x, "output is too big");
    json_decref(x.owned);
    free(x.vars);
    arena_done(&x.arena);
    return r < 0 ? r : 0;
}
