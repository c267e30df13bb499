#include "show/tmpl.h"

#include <math.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* ---- floats ---- */

/* Shortest digits that read back: at most 17. */
static int shortest(double f, char *to, size_t len)
{
    int precision = 0;

    for (; precision < 17; precision++) {
        (void)snprintf(to, len, "%.*e", precision, f);
        if (strtod(to, NULL) == f)
            break;
    }
    return precision;
}

static void add_general(struct str *out, double f, int precision)
{
    char text[64];
    int digits = precision < 0 ? shortest(f, text, sizeof(text)) + 1 : precision ? precision : 1;
    int limit = precision < 0 ? 6 : digits, exponent;

    (void)snprintf(text, sizeof(text), "%.*e", digits - 1 > 40 ? 40 : digits - 1, f);
    exponent = f == 0 ? 0 : (int)strtod(strchr(text, 'e') + 1, NULL);
    if (precision >= 0 && digits > 17)
        str_addf(out, "%.*g", digits > 300 ? 300 : digits, f);
    else if (exponent >= -4 && exponent < limit)
        str_addf(out, "%.*f",
                 digits - 1 - exponent > 0 && precision < 0 ? digits - 1 - exponent : 0, f);
    else
        str_addf(out, "%.*e", precision < 0 ? digits - 1 : 0, f);
}

void print_float(struct str *out, double f, char verb, int precision)
{
    char text[64];
    int digits;

    if (isnan(f) || isinf(f)) {
        str_adds(out, isnan(f) ? "NaN" : f > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (precision > 300)
        precision = 300;
    if (precision >= 0 && (verb == 'g' || verb == 'G')) {
        str_addf(out, verb == 'g' ? "%.*g" : "%.*G", precision, f);
        return;
    }
    if (verb == 'g' || verb == 'G') {
        add_general(out, f, precision);
        return;
    }
    digits = shortest(f, text, sizeof(text));
    if (verb == 'e' || verb == 'E') {
        str_addf(out, verb == 'e' ? "%.*e" : "%.*E", precision < 0 ? digits : precision, f);
        return;
    }
    if (precision < 0) {
        int exponent = f == 0 ? 0 : (int)strtod(strchr(text, 'e') + 1, NULL);

        precision = digits - exponent > 0 ? digits - exponent : 0;
    }
    str_addf(out, "%.*f", precision, f);
}

/* ---- quoting ---- */

/* Go's IsPrint, nearly: no spaces but ' ', nothing that only changes how others look. */
static bool is_visible(uint32_t c)
{
    return iswprint((wint_t)c) && !iswspace((wint_t)c) && c != 0xad && c != 0xa0 &&
           (c < 0x200b || c > 0x200f) && (c < 0x202a || c > 0x202e) &&
           (c < 0x2060 || c > 0x206f) && c != 0xfeff;
}

static void quote_char(struct str *out, uint32_t c, bool ascii, char quote)
{
    static const char names[] = "\a\b\f\n\r\t\v\\", letters[] = "abfnrtv\\";
    const char *hit = c && c < 0x80 ? strchr(names, (int)c) : NULL;

    if (hit)
        str_addf(out, "\\%c", letters[hit - names]);
    else if (c == (unsigned char)quote)
        str_addf(out, "\\%c", quote);
    else if (c >= ' ' && c < 0x7f)
        str_addc(out, (char)c);
    else if (c < 0x80)
        str_addf(out, "\\x%02x", c);
    else if (!ascii && is_visible(c))
        str_addf(out, "%lc", (wint_t)c);
    else
        str_addf(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
}

void print_quoted(struct str *out, const char *s, size_t len, bool ascii)
{
    mbstate_t state = { 0 };

    str_addc(out, '"');
    while (len) {
        wchar_t c = 0;
        size_t used = (unsigned char)*s < 0x80 ? 1 : mbrtowc(&c, s, len, &state);

        if (used == 1)
            c = (unsigned char)*s;
        if (used > len) {
            str_addf(out, "\\x%02x", (unsigned char)*s);
            state = (mbstate_t){ 0 };
            used = 1;
        } else {
            quote_char(out, (uint32_t)c, ascii, '"');
        }
        s += used;
        len -= used;
    }
    str_addc(out, '"');
}

/* ---- one value with one verb ---- */

struct spec {
    char verb;
    bool minus, plus, sharp, space, zero;
    int width, precision; /* -1: not given */
    int depth;
};

static void print_verb(struct printer *p, const struct value *v, const struct spec *f);

/* Characters, not bytes. */
static size_t runes(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

static void pad(struct printer *p, const struct spec *f, const char *s, size_t len)
{
    size_t width = f->width > 0 ? (size_t)f->width : 0, n = runes(s, len);
    size_t fill = width > n ? width - n : 0;

    if (f->minus)
        str_add(p->out, s, len);
    for (size_t i = 0; i < fill; i++)
        str_addc(p->out, f->zero && !f->minus ? '0' : ' ');
    if (!f->minus)
        str_add(p->out, s, len);
}

/* Zeros go between the sign and the digits. */
static void pad_number(struct printer *p, const struct spec *f, const char *s, size_t len)
{
    struct spec inner = *f;

    if (f->zero && !f->minus && len && strchr("+- ", *s)) {
        str_addc(p->out, *s);
        inner.width--;
        s++;
        len--;
    }
    pad(p, &inner, s, len);
}

static void bad_verb(struct printer *p, const struct value *v, const struct spec *f)
{
    struct spec plain = *f;

    plain.verb = 'v';
    plain.depth++;
    str_addf(p->out, "%%!%c(", f->verb);
    if (v->kind == V_NIL || v->kind == V_NONE) {
        str_adds(p->out, "<nil>");
    } else {
        str_addf(p->out, "%s=", value_type_name(v));
        print_verb(p, v, &plain);
    }
    str_addc(p->out, ')');
}

static void digits_of(uint64_t n, unsigned base, bool upper, struct str *out)
{
    const char *names = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[65];
    size_t at = sizeof(text);

    do {
        text[--at] = names[n % base];
        n /= base;
    } while (n);
    str_add(out, text + at, sizeof(text) - at);
}

static void print_based(struct printer *p, const struct value *v, const struct spec *f)
{
    unsigned base = f->verb == 'b'                     ? 2
                    : f->verb == 'o' || f->verb == 'O' ? 8
                    : f->verb == 'x' || f->verb == 'X' ? 16
                                                       : 10;
    uint64_t n = v->i < 0 ? 0 - (uint64_t)v->i : (uint64_t)v->i;
    struct spec inner = *f;
    autostr digits = STR_INIT(128), text = STR_INIT(TMPL_WIDTH_MAX * 2);

    digits_of(n, base, f->verb == 'X', &digits);
    if (v->i < 0 || f->plus || f->space)
        str_addc(&text, v->i < 0 ? '-' : f->plus ? '+' : ' ');
    if (f->verb == 'O' || (f->sharp && base == 8))
        str_adds(&text, f->verb == 'O' ? "0o" : "0");
    if (f->sharp && base == 16)
        str_adds(&text, f->verb == 'X' ? "0X" : "0x");
    if (f->sharp && base == 2)
        str_adds(&text, "0b");
    for (int i = (int)digits.len; i < f->precision; i++)
        str_addc(&text, '0');
    if (f->precision != 0 || n)
        str_adds(&text, str_c(&digits));
    inner.zero = f->zero && f->precision < 0;
    pad_number(p, &inner, str_c(&text), text.len);
}

static void print_char(struct printer *p, const struct value *v, const struct spec *f)
{
    autostr text = STR_INIT(64);
    uint32_t c = v->i < 0 || v->i > 0x10ffff ? 0xfffd : (uint32_t)v->i;

    if (f->verb == 'c')
        str_addf(&text, "%lc", (wint_t)c);
    else if (f->verb == 'U')
        str_addf(&text, "U+%04llX", (unsigned long long)v->i);
    if (f->verb == 'U' && f->sharp)
        str_addf(&text, " '%lc'", (wint_t)c);
    if (f->verb == 'q') {
        str_addc(&text, '\'');
        quote_char(&text, c, f->plus, '\'');
        str_addc(&text, '\'');
    }
    pad(p, f, str_c(&text), text.len);
}

static void print_int(struct printer *p, const struct value *v, const struct spec *f)
{
    struct spec decimal = *f;

    if (f->verb == 'v') {
        decimal.verb = 'd';
        decimal.sharp = decimal.plus = false;
        print_based(p, v, &decimal);
    } else if (strchr("dboOxX", f->verb)) {
        print_based(p, v, f);
    } else if (strchr("cUq", f->verb)) {
        print_char(p, v, f);
    } else {
        bad_verb(p, v, f);
    }
}

static void print_real(struct printer *p, const struct value *v, const struct spec *f)
{
    int precision = f->precision;
    autostr text = STR_INIT(1024);

    if (!strchr("veEfFgG", f->verb)) {
        bad_verb(p, v, f);
        return;
    }
    if (precision < 0 && strchr("eEfF", f->verb))
        precision = 6;
    if (!signbit(v->f) && (f->plus || f->space) && f->verb != 'v')
        str_addc(&text, f->plus ? '+' : ' ');
    print_float(&text, v->f, f->verb == 'v' ? 'g' : f->verb == 'F' ? 'f' : f->verb, precision);
    pad_number(p, f, str_c(&text), text.len);
}

static void print_hex(struct printer *p, const struct spec *f, const char *s, size_t len)
{
    autostr text = STR_INIT(STR_MAX_DEFAULT);

    for (size_t i = 0; i < len; i++) {
        if (f->space && i)
            str_addc(&text, ' ');
        if (f->sharp && (f->space || !i))
            str_adds(&text, f->verb == 'x' ? "0x" : "0X");
        str_addf(&text, f->verb == 'x' ? "%02x" : "%02X", (unsigned char)s[i]);
    }
    pad(p, f, str_c(&text), text.len);
}

static void print_text(struct printer *p, const struct value *v, const struct spec *f)
{
    size_t len = v->len, n = 0;
    autostr text = STR_INIT(STR_MAX_DEFAULT);

    if (!strchr("vsqxX", f->verb)) {
        bad_verb(p, v, f);
        return;
    }
    if (f->precision >= 0) {
        if (f->verb == 'x' || f->verb == 'X')
            len = len > (size_t)f->precision ? (size_t)f->precision : len;
        else
            for (size_t i = 0; i < len; i++)
                if (((unsigned char)v->s[i] & 0xc0) != 0x80 && ++n > (size_t)f->precision)
                    len = i;
    }
    if (f->verb == 'x' || f->verb == 'X') {
        print_hex(p, f, v->s, len);
    } else if (f->verb == 'q' || (f->verb == 'v' && f->sharp)) {
        if (f->sharp && f->verb == 'q' && !memchr(v->s, '`', len))
            str_addf(&text, "`%.*s`", (int)len, v->s);
        else
            print_quoted(&text, v->s, len, f->plus);
        pad(p, f, str_c(&text), text.len);
    } else {
        pad(p, f, v->s, len);
    }
}

static void print_list(struct printer *p, const struct value *v, const struct spec *f)
{
    struct spec inner = *f;
    bool go = f->verb == 'v' && f->sharp;

    inner.depth++;
    if (go)
        str_addf(p->out, "%s{", value_type_name(v));
    else
        str_addc(p->out, '[');
    for (size_t i = 0; i < value_len(v); i++) {
        struct value item = value_at(v, i);

        if (i)
            str_adds(p->out, go ? ", " : " ");
        print_verb(p, &item, &inner);
    }
    str_addc(p->out, go ? '}' : ']');
}

static void print_map(struct printer *p, const struct value *v, const struct spec *f)
{
    const char **keys = value_keys(p->arena, v);
    bool is_struct = value_is_struct(v), go = f->verb == 'v' && f->sharp;
    bool names = !is_struct || f->plus || go;
    struct spec inner = *f;

    inner.depth++;
    if (go)
        str_addf(p->out, "%s{", value_type_name(v));
    else
        str_adds(p->out, !is_struct                              ? "map["
                         : f->depth && v->type->form == SHOW_PTR ? "&{"
                                                                 : "{");
    for (const char **k = keys; k && *k; k++) {
        struct value item = value_get(v, *k), key = value_string(*k, strlen(*k));

        if (k != keys)
            str_adds(p->out, go ? ", " : " ");
        if (names && is_struct)
            str_adds(p->out, *k);
        else if (names)
            print_verb(p, &key, &inner);
        if (names)
            str_addc(p->out, ':');
        print_verb(p, &item, &inner);
    }
    str_addc(p->out, is_struct || go ? '}' : ']');
    if (!keys)
        p->out->failed = true;
}

static void print_nil(struct printer *p, const struct value *v, const struct spec *f)
{
    enum show_form form = v->type ? v->type->form : SHOW_ANY;

    if (f->verb != 'v' && form == SHOW_ANY && !f->depth) {
        bad_verb(p, v, f);
    } else if (form == SHOW_SLICE) {
        str_adds(p->out, "[]");
    } else if (form == SHOW_MAP) {
        str_adds(p->out, "map[]");
    } else if (f->depth) {
        str_adds(p->out, "<nil>"); /* not padded inside a list or map */
    } else {
        pad(p, f, "<nil>", 5);
    }
}

static void print_bool(struct printer *p, const struct value *v, const struct spec *f)
{
    if (f->verb == 'v' || f->verb == 't')
        pad(p, f, v->yes ? "true" : "false", v->yes ? 4 : 5);
    else
        bad_verb(p, v, f);
}

static void print_verb(struct printer *p, const struct value *v, const struct spec *f)
{
    autostr text = STR_INIT(4096);

    if (f->depth > TMPL_DEPTH_MAX) {
        p->out->failed = true;
        return;
    }
    if (v->type && v->type->string && v->json && strchr("vsq", f->verb) && !f->sharp) {
        struct value s;

        v->type->string(v->json, &text);
        s = value_string(str_c(&text), text.len);
        print_text(p, &s, f);
        return;
    }
    switch (v->kind) {
    case V_NONE:
    case V_NIL:
        print_nil(p, v, f);
        break;
    case V_BOOL:
        print_bool(p, v, f);
        break;
    case V_INT:
        print_int(p, v, f);
        break;
    case V_FLOAT:
        print_real(p, v, f);
        break;
    case V_STRING:
        print_text(p, v, f);
        break;
    case V_LIST:
        print_list(p, v, f);
        break;
    case V_MAP:
        print_map(p, v, f);
        break;
    }
}

void print_value(struct printer *p, const struct value *v)
{
    print_verb(p, v, &(struct spec){ .verb = 'v', .width = -1, .precision = -1 });
}

void print_all(struct printer *p, const struct value *args, size_t n, bool line)
{
    for (size_t i = 0; i < n; i++) {
        if (i && (line || (args[i].kind != V_STRING && args[i - 1].kind != V_STRING)))
            str_addc(p->out, ' ');
        print_value(p, &args[i]);
    }
    if (line)
        str_addc(p->out, '\n');
}

/* ---- printf ---- */

struct format {
    struct printer *p;
    const char *at, *end;
    const struct value *args;
    size_t n, next;
    bool reordered, good_index;
};

/* Decimal at the position; false: there is none, or it is above the limit of widths. */
static bool read_number(struct format *f, int *ret)
{
    int n = 0;
    bool any = false;

    for (; f->at < f->end && *f->at >= '0' && *f->at <= '9'; f->at++) {
        if (n > TMPL_WIDTH_MAX) {
            f->at = f->end;
            return false;
        }
        n = n * 10 + (*f->at - '0');
        any = true;
    }
    *ret = n;
    return any;
}

/* "[2]": the argument to use next. */
static void read_index(struct format *f)
{
    const char *close;
    int n;

    if (f->at == f->end || *f->at != '[')
        return;
    f->reordered = true;
    close = memchr(f->at, ']', (size_t)(f->end - f->at));
    f->at++;
    if (!close) {
        f->good_index = false;
        return;
    }
    if (!read_number(f, &n) || f->at != close || n < 1 || (size_t)n > f->n)
        f->good_index = false;
    else
        f->next = (size_t)n - 1;
    f->at = close + 1;
}

/* "*": the number is an argument. */
static void read_star(struct format *f, const char *bad, bool width, struct spec *s)
{
    const struct value *v = f->next < f->n ? &f->args[f->next] : NULL;
    int *to = width ? &s->width : &s->precision;

    f->at++;
    if (v)
        f->next++;
    if (!v || v->kind != V_INT || v->i > TMPL_WIDTH_MAX || v->i < -TMPL_WIDTH_MAX) {
        str_adds(f->p->out, bad);
        return;
    }
    *to = (int)v->i;
    if (width && *to < 0) {
        s->minus = true;
        s->zero = false;
        *to = -*to;
    } else if (*to < 0) {
        str_adds(f->p->out, bad);
        *to = -1;
    }
}

static void read_flags(struct format *f, struct spec *s)
{
    for (; f->at < f->end; f->at++) {
        switch (*f->at) {
        case '-':
            s->minus = true;
            s->zero = false;
            break;
        case '+':
            s->plus = true;
            break;
        case '#':
            s->sharp = true;
            break;
        case ' ':
            s->space = true;
            break;
        case '0':
            s->zero = !s->minus;
            break;
        default:
            return;
        }
    }
}

static void read_spec(struct format *f, struct spec *s)
{
    read_flags(f, s);
    read_index(f);
    if (f->at < f->end && *f->at == '*')
        read_star(f, "%!(BADWIDTH)", true, s);
    else if (!read_number(f, &s->width))
        s->width = -1;
    if (f->at < f->end && *f->at == '.') {
        f->at++;
        read_index(f);
        if (f->at < f->end && *f->at == '*')
            read_star(f, "%!(BADPREC)", false, s);
        else if (!read_number(f, &s->precision))
            s->precision = 0;
    }
    read_index(f);
}

static void print_one(struct format *f, const struct spec *s)
{
    struct str *out = f->p->out;

    if (s->verb == '%') {
        str_addc(out, '%');
    } else if (!f->good_index) {
        str_addf(out, "%%!%c(BADINDEX)", s->verb);
    } else if (f->next >= f->n) {
        str_addf(out, "%%!%c(MISSING)", s->verb);
    } else {
        const struct value *v = &f->args[f->next++];

        if (s->verb == 'T') {
            const char *name =
                v->kind == V_NIL || v->kind == V_NONE ? "<nil>" : value_type_name(v);

            pad(f->p, s, name, strlen(name));
        } else {
            print_verb(f->p, v, s);
        }
    }
}

static void print_extra(struct format *f)
{
    struct str *out = f->p->out;

    str_adds(out, "%!(EXTRA ");
    for (size_t i = f->next; i < f->n; i++) {
        const struct value *v = &f->args[i];

        if (i > f->next)
            str_adds(out, ", ");
        if (v->kind == V_NIL || v->kind == V_NONE) {
            str_adds(out, "<nil>");
            continue;
        }
        str_addf(out, "%s=", value_type_name(v));
        print_value(f->p, v);
    }
    str_addc(out, ')');
}

void print_format(struct printer *p, const struct value *format, const struct value *args,
                  size_t n)
{
    struct format f = {
        .p = p, .at = format->s, .end = format->s + format->len, .args = args, .n = n
    };

    while (f.at < f.end) {
        struct spec s = { .width = -1, .precision = -1 };

        if (*f.at != '%') {
            str_addc(p->out, *f.at++);
            continue;
        }
        f.at++;
        f.good_index = true;
        read_spec(&f, &s);
        if (f.at == f.end) {
            str_adds(p->out, "%!(NOVERB)");
            break;
        }
        s.verb = *f.at++;
        print_one(&f, &s);
    }
    if (!f.reordered && f.next < n)
        print_extra(&f);
}
