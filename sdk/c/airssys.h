// Write components for AirsSys in C. `airssys build` provides this library; a component includes it and is linked with
// what it uses of it.
//
// Functions that may fail return false, and what was wrong is kept (`airssys_problem`): a handler that returns false
// passes it on. Texts are UTF-8 and end with a zero. Memory that a function gives out is freed by `airssys_release`:
// after each message and request by this library, and by the exports that a program has itself, at their end.

#ifndef AIRSSYS_H
#define AIRSSYS_H

#include "world.h" // the world of this component, written by `airssys build`

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AIRSSYS_FORMAT(format, first) __attribute__((__format__(__printf__, format, first)))

// --- What went wrong -------------------------------------------------------------------------------------------------

/// Refuse a request, as `printf` formats it: whoever asked gets the reason, and the component goes on. Returns false.
bool airssys_refuse(const char *format, ...) AIRSSYS_FORMAT(1, 2);

/// As `airssys_refuse`, for what is not of the shape that was expected: the message is undecodable. Returns false.
bool airssys_misunderstand(const char *format, ...) AIRSSYS_FORMAT(1, 2);

/// Return what went wrong last, in words; an empty text where nothing did.
const char *airssys_problem(void);

// --- Memory ----------------------------------------------------------------------------------------------------------

/// Return `size` bytes, until `airssys_release`.
void *airssys_keep(size_t size);

/// Free what was given out since the last time, and write what `printf` still holds. Only for exports of one's own.
void airssys_release(void);

// --- Reading JSON ----------------------------------------------------------------------------------------------------

/// A value in JSON: a part of a checked text.
typedef struct {
    const char *at;
    const char *end;
} airssys_value;

/// Check a text and return its value. False where it is no JSON, or nested deeper than 100.
bool airssys_parse(const char *text, size_t length, airssys_value *value);

// Each takes the field `name` of an object, or the value itself where `name` is NULL. False where it is of another
// type, and the problem names the place.

bool airssys_get_text(airssys_value value, const char *name, const char **text);
/// A whole number of 64 bits, written without fraction and exponent.
bool airssys_get_integer(airssys_value value, const char *name, int64_t *integer);
bool airssys_get_number(airssys_value value, const char *name, double *number);
bool airssys_get_boolean(airssys_value value, const char *name, bool *boolean);
bool airssys_get_value(airssys_value value, const char *name, airssys_value *found);

/// Whether an object has the field `name`, other than null.
bool airssys_has(airssys_value value, const char *name);

/// Refuse fields of an object that are not among `names`, which end with NULL.
bool airssys_only(airssys_value value, const char *const *names);

/// Go over a list: begin with `airssys_value item = {0}`; true as long as there is another item.
bool airssys_next(airssys_value list, airssys_value *item);

/// Go over the fields of an object in the same way.
bool airssys_next_field(airssys_value object, const char **name, airssys_value *item);

/// Whether it is a list; false with a problem otherwise.
bool airssys_is_list(airssys_value value);
/// Whether it is an object; false with a problem otherwise.
bool airssys_is_object(airssys_value value);

// --- Writing JSON ----------------------------------------------------------------------------------------------------

/// JSON that is being written: begin with `airssys_json json = {0}`. What sends it frees it.
typedef struct {
    char *text;
    size_t length;
    size_t room;
} airssys_json;

// Each writes a field `name` of the object that is open, or where `name` is NULL the value, or an item of the list that
// is open. They return true, so that a handler may end with one.

bool airssys_put_text(airssys_json *json, const char *name, const char *text);
bool airssys_put_integer(airssys_json *json, const char *name, int64_t integer);
/// What is not finite becomes null.
bool airssys_put_number(airssys_json *json, const char *name, double number);
bool airssys_put_boolean(airssys_json *json, const char *name, bool boolean);
bool airssys_put_null(airssys_json *json, const char *name);
bool airssys_put_value(airssys_json *json, const char *name, airssys_value value);
bool airssys_put_object(airssys_json *json, const char *name);
bool airssys_end_object(airssys_json *json);
bool airssys_put_list(airssys_json *json, const char *name);
bool airssys_end_list(airssys_json *json);

/// Free JSON that was not sent.
void airssys_drop(airssys_json *json);

// --- Texts of the world ----------------------------------------------------------------------------------------------

#ifdef WORLD_HAS_TEXTS
/// Write a text of the world as `printf` formats it, for an answer: `airssys_format(answer, "Hello, %s!", name)`.
void airssys_format(component_string_t *text, const char *format, ...) AIRSSYS_FORMAT(2, 3);

/// Take a text that an export was given, which is then no longer its own, as the functions of C want it.
const char *airssys_text(component_string_t *text);
#endif

// --- The log ---------------------------------------------------------------------------------------------------------

#ifdef WORLD_IMPORTS_AIRSSYS_CORE_HOST
/// Write a line to the log of the deployment, as `printf` formats it. `printf` itself goes there too.
void airssys_log(airssys_core_types_log_level_t level, const char *format, ...) AIRSSYS_FORMAT(2, 3);

#define airssys_trace(...) airssys_log(AIRSSYS_CORE_TYPES_LOG_LEVEL_TRACE, __VA_ARGS__)
#define airssys_debug(...) airssys_log(AIRSSYS_CORE_TYPES_LOG_LEVEL_DEBUG, __VA_ARGS__)
#define airssys_info(...) airssys_log(AIRSSYS_CORE_TYPES_LOG_LEVEL_INFO, __VA_ARGS__)
#define airssys_warning(...) airssys_log(AIRSSYS_CORE_TYPES_LOG_LEVEL_WARNING, __VA_ARGS__)
#define airssys_error(...) airssys_log(AIRSSYS_CORE_TYPES_LOG_LEVEL_ERROR, __VA_ARGS__)
#endif

// --- Messages --------------------------------------------------------------------------------------------------------

#ifdef WORLD_IMPORTS_AIRSSYS_MESSAGING_MESSAGING
/// Put a message in the mailbox of an actor. False where it does not arrive; the problem says why.
bool airssys_tell(const char *target, airssys_json *message);

/// Ask an actor and wait up to so many seconds for its answer; null where it has none to give.
bool airssys_ask(const char *target, airssys_json *message, double seconds, airssys_value *answer);
#endif

#ifdef WORLD_IMPORTS_AIRSSYS_MESSAGING_TOPICS
/// Put a message in the mailbox of each subscriber; `reached`, which may be NULL, is how many took it.
bool airssys_publish(const char *topic, airssys_json *message, uint64_t *reached);

/// Receive what is published under a pattern; the actor's `hears` does it for those that it names.
bool airssys_subscribe(const char *pattern);

/// End a subscription; false, without a problem, if there was none.
bool airssys_unsubscribe(const char *pattern);
#endif

// --- Storage ---------------------------------------------------------------------------------------------------------

#ifdef WORLD_IMPORTS_AIRSSYS_STORAGE_STORE
/// Set the value of a key.
bool airssys_storage_set(const char *key, const void *bytes, size_t size);

/// Get the value of a key, NULL where it has none. A zero follows its bytes.
bool airssys_storage_get(const char *key, const char **bytes, size_t *size);

/// Delete a key; `was_there` may be NULL.
bool airssys_storage_delete(const char *key, bool *was_there);
#endif

// --- Actors ----------------------------------------------------------------------------------------------------------

/// Takes the messages `"name"` and `{"name": content}`. What it writes to `answer` is the answer, null by default.
typedef struct {
    const char *name;
    bool (*handle)(airssys_value content, airssys_json *answer);
} airssys_handler;

/// Takes what is published under a pattern: `*` is one word, `**` at the end one or more.
typedef struct {
    const char *pattern;
    bool (*hear)(const char *topic, airssys_value content);
} airssys_listener;

/// An actor; what is left out is NULL. `AIRSSYS_ACTOR` makes the component of it.
typedef struct {
    const char *name;
    const char *version; ///< By semver; "0.1.0" by default.
    const char *description;
    const airssys_handler *handles; ///< Ends with {0}; `AIRSSYS_HANDLES` writes it.
    const airssys_listener *hears;  ///< The same; `AIRSSYS_HEARS` writes it.
    /// An instance begins; `config` is an object with what the operator set. False keeps it from starting.
    bool (*started)(airssys_value config);
    /// It ends in order.
    void (*stopped)(void);
    /// What outlives restarts and revisions, where the world exports `airssys:core/state`: the bytes of a variable,
    /// without pointers in it. `AIRSSYS_STATE` writes both.
    void *state;
    size_t state_size;
    /// Set the state from that of another version; without it only one of the same size is taken.
    bool (*migrated)(const char *version, const void *bytes, size_t size);
} airssys_actor;

#define AIRSSYS_HANDLES(...) ((const airssys_handler[]){__VA_ARGS__, {0}})
#define AIRSSYS_HEARS(...) ((const airssys_listener[]){__VA_ARGS__, {0}})
#define AIRSSYS_STATE(variable) .state = &(variable), .state_size = sizeof(variable)

#ifdef WORLD_EXPORTS_AIRSSYS_CORE_HANDLER
/// Make the component of an actor: `AIRSSYS_ACTOR(.name = "acme/counter", .handles = …, AIRSSYS_STATE(self))`.
#define AIRSSYS_ACTOR(...) const airssys_actor airssys_the_actor = {__VA_ARGS__}
extern const airssys_actor airssys_the_actor;
#endif

// --- HTTP ------------------------------------------------------------------------------------------------------------

/// A request.
typedef struct airssys_request airssys_request;
struct airssys_request {
    const char *method; ///< "GET", "POST", …
    const char *path;   ///< Without what follows `?`, percent-decoded.
    const char *body;   ///< All of it; a zero follows.
    size_t body_size;
    const struct airssys_pair *query;
    const struct airssys_pair *headers;
};

/// A response that is being made.
typedef struct airssys_response airssys_response;

#ifdef WORLD_EXPORTS_WASI_HTTP_INCOMING_HANDLER
/// Return a parameter of the query, or NULL.
const char *airssys_query(const airssys_request *request, const char *name);

/// Return a field of the head by its name in lower case, or NULL.
const char *airssys_header(const airssys_request *request, const char *name);

/// Read the body as JSON.
bool airssys_body(const airssys_request *request, airssys_value *value);

/// Answer with a text, as `printf` formats it.
bool airssys_respond_text(airssys_response *response, int status, const char *format, ...) AIRSSYS_FORMAT(3, 4);

/// Answer with JSON.
bool airssys_respond_json(airssys_response *response, int status, airssys_json *json);

/// Answer with bytes of a media type.
bool airssys_respond(airssys_response *response, int status, const char *type, const void *bytes, size_t size);

/// Add a field to the head of the response.
bool airssys_add_header(airssys_response *response, const char *name, const char *value);

/// Make the component of a function that answers requests. Where it returns false, the problem is the answer, with
/// status 400.
#define AIRSSYS_HTTP(answer)                                                                                           \
    bool (*const airssys_answer)(const airssys_request *, airssys_response *) = (answer)
extern bool (*const airssys_answer)(const airssys_request *, airssys_response *);
#endif

#endif
