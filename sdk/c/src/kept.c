// Memory, problems and texts: what lasts as long as something is handled.

#include "library.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct block {
    struct block *before;
    void *memory;
} block;

static block *kept;
static char *problem;
static airssys_kind problem_kind;

// A buffer that is as long as the program, or lines would wait in it for more.
__attribute__((constructor)) static void write_lines_at_once(void) { setvbuf(stdout, NULL, _IOLBF, 0); }

void *airssys_allocate(size_t size) { return airssys_reallocate(NULL, size); }

void *airssys_reallocate(void *memory, size_t size) {
    void *larger = realloc(memory, size ? size : 1);
    if (!larger) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return larger;
}

void airssys_adopt(void *memory) {
    block *made = airssys_allocate(sizeof *made);
    *made = (block){kept, memory};
    kept = made;
}

void *airssys_keep(size_t size) {
    void *memory = airssys_allocate(size);
    airssys_adopt(memory);
    return memory;
}

char *airssys_kept(const char *text, size_t length) {
    char *copy = airssys_keep(length + 1);
    memcpy(copy, text, length);
    copy[length] = 0;
    return copy;
}

void airssys_begin(void) {
    free(problem);
    problem = NULL;
    problem_kind = FAILED;
}

void airssys_release(void) {
    while (kept) {
        block *before = kept->before;
        free(kept->memory);
        free(kept);
        kept = before;
    }
    fflush(stdout);
}

size_t airssys_character(const char *at, const char *end) {
    const unsigned char *bytes = (const unsigned char *)at;
    unsigned char first = bytes[0];
    if (first < 0x80) return 1;
    size_t length = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    if ((size_t)(end - at) < length) return 0;
    for (size_t each = 1; each < length; each++) {
        if ((bytes[each] & 0xc0) != 0x80) return 0;
    }
    // Longer than need be, half of a pair, or beyond the last character.
    bool wrong = (first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
                 (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f);
    return wrong ? 0 : length;
}

char *airssys_formatted(const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0) length = 0;
    char *text = airssys_allocate((size_t)length + 1);
    text[0] = 0;
    vsnprintf(text, (size_t)length + 1, format, arguments);
    for (char *at = text, *end = text + length; at < end;) {
        size_t taken = airssys_character(at, end);
        if (!taken) *at = '?';
        at += taken ? taken : 1;
    }
    return text;
}

static bool keep_problem(airssys_kind kind, const char *format, va_list arguments) {
    char *text = airssys_formatted(format, arguments); // the last problem may be part of it
    free(problem);
    problem = text;
    problem_kind = kind;
    return false;
}

#define KEEP_PROBLEM(kind)                                                                                             \
    va_list arguments;                                                                                                 \
    va_start(arguments, format);                                                                                       \
    keep_problem(kind, format, arguments);                                                                             \
    va_end(arguments);                                                                                                 \
    return false

bool airssys_refuse(const char *format, ...) { KEEP_PROBLEM(REFUSED); }
bool airssys_misunderstand(const char *format, ...) { KEEP_PROBLEM(UNDECODABLE); }
bool airssys_problem_is(airssys_kind kind, const char *format, ...) { KEEP_PROBLEM(kind); }

const char *airssys_problem(void) { return problem ? problem : ""; }
airssys_kind airssys_problem_kind(void) { return problem_kind; }

#ifdef WORLD_HAS_TEXTS
void airssys_format(component_string_t *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *made = airssys_formatted(format, arguments);
    va_end(arguments);
    *text = (component_string_t){(uint8_t *)made, strlen(made)};
}

const char *airssys_text(component_string_t *text) {
    const char *copy = airssys_kept((char *)text->ptr, text->len);
    component_string_free(text);
    return copy;
}
#endif

#ifdef WORLD_IMPORTS_AIRSSYS_CORE_HOST
void airssys_log(airssys_core_types_log_level_t level, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = airssys_formatted(format, arguments);
    va_end(arguments);
    component_string_t message = {(uint8_t *)text, strlen(text)};
    component_list_tuple2_string_string_t fields = {NULL, 0};
    airssys_core_host_log(level, &message, &fields);
    free(text);
}
#endif
