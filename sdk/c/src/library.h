// What the parts of the library share.

#ifndef AIRSSYS_LIBRARY_H
#define AIRSSYS_LIBRARY_H

#include "airssys.h"

#include <stdarg.h>
#include <string.h>

/// An export that a program may have instead.
#define EXPORT __attribute__((weak))

/// What a problem is, as `airssys:core/types.error` numbers it.
typedef enum {
    UNDECODABLE,
    UNHANDLED,
    REFUSED,
    FAILED,
} airssys_kind;

/// Keep a problem; returns false.
bool airssys_problem_is(airssys_kind kind, const char *format, ...) AIRSSYS_FORMAT(2, 3);
airssys_kind airssys_problem_kind(void);

/// `malloc` and `realloc` that never return NULL.
void *airssys_allocate(size_t size);
void *airssys_reallocate(void *memory, size_t size);

/// Let memory of `malloc` end with what is handled now.
void airssys_adopt(void *memory);

/// Begin with what is to be handled: there is no problem yet.
void airssys_begin(void);

/// Format a text, in memory of `malloc`; bytes that are no UTF-8 become `?`, because the world takes none.
char *airssys_formatted(const char *format, va_list arguments);

/// Copy a text, to be kept.
char *airssys_kept(const char *text, size_t length);

/// Return how many bytes the character that begins at `at` has in UTF-8; 0 where there is none.
size_t airssys_character(const char *at, const char *end);

/// What every payload in JSON begins with.
#define AIRSSYS_PREFIX "\x80\x04"
#define AIRSSYS_PREFIX_SIZE 2

/// Return the value of a payload.
bool airssys_from_payload(const void *bytes, size_t size, airssys_value *value);

/// Return the text of what was written, null where nothing was, and forget it.
char *airssys_written(airssys_json *json, size_t *length);

/// The same as a payload.
uint8_t *airssys_to_payload(airssys_json *json, size_t *size);

#endif
