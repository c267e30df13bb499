#include "show/tmpl.h"

#include <string.h>

/* Recursive descent. A function that fails returns NULL with the error set, once. */

struct parser {
    struct lexer lex;
    struct token back[4]; /* tokens given back, last first */
    size_t back_n;
    struct token last; /* the token read last, for the line of errors */
    uint32_t action_line;
    int depth, ranges;
    const char *vars[256]; /* names that are declared, innermost last */
    size_t vars_n;
    struct show_template *t;
    struct err *e;
};

static struct node *fail(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
static struct node *parse_pipeline(struct parser *p, const char *context, enum token_type end);
static struct node *parse_list(struct parser *p, struct node **ret_end);
static struct node *parse_control(struct parser *p, enum node_type type, const char *context);

static struct node *fail(struct parser *p, const char *fmt, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)err_set(p->e, ERR_INVALID, "template: :%u: %s", p->last.line, text);
    return NULL;
}

static struct node *no_memory(struct parser *p)
{
    return fail(p, "template is too big");
}

static struct token next(struct parser *p)
{
    p->last = p->back_n ? p->back[--p->back_n] : lex_next(&p->lex);
    return p->last;
}

static void back(struct parser *p, struct token t)
{
    p->back[p->back_n++] = t; /* at most three are ever given back */
}

static struct token next_solid(struct parser *p)
{
    struct token t;

    do
        t = next(p);
    while (t.type == T_SPACE);
    return t;
}

static struct token peek(struct parser *p)
{
    struct token t = next(p);

    back(p, t);
    return t;
}

static struct token peek_solid(struct parser *p)
{
    struct token t = next_solid(p);

    back(p, t);
    return t;
}

/* A token as Go shows it in errors. */
static const char *token_text(const struct token *t, char *to, size_t len)
{
    autostr quoted = STR_INIT(256);

    if (t->type == T_EOF) {
        (void)snprintf(to, len, "EOF");
    } else if (t->type == T_ERROR) {
        (void)snprintf(to, len, "%.*s", (int)t->len, t->p);
    } else if (t->type > T_KEYWORD) {
        (void)snprintf(to, len, "<%.*s>", (int)t->len, t->p);
    } else {
        print_quoted(&quoted, t->p, t->len > 10 ? 10 : t->len, false);
        (void)snprintf(to, len, "%s%s", str_c(&quoted), t->len > 10 ? "..." : "");
    }
    return to;
}

static struct node *unexpected(struct parser *p, const struct token *t, const char *context)
{
    char text[160];

    (void)token_text(t, text, sizeof(text));
    if (t->type != T_ERROR)
        return fail(p, "unexpected %s in %s", text, context);
    if (p->action_line && p->action_line != t->line) {
        bool doubled = !strcmp(text, "unclosed action");

        return fail(p, "%s%s started at :%u", text, doubled ? "" : " in action", p->action_line);
    }
    return fail(p, "%s", text);
}

static struct node *new_node(struct parser *p, enum node_type type, const struct token *t)
{
    struct node *n = arena_alloc(&p->t->arena, sizeof(*n));

    if (!n)
        return no_memory(p);
    n->type = type;
    n->pos = t->pos;
    n->line = t->line;
    return n;
}

static void append(struct node *parent, struct node *n)
{
    if (parent->last)
        parent->last->next = n;
    else
        parent->items = n;
    parent->last = n;
}

/* Add ".a" or "$a" to the words of a node; the dot is not part of the word. */
static bool add_word(struct parser *p, struct node *n, const struct token *t)
{
    size_t skip = t->type == T_FIELD;
    struct word *w = arena_alloc(&p->t->arena, sizeof(*w)), **at = &n->words;

    if (!w || !(w->text = arena_copy(&p->t->arena, t->p + skip, t->len - skip)))
        return no_memory(p) != NULL;
    while (*at)
        at = &(*at)->next;
    *at = w;
    return true;
}

static struct node *word_node(struct parser *p, enum node_type type, const struct token *t)
{
    struct node *n = new_node(p, type, t);

    return n && add_word(p, n, t) ? n : NULL;
}

static bool declared(const struct parser *p, const char *name)
{
    for (size_t i = 0; i < p->vars_n; i++)
        if (!strcmp(p->vars[i], name))
            return true;
    return false;
}

static struct node *parse_variable(struct parser *p, const struct token *t)
{
    struct node *n = word_node(p, N_VARIABLE, t);

    if (n && !declared(p, n->words->text))
        return fail(p, "undefined variable \"%.100s\"", n->words->text);
    return n;
}

static struct node *parse_function(struct parser *p, const struct token *t)
{
    struct node *n = new_node(p, N_IDENT, t);

    if (!n)
        return NULL;
    n->text = arena_copy(&p->t->arena, t->p, t->len);
    if (!n->text)
        return no_memory(p);
    if (!tmpl_is_function(n->text))
        return fail(p, "function \"%.100s\" not defined", n->text);
    return n;
}

static struct node *parse_string(struct parser *p, const struct token *t)
{
    struct node *n = new_node(p, N_STRING, t);

    if (!n)
        return NULL;
    n->src = arena_copy(&p->t->arena, t->p, t->len);
    n->text = string_unquote(&p->t->arena, t->p, t->len, &n->len);
    return n->src && n->text ? n : fail(p, "invalid syntax");
}

static struct node *parse_number(struct parser *p, const struct token *t)
{
    struct node *n = new_node(p, N_NUMBER, t);

    if (!n)
        return NULL;
    n->src = arena_copy(&p->t->arena, t->p, t->len);
    if (!n->src)
        return no_memory(p);
    if (number_parse(t->p, t->len, n))
        return n;
    if (t->type == T_CHARCONST)
        return t->len == 2 ? fail(p, "invalid syntax")
                           : fail(p, "malformed character constant: %.32s", n->src);
    if (strspn(n->src, "+-0123456789_") == t->len && !strstr(n->src, "__"))
        return fail(p, "integer overflow: \"%.32s\"", n->src);
    return fail(p, "illegal number syntax: \"%.32s\"", n->src);
}

static struct node *parse_parenthesis(struct parser *p)
{
    struct node *n;

    if (p->depth >= TMPL_DEPTH_MAX)
        return fail(p, "max expression depth exceeded");
    p->depth++;
    n = parse_pipeline(p, "parenthesized pipeline", T_RPAREN);
    p->depth--;
    return n;
}

/* NULL without an error (*ret_none set): the next token does not begin a term. */
static struct node *parse_term(struct parser *p, bool *ret_none)
{
    struct token t = next_solid(p);
    struct node *n;

    *ret_none = false;
    if (t.type == T_IDENT)
        return parse_function(p, &t);
    if (t.type == T_DOT)
        return new_node(p, N_DOT, &t);
    if (t.type == T_NIL)
        return new_node(p, N_NIL, &t);
    if (t.type == T_VARIABLE)
        return parse_variable(p, &t);
    if (t.type == T_FIELD)
        return word_node(p, N_FIELD, &t);
    if (t.type == T_NUMBER || t.type == T_CHARCONST)
        return parse_number(p, &t);
    if (t.type == T_STRING || t.type == T_RAWSTRING)
        return parse_string(p, &t);
    if (t.type == T_LPAREN)
        return parse_parenthesis(p);
    if (t.type == T_BOOL) {
        n = new_node(p, N_BOOL, &t);
        if (n)
            n->yes = t.len == 4;
        return n;
    }
    back(p, t);
    *ret_none = true;
    return NULL;
}

/* A term and the fields behind it. */
static struct node *parse_operand(struct parser *p, bool *ret_none)
{
    struct node *n = parse_term(p, ret_none), *chain;
    autostr text = STR_INIT(256), quoted = STR_INIT(1024);
    struct token t;

    if (!n || peek(p).type != T_FIELD)
        return n;
    t = peek(p);
    if (n->type == N_FIELD || n->type == N_VARIABLE) {
        n->pos = t.pos;
        chain = n;
    } else if (n->type == N_BOOL || n->type == N_STRING || n->type == N_NUMBER ||
               n->type == N_NIL || n->type == N_DOT) {
        node_print(n, &text);
        print_quoted(&quoted, str_c(&text), text.len, false);
        return fail(p, "unexpected . after term %s", str_c(&quoted));
    } else {
        chain = new_node(p, N_CHAIN, &t);
        if (!chain)
            return NULL;
        append(chain, n);
    }
    while (peek(p).type == T_FIELD) {
        t = next(p);
        if (!add_word(p, chain, &t))
            return NULL;
    }
    return chain;
}

/* Operands up to "|", which is consumed, or to the end, which is not. */
static struct node *parse_command(struct parser *p)
{
    struct token t = peek_solid(p);
    struct node *cmd = new_node(p, N_COMMAND, &t);

    while (cmd) {
        bool none;
        struct node *n;

        (void)peek_solid(p); /* skips spaces */
        n = parse_operand(p, &none);
        if (!n && !none)
            return NULL;
        if (n)
            append(cmd, n);
        t = next(p);
        if (t.type == T_SPACE)
            continue;
        if (t.type == T_RIGHT || t.type == T_RPAREN)
            back(p, t);
        else if (t.type != T_PIPE)
            return unexpected(p, &t, "operand");
        break;
    }
    if (cmd && !cmd->items)
        return fail(p, "empty command");
    return cmd;
}

static bool declare(struct parser *p, struct node *pipe, const struct token *t)
{
    struct node *v = word_node(p, N_VARIABLE, t), **at = &pipe->decl;

    if (!v)
        return false;
    if (p->vars_n == ARRAY_LEN(p->vars))
        return fail(p, "too many variables") != NULL;
    p->vars[p->vars_n++] = v->words->text;
    while (*at)
        at = &(*at)->next;
    *at = v;
    return true;
}

/* "$x :=", "$x =", "$i, $e :=" at the start of a pipeline. False: failed. */
static bool parse_declarations(struct parser *p, struct node *pipe, const char *context)
{
    bool range = !strcmp(context, "range");

    for (int n = 0;; n++) {
        struct token v = peek_solid(p), after, sign;

        if (v.type != T_VARIABLE)
            return true;
        (void)next_solid(p);
        after = peek(p);
        sign = peek_solid(p);
        if (sign.type == T_ASSIGN || sign.type == T_DECLARE) {
            pipe->assign = sign.type == T_ASSIGN;
            (void)next_solid(p);
            return declare(p, pipe, &v);
        }
        if (sign.type != T_CHAR || *sign.p != ',') {
            if (after.type == T_SPACE)
                back(p, after);
            back(p, v);
            return true;
        }
        (void)next_solid(p);
        if (!declare(p, pipe, &v))
            return false;
        if (!range || n > 0)
            return fail(p, "too many declarations in %s", context) != NULL;
        sign = peek_solid(p);
        if (sign.type != T_VARIABLE && sign.type != T_RIGHT && sign.type != T_RPAREN)
            return fail(p, "range can only initialize variables") != NULL;
    }
}

static struct node *check_pipeline(struct parser *p, struct node *pipe, const char *context)
{
    int stage = 2;

    if (!pipe->items)
        return fail(p, "missing value for %s", context);
    for (const struct node *c = pipe->items->next; c; c = c->next, stage++) {
        enum node_type type = c->items->type;

        if (type == N_BOOL || type == N_DOT || type == N_NIL || type == N_NUMBER ||
            type == N_STRING)
            return fail(p, "non executable command in pipeline stage %d", stage);
    }
    return pipe;
}

static struct node *parse_pipeline(struct parser *p, const char *context, enum token_type end)
{
    struct token t = peek_solid(p);
    struct node *pipe = new_node(p, N_PIPE, &t), *cmd;

    if (!pipe || !parse_declarations(p, pipe, context))
        return NULL;
    for (;;) {
        t = next_solid(p);
        if (t.type == end)
            return check_pipeline(p, pipe, context);
        if ((t.type < T_BOOL && t.type != T_LPAREN) || (t.type >= T_KEYWORD && t.type > T_NIL))
            return unexpected(p, &t, context);
        back(p, t);
        cmd = parse_command(p);
        if (!cmd)
            return NULL;
        append(pipe, cmd);
    }
}

/* {{break}} and {{continue}}. */
static struct node *parse_jump(struct parser *p, enum node_type type, const char *name)
{
    struct token start = p->last, t = next_solid(p);
    char context[32];

    (void)snprintf(context, sizeof(context), "{{%s}}", name);
    if (t.type != T_RIGHT)
        return unexpected(p, &t, context);
    if (!p->ranges)
        return fail(p, "%s outside {{range}}", context);
    return new_node(p, type, &start);
}

static bool parse_name(struct parser *p, const char *context, struct node *ret)
{
    struct token t = next_solid(p);

    if (t.type != T_STRING && t.type != T_RAWSTRING)
        return unexpected(p, &t, context) != NULL;
    ret->pos = t.pos;
    ret->line = t.line;
    ret->text = string_unquote(&p->t->arena, t.p, t.len, &ret->len);
    return ret->text || fail(p, "invalid syntax");
}

static bool is_blank(const struct node *list)
{
    for (const struct node *n = list->items; n; n = n->next)
        if (n->type != N_TEXT || strspn(n->text, " \t\r\n\v\f") != n->len)
            return false;
    return true;
}

/* Remember a template; an empty one never replaces another. */
static bool add_define(struct parser *p, const char *name, struct node *root)
{
    struct define *d;

    for (d = p->t->defines; d; d = d->next) {
        if (strcmp(d->name, name))
            continue;
        if (!is_blank(d->root) && !is_blank(root))
            return fail(p, "template: multiple definition of template \"%.100s\"", name) != NULL;
        if (is_blank(d->root))
            d->root = root;
        return true;
    }
    d = arena_alloc(&p->t->arena, sizeof(*d));
    if (!d)
        return no_memory(p) != NULL;
    *d = (struct define){ .next = p->t->defines, .name = name, .root = root };
    p->t->defines = d;
    return true;
}

/* The body of a {{define}} or {{block}}: a template with variables of its own. */
static bool parse_body(struct parser *p, const char *name, const char *context)
{
    const char *saved[ARRAY_LEN(p->vars)];
    size_t saved_n = p->vars_n;
    int ranges = p->ranges;
    struct node *root, *end;

    memcpy(saved, p->vars, saved_n * sizeof(*saved));
    p->vars_n = 1;
    p->ranges = 0;
    root = parse_list(p, &end);
    memcpy(p->vars, saved, saved_n * sizeof(*saved));
    p->vars_n = saved_n;
    p->ranges = ranges;
    if (!root)
        return false;
    if (end->type != N_END)
        return fail(p, "unexpected {{else}} in %s", context) != NULL;
    return add_define(p, name, root);
}

static bool parse_define(struct parser *p)
{
    struct node name = { 0 };
    struct token t;

    if (!parse_name(p, "define clause", &name))
        return false;
    t = next_solid(p);
    if (t.type != T_RIGHT)
        return unexpected(p, &t, "define clause") != NULL;
    return parse_body(p, name.text, "define clause");
}

/* {{template "name" pipe}}, and {{block}}, which is a define and its use. */
static struct node *parse_template(struct parser *p, bool block)
{
    const char *context = block ? "block clause" : "template clause";
    struct node *n = new_node(p, N_TEMPLATE, &p->last);

    if (!n || !parse_name(p, context, n))
        return NULL;
    if (!block && peek_solid(p).type == T_RIGHT) {
        (void)next_solid(p);
        return n;
    }
    n->pipe = parse_pipeline(p, context, T_RIGHT);
    if (!n->pipe || (block && !parse_body(p, n->text, context)))
        return NULL;
    return n;
}

/* {{else}}; "else if" and "else with" leave the keyword for parse_control(). */
static struct node *parse_else(struct parser *p)
{
    struct token t = peek_solid(p);

    if (t.type != T_IF && t.type != T_WITH) {
        t = next_solid(p);
        if (t.type != T_RIGHT)
            return unexpected(p, &t, "else");
    }
    return new_node(p, N_ELSE, &t);
}

static struct node *parse_end(struct parser *p)
{
    struct token t = next_solid(p);

    return t.type == T_RIGHT ? new_node(p, N_END, &t) : unexpected(p, &t, "end");
}

static struct node *parse_action(struct parser *p)
{
    struct token t = next_solid(p);
    struct node *n;

    switch ((int)t.type) {
    case T_BLOCK:
        return parse_template(p, true);
    case T_TEMPLATE:
        return parse_template(p, false);
    case T_BREAK:
        return parse_jump(p, N_BREAK, "break");
    case T_CONTINUE:
        return parse_jump(p, N_CONTINUE, "continue");
    case T_ELSE:
        return parse_else(p);
    case T_END:
        return parse_end(p);
    case T_IF:
        return parse_control(p, N_IF, "if");
    case T_RANGE:
        return parse_control(p, N_RANGE, "range");
    case T_WITH:
        return parse_control(p, N_WITH, "with");
    default:
        back(p, t);
        n = new_node(p, N_ACTION, &t);
        if (n)
            n->pipe = parse_pipeline(p, "command", T_RIGHT);
        return n && n->pipe ? n : NULL;
    }
}

static struct node *parse_item(struct parser *p)
{
    struct token t = next_solid(p);
    struct node *n;

    if (t.type == T_TEXT) {
        n = new_node(p, N_TEXT, &t);
        if (n && !(n->text = arena_copy(&p->t->arena, t.p, t.len)))
            return no_memory(p);
        if (n)
            n->len = t.len;
        return n;
    }
    if (t.type != T_LEFT)
        return unexpected(p, &t, "input");
    p->action_line = t.line;
    n = parse_action(p);
    p->action_line = 0;
    return n;
}

/* Items up to {{end}} or {{else}}, which is given back separately. */
static struct node *parse_list(struct parser *p, struct node **ret_end)
{
    struct token t = peek_solid(p);
    struct node *list = new_node(p, N_LIST, &t), *n;

    if (!list)
        return NULL;
    if (p->depth >= TMPL_DEPTH_MAX)
        return fail(p, "max expression depth exceeded");
    p->depth++;
    while (peek_solid(p).type != T_EOF) {
        n = parse_item(p);
        if (!n)
            return NULL;
        if (n->type == N_END || n->type == N_ELSE) {
            p->depth--;
            *ret_end = n;
            return list;
        }
        append(list, n);
    }
    return fail(p, "unexpected EOF");
}

/* What follows {{else}}: a list of its own, or the rest of an else-if chain. */
static struct node *parse_other(struct parser *p, enum node_type type)
{
    enum token_type word = type == N_IF ? T_IF : T_WITH;
    struct token t = peek(p);
    struct node *list, *end, *inner;

    if (type != N_RANGE && t.type == word) {
        (void)next(p);
        list = new_node(p, N_LIST, &t);
        if (p->depth >= TMPL_DEPTH_MAX)
            return fail(p, "max expression depth exceeded");
        p->depth++;
        inner = list ? parse_control(p, type, type == N_IF ? "if" : "with") : NULL;
        p->depth--;
        if (!inner)
            return NULL;
        append(list, inner);
        return list;
    }
    list = parse_list(p, &end);
    if (list && end->type != N_END)
        return fail(p, "expected end; found {{else}}");
    return list;
}

static struct node *parse_control(struct parser *p, enum node_type type, const char *context)
{
    size_t vars = p->vars_n;
    struct node *n = new_node(p, type, &p->last), *end;

    if (!n)
        return NULL;
    n->pipe = parse_pipeline(p, context, T_RIGHT);
    if (!n->pipe)
        return NULL;
    n->pos = n->pipe->pos;
    n->line = n->pipe->line;
    p->ranges += type == N_RANGE;
    n->list = parse_list(p, &end);
    p->ranges -= type == N_RANGE;
    if (!n->list)
        return NULL;
    if (end->type == N_ELSE) {
        n->other = parse_other(p, type);
        if (!n->other)
            return NULL;
    }
    p->vars_n = vars;
    return n;
}

static bool parse_top(struct parser *p)
{
    struct token t = peek(p);
    struct node *n;

    p->t->root = new_node(p, N_LIST, &t);
    if (!p->t->root)
        return false;
    for (;;) {
        t = next(p);
        if (t.type == T_EOF)
            return true;
        if (t.type == T_LEFT) {
            struct token word = next_solid(p);

            if (word.type == T_DEFINE) {
                if (!parse_define(p))
                    return false;
                continue;
            }
            back(p, word);
        }
        back(p, t);
        n = parse_item(p);
        if (!n)
            return false;
        if (n->type == N_END || n->type == N_ELSE)
            return fail(p, "unexpected {{%s}}", n->type == N_END ? "end" : "else") != NULL;
        append(p->t->root, n);
    }
}

int show_template_parse(const char *text, struct show_template **ret, struct err *e)
{
    autoptr(show_template) t = calloc(1, sizeof(*t));
    struct parser p = { .t = t, .e = e, .vars = { "$" }, .vars_n = 1 };

    if (!t)
        return err_os(e, "template");
    if (strlen(text) > TMPL_TEXT_MAX)
        return err_set(e, ERR_LIMIT, "template is longer than %zu bytes", TMPL_TEXT_MAX);
    t->arena.max = TMPL_NODES_MAX;
    t->len = strlen(text);
    t->text = arena_copy(&t->arena, text, t->len);
    if (!t->text)
        return err_os(e, "template");
    lex_init(&p.lex, t->text, t->len);
    if (!parse_top(&p) || !add_define(&p, "", t->root))
        return -(int)e->kind;
    *ret = take_ptr(t);
    return 0;
}

void show_template_free(struct show_template *t)
{
    if (!t)
        return;
    arena_done(&t->arena);
    free(t);
}
