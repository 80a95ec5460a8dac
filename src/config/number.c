/*
 * Numbers with units. A bare number counts in the option's own unit, as in the files of old;
 * durations are kept in milliseconds and sizes in bytes, so that no reader of a field has to know
 * the unit.
 *
 * A fraction of the unit that is kept is rounded; what is more than nothing never becomes 0,
 * because 0 often means "never" or "no limit". Leading zeros mean octal in PostgreSQL's files and
 * decimal to most people: they are refused, but where octal is what everybody expects (MODE).
 *
 * Source: PostgreSQL's manual, "Setting Parameters", "Parameter Names and Values".
 */
#include "base/num.h"
#include "config/value.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 64 };

/* Whole numbers keep all their digits; what has a point or an exponent does not. */
struct number {
    bool whole;
    int64_t integer;
    double real;
    const char *unit; /* behind the number; "" when there is none */
};

/* How many of the kept unit (ms, bytes) a unit holds; us is the only one that is smaller. */
struct unit {
    const char *name;
    int64_t factor;
    enum option_unit id; /* NONE: a bare number never has it */
};

static const struct unit time_units[] = {
    {"d", 86400000, OPTION_UNIT_NONE}, {"h", 3600000, OPTION_UNIT_NONE},
    {"min", 60000, OPTION_UNIT_MIN},   {"s", 1000, OPTION_UNIT_S},
    {"ms", 1, OPTION_UNIT_MS},         {NULL, 0, OPTION_UNIT_NONE},
};

static const struct unit size_units[] = {
    {"TB", 1LL << 40, OPTION_UNIT_NONE},
    {"GB", 1LL << 30, OPTION_UNIT_NONE},
    {"MB", 1LL << 20, OPTION_UNIT_NONE},
    {"kB", 1LL << 10, OPTION_UNIT_KB},
    {"B", 1, OPTION_UNIT_B},
    {NULL, 0, OPTION_UNIT_NONE},
};

static const struct unit *
units_of(const struct option *option)
{
    return option->type == OPTION_TYPE_TIME ? time_units : size_units;
}

static const struct unit *
base_unit(const struct option *option)
{
    const struct unit *unit = units_of(option);

    while (unit->id != option->unit)
        unit++;
    return unit;
}

void
value_print_units(const struct option *option, struct buf *out)
{
    if (option->type == OPTION_TYPE_TIME)
        buf_add_str(out, "us, ms, s, min, h, d");
    else if (option->type == OPTION_TYPE_SIZE)
        buf_add_str(out, "B, kB, MB, GB, TB");
}

static int64_t
times(int64_t count, int64_t factor)
{
    int64_t product;

    if (__builtin_mul_overflow(count, factor, &product))
        return count < 0 ? INT64_MIN : INT64_MAX;
    return product;
}

/* The bounds in the unit that is kept. A least of -1 is a word of its own, not a duration. */
static int64_t
least_of(const struct option *option)
{
    return option->least < 0 ? option->least : times(option->least, base_unit(option)->factor);
}

static int64_t
most_of(const struct option *option)
{
    return times(option->most, base_unit(option)->factor);
}

void
number_print_range(const struct option *option, struct buf *out)
{
    const char *unit = "";

    if (option->type == OPTION_TYPE_MODE) {
        buf_add_str(out, "0000 .. 0777");
        return;
    }
    if (option->type == OPTION_TYPE_TIME || option->type == OPTION_TYPE_SIZE)
        unit = base_unit(option)->name;
    if (option->most >= INT32_MAX)
        buf_printf(out, "%" PRId64 "%s or more", option->least, unit);
    else
        buf_printf(out, "%" PRId64 "%s .. %" PRId64 "%s", option->least, unit, option->most, unit);
}

static int
outside(const struct option *option, bool above, struct err *err)
{
    struct buf range = BUF_EMPTY;

    number_print_range(option, &range);
    err_set(err, "22023", "is outside the valid range (%s)", buf_cstr(&range));
    if (above && option->most >= INT32_MAX)
        err_hint(err, "the largest value is %" PRId64, option->most);
    buf_free(&range);
    return -1;
}

static size_t
digits(const char *p)
{
    return strspn(p, "0123456789");
}

/* The length of the number at the start of text, 0 when there is none. */
static size_t
span(const char *text, bool *whole_r)
{
    const char *p = text;
    size_t count;

    *whole_r = true;
    p += *p == '+' || *p == '-';
    count = digits(p);
    p += count;
    if (*p == '.') {
        size_t fraction = digits(p + 1);

        *whole_r = false;
        count += fraction;
        p += 1 + fraction;
    }
    if (count == 0)
        return 0;
    if (*p == 'e' || *p == 'E') {
        const char *exponent = p + 1 + (p[1] == '+' || p[1] == '-');

        if (digits(exponent) > 0) {
            *whole_r = false;
            p = exponent + digits(exponent);
        }
    }
    return (size_t)(p - text);
}

static bool
has_leading_zero(const char *text)
{
    text += *text == '+' || *text == '-';
    return text[0] == '0' && isdigit((unsigned char)text[1]);
}

/* Sets err when there is no number, or none that can be told apart. */
static int
split(const char *text, struct number *number_r, struct err *err)
{
    char number[NUMBER_MAX];
    size_t len;

    text += strspn(text, " \t");
    len = span(text, &number_r->whole);
    if (len == 0 || len >= sizeof(number))
        return err_set(err, "22023", "is not a number");
    if (has_leading_zero(text)) {
        err_set(err, "22023", "is not clear: octal or decimal");
        err_hint(err, "leave out the leading zeros");
        return -1;
    }
    memcpy(number, text, len);
    number[len] = '\0';
    if (number_r->whole && !num_parse_i64(number, &number_r->integer))
        number_r->whole = false; /* too many digits: only good for "outside the range" */
    if (!num_parse_double(number, &number_r->real))
        return err_set(err, "22023", "is not a number");
    number_r->unit = text + len + strspn(text + len, " \t");
    return 0;
}

static bool
unit_is(const char *written, const char *unit)
{
    size_t len = strlen(unit);

    return strncmp(written, unit, len) == 0 && written[len + strspn(written + len, " \t")] == '\0';
}

static int
bad_unit(const struct option *option, struct err *err)
{
    struct buf units = BUF_EMPTY;

    value_print_units(option, &units);
    if (units.len == 0) {
        err_set(err, "22023", "is not a number");
        err_hint(err, "it takes no unit");
    } else {
        err_set(err, "22023", "has an unknown unit");
        err_hint(err, "the units are %s", buf_cstr(&units));
    }
    buf_free(&units);
    return -1;
}

/* Scales to the kept unit; what does not fit becomes a bound of int64_t. */
static int64_t
scale(const struct number *number, double factor)
{
    double scaled = number->real * factor;

    if (number->whole && factor >= 1)
        return times(number->integer, (int64_t)factor);
    if (scaled >= 9e18)
        return INT64_MAX;
    if (scaled <= -9e18)
        return INT64_MIN;
    if (scaled > 0 && scaled < 1)
        return 1;
    if (scaled < 0 && scaled > -1)
        return -1;
    return (int64_t)(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

static int
parse_with_unit(const struct option *option, const char *text, int64_t *value_r, struct err *err)
{
    struct number number;
    const struct unit *unit = base_unit(option);
    int64_t value;

    if (split(text, &number, err) != 0)
        return -1;
    if (number.unit[0] == '\0') {
        value = scale(&number, (double)unit->factor);
        if (number.whole && number.integer == -1 && option->least == -1)
            value = -1;
        else if (value < 0)
            value = INT64_MIN;
    } else if (option->type == OPTION_TYPE_TIME && unit_is(number.unit, "us")) {
        value = scale(&number, 0.001);
    } else {
        for (unit = units_of(option); unit->name != NULL; unit++) {
            if (unit_is(number.unit, unit->name))
                break;
        }
        if (unit->name == NULL)
            return bad_unit(option, err);
        value = scale(&number, (double)unit->factor);
    }
    if (value < least_of(option) || value > most_of(option) ||
        (value < 0 && number.unit[0] != '\0'))
        return outside(option, value > 0, err);
    *value_r = value;
    return 0;
}

static int
parse_int(const struct option *option, const char *text, int *value_r, struct err *err)
{
    struct number number;

    if (split(text, &number, err) != 0)
        return -1;
    if (number.unit[0] != '\0')
        return bad_unit(option, err);
    if (number.real < (double)option->least || number.real > (double)option->most)
        return outside(option, number.real > 0, err);
    if (number.real != (double)(int)number.real)
        return err_set(err, "22023", "is not a whole number");
    *value_r = (int)number.real;
    return 0;
}

static int
parse_double(const struct option *option, const char *text, double *value_r, struct err *err)
{
    struct number number;

    if (split(text, &number, err) != 0)
        return -1;
    if (number.unit[0] != '\0')
        return bad_unit(option, err);
    if (number.real < (double)option->least || number.real > (double)option->most)
        return outside(option, number.real > 0, err);
    *value_r = number.real == 0 ? 0 : number.real; /* no negative zero */
    return 0;
}

static int
parse_mode(const char *text, int *value_r, struct err *err)
{
    size_t len;

    text += strspn(text, " \t");
    len = strspn(text, "01234567");
    if (len == 0 || text[0] != '0' || text[len + strspn(text + len, " \t")] != '\0') {
        err_set(err, "22023", "is not an octal number");
        err_hint(err, "permissions are written in octal with a leading 0, as 0600");
        return -1;
    }
    text += strspn(text, "0");
    len = strspn(text, "01234567");
    if (len > 3)
        return err_set(err, "22023", "is outside the valid range (0000 .. 0777)");
    *value_r = (int)strtol(text, NULL, 8);
    return 0;
}

int
number_parse(const struct option *option, const char *text, void *field, struct err *err)
{
    switch (option->type) {
    case OPTION_TYPE_INT:
        return parse_int(option, text, field, err);
    case OPTION_TYPE_DOUBLE:
        return parse_double(option, text, field, err);
    case OPTION_TYPE_MODE:
        return parse_mode(text, field, err);
    default:
        return parse_with_unit(option, text, field, err);
    }
}

/* In the largest unit that holds it in whole numbers. */
static void
print_with_unit(const struct unit *unit, int64_t value, struct buf *out)
{
    if (value <= 0) {
        buf_printf(out, "%" PRId64, value);
        return;
    }
    while (value % unit->factor != 0)
        unit++;
    buf_printf(out, "%" PRId64 "%s", value / unit->factor, unit->name);
}

/* The fewest digits that read back to the same number. */
static void
print_double(double value, struct buf *out)
{
    char text[NUMBER_MAX];

    for (int precision = 6; precision <= 17; precision++) {
        snprintf(text, sizeof(text), "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_add_str(out, text);
}

void
number_print(const struct option *option, const void *field, struct buf *out)
{
    switch (option->type) {
    case OPTION_TYPE_INT:
        buf_printf(out, "%d", *(const int *)field);
        break;
    case OPTION_TYPE_DOUBLE:
        print_double(*(const double *)field, out);
        break;
    case OPTION_TYPE_MODE:
        buf_printf(out, "%04o", (unsigned)*(const int *)field);
        break;
    default:
        print_with_unit(units_of(option), *(const int64_t *)field, out);
        break;
    }
}
