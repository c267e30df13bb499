#include "show/tmpl.h"

#include <errno.h>
#include <string.h>
#include <wchar.h>

static void print_items(const struct node *list, const char *between, struct str *out)
{
    for (const struct node *n = list; n; n = n->next) {
        bool pipe = n->type == N_PIPE;

        if (pipe)
            str_addc(out, '(');
        node_print(n, out);
        if (pipe)
            str_addc(out, ')');
        if (n->next)
            str_adds(out, between);
    }
}

static void print_words(const struct node *n, bool dots, struct str *out)
{
    for (const struct word *w = n->words; w; w = w->next) {
        if (dots || w != n->words)
            str_addc(out, '.');
        str_adds(out, w->text);
    }
}

static void print_pipe(const struct node *n, struct str *out)
{
    if (n->decl) {
        print_items(n->decl, ", ", out);
        str_adds(out, n->assign ? " = " : " := ");
    }
    print_items(n->items, " | ", out);
}

void node_print(const struct node *n, struct str *out)
{
    switch (n->type) {
    case N_BOOL:
        str_adds(out, n->yes ? "true" : "false");
        break;
    case N_DOT:
        str_addc(out, '.');
        break;
    case N_NIL:
        str_adds(out, "nil");
        break;
    case N_NUMBER:
    case N_STRING:
        str_adds(out, n->src);
        break;
    case N_FIELD:
    case N_VARIABLE:
        print_words(n, n->type == N_FIELD, out);
        break;
    case N_CHAIN:
        print_items(n->items, "", out);
        print_words(n, true, out);
        break;
    case N_IDENT:
        str_adds(out, n->text);
        break;
    case N_PIPE:
        print_pipe(n, out);
        break;
    case N_COMMAND:
        print_items(n->items, " ", out);
        break;
    case N_TEMPLATE:
        str_adds(out, "{{template ");
        print_quoted(out, n->text, n->len, false);
        if (n->pipe) {
            str_addc(out, ' ');
            print_pipe(n->pipe, out);
        }
        str_adds(out, "}}");
        break;
    case N_ACTION:
    case N_IF:
    case N_WITH:
    case N_RANGE: /* errors name the pipe of these */
        str_adds(out, n->type == N_IF      ? "{{if "
                      : n->type == N_WITH  ? "{{with "
                      : n->type == N_RANGE ? "{{range "
                                           : "{{");
        print_pipe(n->pipe, out);
        str_adds(out, "}}");
        break;
    case N_TEXT:
    case N_LIST:
    case N_BREAK:
    case N_CONTINUE:
    case N_END:
    case N_ELSE:
        break;
    }
}

static int digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

/* Digits without sign and prefix; the value must fit 64 bits. */
static bool parse_digits(const char *p, size_t len, int base, uint64_t *ret)
{
    uint64_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (digit(p[i]) >= base || __builtin_mul_overflow(n, (uint64_t)base, &n) ||
            __builtin_add_overflow(n, (uint64_t)digit(p[i]), &n))
            return false;
    }
    *ret = n;
    return len > 0;
}

/* Returns 1: an int; 0: digits above its range; -1: not an integer. */
static int parse_int(const char *p, size_t len, int64_t *ret)
{
    bool minus = len && *p == '-';
    uint64_t n;
    int base = 10;

    if (len && (*p == '-' || *p == '+')) {
        p++;
        len--;
    }
    if (len > 1 && *p == '0') {
        char c = p[1] | 0x20;

        base = c == 'x' ? 16 : c == 'b' ? 2 : 8;
        p += base == 8 && c != 'o' ? 1 : 2;
        len -= base == 8 && c != 'o' ? 1 : 2;
    }
    if (!parse_digits(p, len, base, &n))
        return -1;
    *ret = minus ? (int64_t)(0 - n) : (int64_t)n;
    return n <= (uint64_t)INT64_MAX + minus;
}

/* 'a', '\n', '\u00e9': one character, which is an int. */
static bool parse_char(const char *p, size_t len, int64_t *ret)
{
    struct arena a = { .max = 256 };
    mbstate_t state = { 0 };
    wchar_t wide = 0;
    char quoted[32] = "\"";
    size_t n = 0, used;
    char *text;
    bool ok;

    if (len < 3 || len > 12 || p[len - 1] != '\'')
        return false;
    if (p[1] == '"') { /* needs no backslash here, but would in a string */
        *ret = '"';
        return len == 3;
    }
    memcpy(quoted + 1, p + 1, len - 2);
    if (quoted[1] == '\\' && quoted[2] == '\'')
        memcpy(quoted, "\"'", 2), len = 3;
    quoted[len - 1] = '"';
    text = string_unquote(&a, quoted, len, &n);
    used = text ? mbrtowc(&wide, text, n, &state) : 0;
    ok = n == 1 || (text && used == n);
    if (ok)
        *ret = n == 1 ? (unsigned char)*text : (int64_t)wide;
    arena_done(&a);
    return ok;
}

bool number_parse(const char *p, size_t len, struct node *ret)
{
    char plain[128], *end;
    size_t n = 0;
    int integer;
    bool hex;

    if (len && *p == '\'') {
        ret->is_int = parse_char(p, len, &ret->i);
        return ret->is_int;
    }
    if (!len || len >= sizeof(plain))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (p[i] != '_')
            plain[n++] = p[i];
        else if (!i || i + 1 == len || digit(p[i + 1]) > 15 || p[i - 1] == '_')
            return false;
    }
    plain[n] = '\0';
    integer = parse_int(plain, n, &ret->i);
    if (integer >= 0) {
        ret->is_int = integer;
        return true;
    }
    hex = strpbrk(plain, "xX") != NULL;
    if (!n || strspn(plain, "+-0123456789.eExXpPabcdefABCDEF") != n || !strpbrk(plain, ".eEpP") ||
        (hex && !strpbrk(plain, "pP")) || !strpbrk(plain, "0123456789"))
        return false;
    errno = 0;
    ret->f = strtod(plain, &end);
    ret->is_float = !*end && end != plain && errno != ERANGE;
    return ret->is_float;
}

static size_t put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xc0 | c >> 6);
        to[1] = (char)(0x80 | (c & 63));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xe0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 63));
        to[2] = (char)(0x80 | (c & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 63));
    to[2] = (char)(0x80 | (c >> 6 & 63));
    to[3] = (char)(0x80 | (c & 63));
    return 4;
}

/* The escape at p (behind the backslash). Returns how many bytes it takes, 0: bad syntax. */
static size_t unescape(const char *p, size_t len, char *to, size_t *ret_n)
{
    static const char names[] = "abfnrtv\\\"", values[] = "\a\b\f\n\r\t\v\\\"";
    const char *hit = len ? strchr(names, *p) : NULL;
    size_t digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 3;
    size_t skip = digits != 3;
    uint64_t n;

    *ret_n = 1;
    if (hit && *hit) {
        *to = values[hit - names];
        return 1;
    }
    if (len < skip + digits || !parse_digits(p + skip, digits, skip ? 16 : 8, &n))
        return 0;
    if (digits <= 3) {
        *to = (char)n;
        return n > 255 ? 0 : skip + digits;
    }
    if (n > 0x10ffff || (n >= 0xd800 && n < 0xe000))
        return 0;
    *ret_n = put_utf8(to, (uint32_t)n);
    return skip + digits;
}

char *string_unquote(struct arena *a, const char *p, size_t len, size_t *ret_len)
{
    char *out = arena_alloc(a, len + 1);
    size_t n = 0;

    if (!out || len < 2)
        return NULL;
    for (size_t i = 1; i + 1 < len; i++) {
        size_t added, used;

        if (*p == '`' && p[i] == '\r')
            continue;
        if (*p == '`' || p[i] != '\\') {
            out[n++] = p[i];
            continue;
        }
        used = unescape(p + i + 1, len - i - 2, out + n, &added);
        if (!used)
            return NULL;
        n += added;
        i += used;
    }
    out[n] = '\0';
    *ret_len = n;
    return out;
}

/* Fields of something else that have the same name count, too: the data may have moved there. */
static enum show_use use_in(const struct node *list, const char *field)
{
    enum show_use use = SHOW_UNUSED;

    for (const struct node *n = list; n && use < SHOW_NAMED; n = n->next) {
        const struct node *const below[] = { n->items, n->pipe, n->list, n->other };

        if (n->type == N_FIELD && n->words && !strcmp(n->words->text, field))
            return SHOW_NAMED;
        if (n->type == N_DOT || n->type == N_VARIABLE || n->type == N_TEMPLATE)
            use = SHOW_MAYBE;
        for (size_t i = 0; i < ARRAY_LEN(below); i++) {
            enum show_use u = below[i] ? use_in(below[i], field) : SHOW_UNUSED;

            use = u > use ? u : use;
        }
    }
    return use;
}

enum show_use show_template_use(const struct show_template *t, const char *field)
{
    return use_in(t->root, field);
}
