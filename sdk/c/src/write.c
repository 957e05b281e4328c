// JSON that is sent. It begins with the prefix of a payload, so that it is one as it is.

#include "library.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void append(airssys_json *json, const char *text, size_t length) {
    if (!json->text) {
        *json = (airssys_json){airssys_allocate(64), AIRSSYS_PREFIX_SIZE, 64};
        memcpy(json->text, AIRSSYS_PREFIX, AIRSSYS_PREFIX_SIZE);
    }
    if (json->room - json->length < length) {
        json->room = (json->length + length) * 2;
        json->text = airssys_reallocate(json->text, json->room);
    }
    memcpy(json->text + json->length, text, length);
    json->length += length;
}

static void append_text(airssys_json *json, const char *text) {
    append(json, "\"", 1);
    const char *end = text + strlen(text);
    while (text < end) {
        const char *plain = text;
        size_t length = 0;
        while (text < end && (unsigned char)*text >= 0x20 && *text != '"' && *text != '\\' &&
               (length = airssys_character(text, end))) {
            text += length;
        }
        append(json, plain, (size_t)(text - plain));
        if (text == end) break;
        char escape[8];
        if (*text == '"' || *text == '\\') {
            snprintf(escape, sizeof escape, "\\%c", *text);
        } else if ((unsigned char)*text < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", *text);
        } else {
            snprintf(escape, sizeof escape, "?"); // no UTF-8
        }
        append(json, escape, strlen(escape));
        text++;
    }
    append(json, "\"", 1);
}

/// Write what stands before a value: a comma where something does, and the name.
static void before(airssys_json *json, const char *name) {
    if (json->length > AIRSSYS_PREFIX_SIZE && !strchr("{[", json->text[json->length - 1])) append(json, ",", 1);
    if (name) {
        append_text(json, name);
        append(json, ":", 1);
    }
}

static bool put(airssys_json *json, const char *name, const char *text, size_t length) {
    before(json, name);
    append(json, text, length);
    return true;
}

bool airssys_put_text(airssys_json *json, const char *name, const char *text) {
    before(json, name);
    append_text(json, text);
    return true;
}

bool airssys_put_integer(airssys_json *json, const char *name, int64_t integer) {
    char text[24];
    return put(json, name, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)integer));
}

bool airssys_put_number(airssys_json *json, const char *name, double number) {
    char text[32];
    if (!isfinite(number)) return airssys_put_null(json, name);
    for (int precision = 15; precision <= 17; precision++) { // the shortest that is the number again
        snprintf(text, sizeof text, "%.*g", precision, number);
        if (strtod(text, NULL) == number) break;
    }
    return put(json, name, text, strlen(text));
}

bool airssys_put_boolean(airssys_json *json, const char *name, bool boolean) {
    return boolean ? put(json, name, "true", 4) : put(json, name, "false", 5);
}

bool airssys_put_null(airssys_json *json, const char *name) { return put(json, name, "null", 4); }

bool airssys_put_value(airssys_json *json, const char *name, airssys_value value) {
    return put(json, name, value.at, (size_t)(value.end - value.at));
}

bool airssys_put_object(airssys_json *json, const char *name) { return put(json, name, "{", 1); }
bool airssys_put_list(airssys_json *json, const char *name) { return put(json, name, "[", 1); }

bool airssys_end_object(airssys_json *json) {
    append(json, "}", 1);
    return true;
}

bool airssys_end_list(airssys_json *json) {
    append(json, "]", 1);
    return true;
}

void airssys_drop(airssys_json *json) {
    free(json->text);
    *json = (airssys_json){0};
}

uint8_t *airssys_to_payload(airssys_json *json, size_t *size) {
    if (!json->text) airssys_put_null(json, NULL);
    uint8_t *payload = (uint8_t *)json->text;
    *size = json->length;
    *json = (airssys_json){0};
    return payload;
}

char *airssys_written(airssys_json *json, size_t *length) {
    char *text = (char *)airssys_to_payload(json, length);
    *length -= AIRSSYS_PREFIX_SIZE;
    memmove(text, text + AIRSSYS_PREFIX_SIZE, *length);
    return text;
}
