// JSON that was received: checked once as a whole, and then walked over as text.

#include "library.h"

#include <stdio.h>
#include <stdlib.h>

#define DEEPEST 100

static const char *after_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

// --- Checking: each returns the place after what it takes, or NULL ---------------------------------------------------

static bool is_digit(const char *at, const char *end) { return at < end && *at >= '0' && *at <= '9'; }

static const char *digits(const char *at, const char *end) {
    if (!is_digit(at, end)) return NULL;
    while (is_digit(at, end)) at++;
    return at;
}

static const char *number(const char *at, const char *end) {
    if (*at == '-') at++;
    const char *first = at;
    if (!(at = digits(at, end)) || (*first == '0' && at > first + 1)) return NULL;
    if (at < end && *at == '.' && !(at = digits(at + 1, end))) return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        at = digits(at, end);
    }
    return at;
}

static bool unit(const char *at, const char *end, unsigned *found) {
    if (end - at < 4) return false;
    *found = 0;
    for (const char *last = at + 4; at < last; at++) {
        char each = *at | 0x20;
        bool is_letter = each >= 'a' && each <= 'f';
        if (!is_letter && !is_digit(at, end)) return false;
        *found = *found << 4 | (unsigned)(is_letter ? each - 'a' + 10 : *at - '0');
    }
    return true;
}

/// Read what follows `\u`: a character, in one unit or in two.
static const char *escaped(const char *at, const char *end, unsigned *character) {
    unsigned low;
    if (!unit(at, end, character)) return NULL;
    at += 4;
    if (*character < 0xd800 || *character > 0xdfff) return at;
    if (*character > 0xdbff || end - at < 2 || at[0] != '\\' || at[1] != 'u') return NULL;
    if (!unit(at + 2, end, &low) || low < 0xdc00 || low > 0xdfff) return NULL;
    *character = 0x10000 + ((*character - 0xd800) << 10) + (low - 0xdc00);
    return at + 6;
}

static const char *text(const char *at, const char *end) {
    unsigned character;
    for (at++; at && at < end && *at != '"';) {
        if ((unsigned char)*at < 0x20) return NULL;
        if (*at != '\\') {
            size_t length = airssys_character(at, end);
            at = length ? at + length : NULL;
        } else if (++at < end && *at == 'u') {
            at = escaped(at + 1, end, &character);
        } else {
            at = at < end && strchr("\"\\/bfnrt", *at) && *at ? at + 1 : NULL;
        }
    }
    return at && at < end ? at + 1 : NULL;
}

static const char *word(const char *at, const char *end, const char *wanted) {
    size_t length = strlen(wanted);
    return (size_t)(end - at) >= length && !memcmp(at, wanted, length) ? at + length : NULL;
}

static const char *checked(const char *at, const char *end, int depth) {
    at = after_space(at, end);
    if (at >= end || depth > DEEPEST) return NULL;
    switch (*at) {
    case '"':
        return text(at, end);
    case 't':
        return word(at, end, "true");
    case 'f':
        return word(at, end, "false");
    case 'n':
        return word(at, end, "null");
    case '{':
    case '[':
        break;
    default:
        return number(at, end);
    }
    bool object = *at == '{';
    char last = object ? '}' : ']';
    at = after_space(at + 1, end);
    if (at < end && *at == last) return at + 1;
    for (;;) {
        if (object) {
            at = after_space(at, end);
            if (at >= end || *at != '"' || !(at = text(at, end))) return NULL;
            at = after_space(at, end);
            if (at >= end || *at++ != ':') return NULL;
        }
        if (!(at = checked(at, end, depth + 1))) return NULL;
        at = after_space(at, end);
        if (at >= end || (*at != ',' && *at != last)) return NULL;
        if (*at++ == last) return at;
    }
}

bool airssys_parse(const char *given, size_t length, airssys_value *value) {
    const char *begin = after_space(given, given + length), *end = given + length;
    const char *after = checked(begin, end, 0);
    if (!after || after_space(after, end) != end) {
        return airssys_misunderstand("the text is no JSON, or too deep");
    }
    *value = (airssys_value){begin, after};
    return true;
}

bool airssys_from_payload(const void *bytes, size_t size, airssys_value *value) {
    if (size < AIRSSYS_PREFIX_SIZE || memcmp(bytes, AIRSSYS_PREFIX, AIRSSYS_PREFIX_SIZE)) {
        return airssys_misunderstand("a payload in JSON is expected");
    }
    return airssys_parse((const char *)bytes + AIRSSYS_PREFIX_SIZE, size - AIRSSYS_PREFIX_SIZE, value);
}

// --- Walking over what was checked -----------------------------------------------------------------------------------

static const char *after_text(const char *at) {
    for (at++; *at != '"'; at++) {
        if (*at == '\\') at++;
    }
    return at + 1;
}

static const char *after_value(const char *at, const char *end) {
    int depth = 0;
    do {
        if (*at == '"') {
            at = after_text(at);
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        at++;
    } while (at < end && (depth > 0 || !strchr(",]} \n\r\t", *at)));
    return at;
}

/// Where the next item or field of `of` begins after `item`, or NULL.
static const char *following(airssys_value of, const char *item_end) {
    const char *at = after_space(item_end ? item_end : of.at + 1, of.end);
    if (item_end && *at == ',') at = after_space(at + 1, of.end);
    return *at == ']' || *at == '}' ? NULL : at;
}

bool airssys_next(airssys_value list, airssys_value *item) {
    if (*list.at != '[') return false;
    const char *at = following(list, item->end);
    if (!at) return false;
    *item = (airssys_value){at, after_value(at, list.end)};
    return true;
}

static char *decoded(const char *at);

bool airssys_next_field(airssys_value object, const char **name, airssys_value *item) {
    if (*object.at != '{') return false;
    const char *at = following(object, item->end);
    if (!at) return false;
    *name = decoded(at);
    at = after_space(after_space(after_text(at), object.end) + 1, object.end);
    *item = (airssys_value){at, after_value(at, object.end)};
    return true;
}

/// Copy a text without its escapes, to be kept.
static char *decoded(const char *at) {
    const char *end = after_text(at) - 1;
    char *made = airssys_keep((size_t)(end - at)), *to = made;
    for (at++; at < end;) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        char kind = at[1];
        at += 2;
        if (kind != 'u') {
            static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
            const char *found = strchr(names, kind);
            *to++ = found ? values[found - names] : kind;
            continue;
        }
        unsigned each;
        at = escaped(at, end, &each);
        if (each < 0x80) {
            *to++ = (char)each;
        } else if (each < 0x800) {
            *to++ = (char)(0xc0 | each >> 6);
            *to++ = (char)(0x80 | (each & 0x3f));
        } else {
            if (each < 0x10000) {
                *to++ = (char)(0xe0 | each >> 12);
            } else {
                *to++ = (char)(0xf0 | each >> 18);
                *to++ = (char)(0x80 | (each >> 12 & 0x3f));
            }
            *to++ = (char)(0x80 | (each >> 6 & 0x3f));
            *to++ = (char)(0x80 | (each & 0x3f));
        }
    }
    *to = 0;
    return made;
}

static const char *kind_of(airssys_value value) {
    switch (*value.at) {
    case '"':
        return "a text";
    case '{':
        return "an object";
    case '[':
        return "a list";
    case 't':
    case 'f':
        return "true or false";
    case 'n':
        return "null";
    default:
        return "a number";
    }
}

static bool other(airssys_value value, const char *name, const char *expected) {
    return airssys_misunderstand("%s is %s, expected %s", name ? name : "the message", kind_of(value), expected);
}

static bool field(airssys_value object, const char *name, airssys_value *found) {
    airssys_value item = {0};
    const char *each;
    while (airssys_next_field(object, &each, &item)) {
        if (!strcmp(each, name)) {
            *found = item;
            return true;
        }
    }
    return false;
}

bool airssys_has(airssys_value value, const char *name) {
    airssys_value found;
    return field(value, name, &found) && *found.at != 'n';
}

bool airssys_get_value(airssys_value value, const char *name, airssys_value *found) {
    *found = value;
    if (!name || (airssys_is_object(value) && field(value, name, found))) return true;
    return *value.at == '{' ? airssys_misunderstand("the message has no %s, which it needs", name) : false;
}

bool airssys_only(airssys_value value, const char *const *names) {
    airssys_value item = {0};
    const char *name;
    if (!airssys_is_object(value)) return false;
    while (airssys_next_field(value, &name, &item)) {
        const char *const *known = names;
        while (*known && strcmp(*known, name)) known++;
        if (!*known) return airssys_misunderstand("the message has %s, which it does not know", name);
    }
    return true;
}

bool airssys_is_list(airssys_value value) { return *value.at == '[' || other(value, NULL, "a list"); }
bool airssys_is_object(airssys_value value) { return *value.at == '{' || other(value, NULL, "an object"); }

bool airssys_get_text(airssys_value value, const char *name, const char **found) {
    if (!airssys_get_value(value, name, &value)) return false;
    if (*value.at != '"') return other(value, name, "a text");
    for (const char *at = value.at; at + 6 < value.end; at++) {
        if (*at != '\\') continue;
        if (!memcmp(at, "\\u0000", 6)) return other(value, name, "a text without zeros");
        at++;
    }
    *found = decoded(value.at);
    return true;
}

static bool is_number(airssys_value value) { return *value.at == '-' || (*value.at >= '0' && *value.at <= '9'); }

bool airssys_get_integer(airssys_value value, const char *name, int64_t *integer) {
    if (!airssys_get_value(value, name, &value)) return false;
    bool negative = *value.at == '-';
    int64_t made = 0;
    if (!is_number(value)) return other(value, name, "an integer");
    for (const char *at = value.at + negative; at < value.end; at++) {
        int digit = *at - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(made, 10, &made) ||
            __builtin_add_overflow(made, negative ? -digit : digit, &made)) {
            return other(value, name, "an integer of 64 bits");
        }
    }
    *integer = made;
    return true;
}

bool airssys_get_number(airssys_value value, const char *name, double *found) {
    if (!airssys_get_value(value, name, &value)) return false;
    if (!is_number(value)) return other(value, name, "a number");
    *found = strtod(airssys_kept(value.at, (size_t)(value.end - value.at)), NULL);
    return true;
}

bool airssys_get_boolean(airssys_value value, const char *name, bool *boolean) {
    if (!airssys_get_value(value, name, &value)) return false;
    if (*value.at != 't' && *value.at != 'f') return other(value, name, "true or false");
    *boolean = *value.at == 't';
    return true;
}
