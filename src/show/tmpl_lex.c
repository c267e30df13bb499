#include "show/tmpl.h"

#include <stdio.h>
#include <string.h>

/* Text outside of {{ }} is one token; inside, spaces are tokens because they separate arguments.
 * Trim markers ("{{- " and " -}}") are dealt with here: the parser never sees them. */

static bool is_space(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Letters of any script: every byte above ASCII counts as one. */
static bool is_word(int c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z') || c >= 0x80;
}

/* The byte `ahead` of the position, -1 behind the end. */
static int at(const struct lexer *l, size_t ahead)
{
    return l->pos + ahead < l->len ? (unsigned char)l->text[l->pos + ahead] : -1;
}

static bool looking_at(const struct lexer *l, size_t ahead, const char *what)
{
    size_t n = strlen(what);

    return l->pos + ahead + n <= l->len && !memcmp(l->text + l->pos + ahead, what, n);
}

static void count_lines(struct lexer *l, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        l->line += l->text[i] == '\n';
}

static struct token emit(struct lexer *l, enum token_type type)
{
    struct token t = { type, (uint32_t)l->start, l->start_line, l->text + l->start,
                       l->pos - l->start };

    count_lines(l, l->start, l->pos);
    l->start = l->pos;
    l->start_line = l->line;
    return t;
}

static void ignore(struct lexer *l)
{
    count_lines(l, l->start, l->pos);
    l->start = l->pos;
    l->start_line = l->line;
}

static struct token fail(struct lexer *l, const char *text)
{
    struct token t = { T_ERROR, (uint32_t)l->start, l->start_line, l->error, 0 };

    (void)snprintf(l->error, sizeof(l->error), "%s", text);
    t.len = strlen(l->error);
    l->pos = l->start = l->len;
    l->inside = false;
    return t;
}

static struct token fail_char(struct lexer *l, const char *text)
{
    char full[64];
    int c = at(l, 0);

    if (c > ' ' && c < 0x7f)
        (void)snprintf(full, sizeof(full), "%s U+%04X '%c'", text, (unsigned)c, c);
    else
        (void)snprintf(full, sizeof(full), "%s U+%04X", text, c < 0 ? 0xfffdU : (unsigned)c);
    return fail(l, full);
}

void lex_init(struct lexer *l, const char *text, size_t len)
{
    *l = (struct lexer){ .text = text, .len = len, .line = 1, .start_line = 1 };
}

/* 0: not at "}}"; 1: at it; 2: at " -}}". */
static int at_right(const struct lexer *l)
{
    if (is_space(at(l, 0)) && at(l, 1) == '-' && looking_at(l, 2, "}}"))
        return 2;
    return looking_at(l, 0, "}}");
}

static void skip_spaces(struct lexer *l)
{
    while (is_space(at(l, 0)))
        l->pos++;
    ignore(l);
}

/* A comment; its end must be the end of the action. False: error is set. */
static bool skip_comment(struct lexer *l, struct token *ret_error)
{
    const char *end = memmem(l->text + l->pos + 2, l->len - l->pos - 2, "*/", 2);
    int right;

    if (!end) {
        *ret_error = fail(l, "unclosed comment");
        return false;
    }
    l->pos = (size_t)(end - l->text) + 2;
    right = at_right(l);
    if (!right) {
        *ret_error = fail(l, "comment ends before closing delimiter");
        return false;
    }
    l->pos += right == 2 ? 4 : 2;
    ignore(l);
    if (right == 2)
        skip_spaces(l);
    return true;
}

/* Text up to the next action. True: *ret is a token; false: at "{{" without text before. */
static bool lex_text(struct lexer *l, struct token *ret)
{
    const char *open =
        l->pos < l->len ? memmem(l->text + l->pos, l->len - l->pos, "{{", 2) : NULL;
    size_t end = open ? (size_t)(open - l->text) : l->len, keep = end;

    if (open && end + 3 < l->len && open[2] == '-' && is_space((unsigned char)open[3]))
        while (keep > l->start && is_space((unsigned char)l->text[keep - 1]))
            keep--;
    l->pos = keep;
    if (l->pos > l->start) {
        *ret = emit(l, T_TEXT);
        l->pos = end;
        ignore(l);
        return true;
    }
    l->pos = end;
    ignore(l);
    if (!open) {
        *ret = emit(l, T_EOF);
        return true;
    }
    return false;
}

static struct token lex_outside(struct lexer *l)
{
    struct token t;

    for (;;) {
        size_t marker;

        if (lex_text(l, &t))
            return t;
        marker = at(l, 2) == '-' && is_space(at(l, 3)) ? 2 : 0;
        if (looking_at(l, 2 + marker, "/*")) {
            l->pos += 2 + marker;
            ignore(l);
            if (!skip_comment(l, &t))
                return t;
            continue;
        }
        l->pos += 2;
        t = emit(l, T_LEFT);
        l->inside = true;
        l->parens = 0;
        l->pos += marker;
        ignore(l);
        return t;
    }
}

static struct token lex_right(struct lexer *l, int right)
{
    struct token t;

    if (right == 2) {
        l->pos += 2;
        ignore(l);
    }
    l->pos += 2;
    t = emit(l, T_RIGHT);
    if (right == 2)
        skip_spaces(l);
    l->inside = false;
    return t;
}

/* May a name end here? */
static bool at_terminator(const struct lexer *l)
{
    int c = at(l, 0);

    return c <= 0 || is_space(c) || strchr(".,|:)(", c) || looking_at(l, 0, "}}");
}

static struct token lex_quoted(struct lexer *l, int quote, enum token_type type)
{
    for (;;) {
        int c = at(l, 0);

        if (c >= 0)
            l->pos++;
        if (quote == '`' && c == '`')
            return emit(l, type);
        if (quote == '`' && c < 0)
            return fail(l, "unterminated raw quoted string");
        if (quote == '`')
            continue;
        if (c == '\\' && at(l, 0) >= 0 && at(l, 0) != '\n')
            l->pos++;
        else if (c < 0 || c == '\n' || c == '\\')
            return fail(l, quote == '"' ? "unterminated quoted string"
                                        : "unterminated character constant");
        else if (c == quote)
            return emit(l, type);
    }
}

static void accept_run(struct lexer *l, const char *set)
{
    while (at(l, 0) > 0 && strchr(set, at(l, 0)))
        l->pos++;
}

static bool accept(struct lexer *l, const char *set)
{
    bool is = at(l, 0) > 0 && strchr(set, at(l, 0));

    l->pos += is;
    return is;
}

/* A number is scanned loosely; number_parse() is strict. */
static struct token lex_number(struct lexer *l)
{
    const char *digits = "0123456789_", *exponent = "eE";
    char text[64];

    (void)accept(l, "+-");
    if (accept(l, "0")) {
        if (accept(l, "xX")) {
            digits = "0123456789abcdefABCDEF_";
            exponent = "pP";
        } else if (accept(l, "oObB")) {
            exponent = "";
        }
    }
    accept_run(l, digits);
    if (accept(l, "."))
        accept_run(l, digits);
    if (accept(l, exponent)) {
        (void)accept(l, "+-");
        accept_run(l, "0123456789_");
    }
    if (!is_word(at(l, 0)))
        return emit(l, T_NUMBER);
    l->pos++;
    (void)snprintf(text, sizeof(text), "bad number syntax: \"%.*s\"",
                   (int)(l->pos - l->start > 32 ? 32 : l->pos - l->start), l->text + l->start);
    return fail(l, text);
}

static struct token lex_word(struct lexer *l, enum token_type type)
{
    static const struct {
        const char *word;
        enum token_type type;
    } keywords[] = {
        { "block", T_BLOCK },   { "break", T_BREAK }, { "continue", T_CONTINUE },
        { "define", T_DEFINE }, { "else", T_ELSE },   { "end", T_END },
        { "false", T_BOOL },    { "if", T_IF },       { "nil", T_NIL },
        { "range", T_RANGE },   { "true", T_BOOL },   { "template", T_TEMPLATE },
        { "with", T_WITH },
    };
    size_t len;

    while (is_word(at(l, 0)))
        l->pos++;
    if (!at_terminator(l))
        return fail_char(l, "bad character");
    len = l->pos - l->start;
    for (size_t i = 0; type == T_IDENT && i < ARRAY_LEN(keywords); i++)
        if (strlen(keywords[i].word) == len && !memcmp(keywords[i].word, l->text + l->start, len))
            return emit(l, keywords[i].type);
    return emit(l, type);
}

/* One of the characters that are a token by themselves. */
static struct token lex_sign(struct lexer *l, int c)
{
    switch (c) {
    case '=':
        return emit(l, T_ASSIGN);
    case ':':
        if (at(l, 0) != '=')
            return fail(l, "expected :=");
        l->pos++;
        return emit(l, T_DECLARE);
    case '|':
        return emit(l, T_PIPE);
    case '(':
        l->parens++;
        return emit(l, T_LPAREN);
    case ')':
        if (--l->parens < 0)
            return fail(l, "unexpected right paren");
        return emit(l, T_RPAREN);
    default:
        if (c > ' ' && c < 0x7f)
            return emit(l, T_CHAR);
        l->pos--;
        return fail_char(l, "unrecognized character in action:");
    }
}

static struct token lex_inside(struct lexer *l)
{
    int c = at(l, 0), next = at(l, 1), right = at_right(l);

    if (right && l->parens)
        return fail(l, "unclosed left paren");
    if (right)
        return lex_right(l, right);
    if (c < 0)
        return fail(l, "unclosed action");
    if (is_space(c)) {
        while (is_space(at(l, 0)) && at_right(l) != 2)
            l->pos++;
        return emit(l, T_SPACE);
    }
    if (c == '.' && (next < '0' || next > '9')) {
        l->pos++;
        return at_terminator(l) ? emit(l, T_DOT) : lex_word(l, T_FIELD);
    }
    if (c == '.' || c == '+' || c == '-' || (c >= '0' && c <= '9'))
        return lex_number(l);
    if (is_word(c))
        return lex_word(l, T_IDENT);
    l->pos++;
    if (c == '"')
        return lex_quoted(l, c, T_STRING);
    if (c == '`')
        return lex_quoted(l, c, T_RAWSTRING);
    if (c == '\'')
        return lex_quoted(l, c, T_CHARCONST);
    if (c == '$')
        return at_terminator(l) ? emit(l, T_VARIABLE) : lex_word(l, T_VARIABLE);
    return lex_sign(l, c);
}

struct token lex_next(struct lexer *l)
{
    return l->inside ? lex_inside(l) : lex_outside(l);
}
