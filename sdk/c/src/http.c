// Requests and responses: the export of a component that answers HTTP.

#include "library.h"

#ifdef WORLD_EXPORTS_WASI_HTTP_INCOMING_HANDLER

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#define READ 65536 // what one read of a body asks for
#define WRITE 4096 // what one write to a stream of WASI takes

typedef struct airssys_pair {
    const struct airssys_pair *next;
    const char *name;
    const char *value;
} pair;

struct airssys_response {
    int status;
    const char *type;
    const char *bytes;
    size_t size;
    const pair *headers;
};

static const pair *with(const pair *others, const char *name, const char *value) {
    pair *made = airssys_keep(sizeof *made);
    *made = (pair){others, name, value};
    return made;
}

static const char *of(const pair *pairs, const char *name) {
    while (pairs && strcasecmp(pairs->name, name)) pairs = pairs->next;
    return pairs ? pairs->value : NULL;
}

const char *airssys_query(const airssys_request *request, const char *name) {
    const pair *each = request->query;
    while (each && strcmp(each->name, name)) each = each->next;
    return each ? each->value : NULL;
}

const char *airssys_header(const airssys_request *request, const char *name) { return of(request->headers, name); }

bool airssys_body(const airssys_request *request, airssys_value *value) {
    return airssys_parse(request->body, request->body_size, value) ||
           airssys_misunderstand("the body is no JSON, or too deep");
}

// --- Reading ---------------------------------------------------------------------------------------------------------

static int hexadecimal(char digit) {
    return isdigit((unsigned char)digit) ? digit - '0' : isxdigit((unsigned char)digit) ? (digit | 0x20) - 'a' + 10 : -1;
}

/// Percent-decode a text; a `%` that escapes nothing, or a zero, stays. `plus` is a space in queries.
static const char *decoded(const char *text, size_t length, bool plus) {
    char *made = airssys_kept(text, length), *to = made;
    for (const char *at = made, *end = made + length; at < end; at++) {
        int high = *at == '%' && end - at > 2 ? hexadecimal(at[1]) : -1;
        int low = high >= 0 ? hexadecimal(at[2]) : -1;
        if (low >= 0 && (high || low)) {
            *to++ = (char)(high << 4 | low);
            at += 2;
        } else {
            *to++ = plus && *at == '+' ? ' ' : *at;
        }
    }
    *to = 0;
    return made;
}

static void read_target(airssys_request *request, wasi_http_types_borrow_incoming_request_t incoming) {
    component_string_t target;
    bool given = wasi_http_types_method_incoming_request_path_with_query(incoming, &target);
    const char *text = given ? airssys_kept((char *)target.ptr, target.len) : "/";
    if (given) component_string_free(&target);
    size_t length = strcspn(text, "?");
    request->path = decoded(text, length, false);
    for (const char *at = text + length; *at;) {
        at++; // `?` or `&`
        size_t part = strcspn(at, "&"), name = strcspn(at, "=&");
        if (part) {
            size_t value = name < part ? name + 1 : part;
            request->query = with(request->query, decoded(at, name, true), decoded(at + value, part - value, true));
        }
        at += part;
    }
}

static void read_headers(airssys_request *request, wasi_http_types_borrow_incoming_request_t incoming) {
    wasi_http_types_own_headers_t fields = wasi_http_types_method_incoming_request_headers(incoming);
    wasi_http_types_list_tuple2_field_name_field_value_t entries;
    wasi_http_types_method_fields_entries(wasi_http_types_borrow_fields(fields), &entries);
    for (size_t each = 0; each < entries.len; each++) {
        char *name = airssys_kept((char *)entries.ptr[each].f0.ptr, entries.ptr[each].f0.len);
        for (char *at = name; *at; at++) *at = (char)tolower((unsigned char)*at);
        const char *value = airssys_kept((char *)entries.ptr[each].f1.ptr, entries.ptr[each].f1.len);
        const char *before = of(request->headers, name);
        if (before) { // several of a name are one list
            char *both = airssys_keep(strlen(before) + strlen(value) + 3);
            strcat(strcat(strcpy(both, before), ", "), value);
            value = both;
        }
        request->headers = with(request->headers, name, value);
    }
    wasi_http_types_list_tuple2_field_name_field_value_free(&entries);
    wasi_http_types_fields_drop_own(fields);
}

static void read_body(airssys_request *request, wasi_http_types_borrow_incoming_request_t incoming) {
    wasi_http_types_own_incoming_body_t body;
    wasi_http_types_own_input_stream_t stream;
    char *whole = airssys_allocate(1);
    size_t length = 0, room = 1;
    if (wasi_http_types_method_incoming_request_consume(incoming, &body)) {
        if (wasi_http_types_method_incoming_body_stream(wasi_http_types_borrow_incoming_body(body), &stream)) {
            component_list_u8_t part;
            wasi_io_streams_stream_error_t error;
            while (wasi_io_streams_method_input_stream_blocking_read(wasi_io_streams_borrow_input_stream(stream), READ,
                                                                     &part, &error)) {
                if (room - length <= part.len) {
                    room = (length + part.len + 1) * 2;
                    whole = airssys_reallocate(whole, room);
                }
                memcpy(whole + length, part.ptr, part.len);
                length += part.len;
                component_list_u8_free(&part);
            }
            if (error.tag != WASI_IO_STREAMS_STREAM_ERROR_CLOSED) abort(); // cut off: nobody waits for an answer
            wasi_io_streams_input_stream_drop_own(stream);
        }
        wasi_http_types_incoming_body_drop_own(body);
    }
    whole[length] = 0;
    airssys_adopt(whole);
    request->body = whole;
    request->body_size = length;
}

static void read_method(airssys_request *request, wasi_http_types_borrow_incoming_request_t incoming) {
    static const char *const names[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                        "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    wasi_http_types_method_t method;
    wasi_http_types_method_incoming_request_method(incoming, &method);
    bool other = method.tag == WASI_HTTP_TYPES_METHOD_OTHER;
    request->method = other ? airssys_kept((char *)method.val.other.ptr, method.val.other.len) : names[method.tag];
    wasi_http_types_method_free(&method);
}

// --- Answering -------------------------------------------------------------------------------------------------------

bool airssys_respond(airssys_response *response, int status, const char *type, const void *bytes, size_t size) {
    response->status = status;
    response->type = type;
    response->bytes = airssys_kept(bytes, size);
    response->size = size;
    return true;
}

bool airssys_respond_text(airssys_response *response, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = airssys_formatted(format, arguments);
    va_end(arguments);
    airssys_adopt(text);
    return airssys_respond(response, status, "text/plain; charset=utf-8", text, strlen(text));
}

bool airssys_respond_json(airssys_response *response, int status, airssys_json *json) {
    size_t length;
    char *text = airssys_written(json, &length);
    airssys_adopt(text);
    return airssys_respond(response, status, "application/json", text, length);
}

bool airssys_add_header(airssys_response *response, const char *name, const char *value) {
    response->headers = with(response->headers, airssys_kept(name, strlen(name)), airssys_kept(value, strlen(value)));
    return true;
}

static wasi_http_types_own_fields_t fields_of(const airssys_response *response) {
    size_t count = response->type != NULL;
    for (const pair *each = response->headers; each; each = each->next) count++;
    wasi_http_types_tuple2_field_name_field_value_t *entries = airssys_keep(count * sizeof *entries);
    const pair type = {response->headers, "content-type", response->type};
    size_t at = 0;
    for (const pair *each = response->type ? &type : response->headers; each; each = each->next, at++) {
        entries[at].f0 = (wasi_http_types_field_name_t){(uint8_t *)each->name, strlen(each->name)};
        entries[at].f1 = (wasi_http_types_field_value_t){(uint8_t *)each->value, strlen(each->value)};
    }
    wasi_http_types_list_tuple2_field_name_field_value_t list = {entries, count};
    wasi_http_types_own_fields_t fields;
    wasi_http_types_header_error_t error;
    if (!wasi_http_types_static_fields_from_list(&list, &fields, &error)) abort(); // a name or a value that is none
    return fields;
}

static void write_response(const airssys_response *response, wasi_http_types_own_response_outparam_t out) {
    wasi_http_types_own_outgoing_response_t head = wasi_http_types_constructor_outgoing_response(fields_of(response));
    wasi_http_types_borrow_outgoing_response_t borrowed = wasi_http_types_borrow_outgoing_response(head);
    wasi_http_types_own_outgoing_body_t body;
    wasi_http_types_own_output_stream_t stream;
    if (!wasi_http_types_method_outgoing_response_set_status_code(borrowed, (uint16_t)response->status) ||
        !wasi_http_types_method_outgoing_response_body(borrowed, &body) ||
        !wasi_http_types_method_outgoing_body_write(wasi_http_types_borrow_outgoing_body(body), &stream)) {
        abort();
    }
    wasi_http_types_result_own_outgoing_response_error_code_t result = {.is_err = false, .val.ok = head};
    wasi_http_types_static_response_outparam_set(out, &result);
    bool there = true; // whoever asked
    for (size_t at = 0; there && at < response->size; at += WRITE) {
        size_t left = response->size - at;
        component_list_u8_t part = {(uint8_t *)response->bytes + at, left < WRITE ? left : WRITE};
        wasi_io_streams_stream_error_t error;
        there = wasi_io_streams_method_output_stream_blocking_write_and_flush(
            wasi_io_streams_borrow_output_stream(stream), &part, &error);
    }
    wasi_io_streams_output_stream_drop_own(stream);
    wasi_http_types_error_code_t error;
    if (there) wasi_http_types_static_outgoing_body_finish(body, NULL, &error);
}

EXPORT void exports_wasi_http_incoming_handler_handle(
    exports_wasi_http_incoming_handler_own_incoming_request_t incoming,
    exports_wasi_http_incoming_handler_own_response_outparam_t out) {
    airssys_begin();
    airssys_request request = {0};
    airssys_response response = {.status = 200};
    wasi_http_types_borrow_incoming_request_t borrowed = wasi_http_types_borrow_incoming_request(incoming);
    read_method(&request, borrowed);
    read_target(&request, borrowed);
    read_headers(&request, borrowed);
    read_body(&request, borrowed);
    wasi_http_types_incoming_request_drop_own(incoming);
    if (!airssys_answer(&request, &response)) {
        const char *problem = airssys_problem();
        airssys_respond_text(&response, 400, "%s", *problem ? problem : "the request is not understood");
    }
    write_response(&response, out);
    airssys_release();
}

#endif
