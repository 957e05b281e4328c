// Messages to others, and topics.

#include "library.h"

#include <stdio.h>
#include <stdlib.h>

#if defined WORLD_IMPORTS_AIRSSYS_MESSAGING_MESSAGING || defined WORLD_IMPORTS_AIRSSYS_MESSAGING_TOPICS

static component_string_t text(const char *of) { return (component_string_t){(uint8_t *)of, strlen(of)}; }

/// Keep why a message did not arrive as the problem. Returns false.
static bool undelivered(airssys_core_types_delivery_error_t *error) {
    static const char *const names[] = {
        "no-actor",       "stopped",         "mailbox-full", "timeout",   "not-permitted", "wait-cycle",
        "codec-mismatch", "invalid-payload", "too-large",    "cancelled", "failed",        "refused",
        "dropped",        "too-many",        "not-an-actor", "unknown-token",
    };
    const component_string_t *detail = NULL;
    switch (error->tag) {
    case AIRSSYS_CORE_TYPES_DELIVERY_ERROR_NOT_PERMITTED:
    case AIRSSYS_CORE_TYPES_DELIVERY_ERROR_INVALID_PAYLOAD:
    case AIRSSYS_CORE_TYPES_DELIVERY_ERROR_FAILED:
    case AIRSSYS_CORE_TYPES_DELIVERY_ERROR_REFUSED:
    case AIRSSYS_CORE_TYPES_DELIVERY_ERROR_DROPPED:
        detail = &error->val.refused;
    }
    if (detail) {
        airssys_refuse("%s: %.*s", names[error->tag], (int)detail->len, (char *)detail->ptr);
    } else {
        airssys_refuse("%s", names[error->tag]);
    }
    airssys_core_types_delivery_error_free(error);
    return false;
}

#endif

#ifdef WORLD_IMPORTS_AIRSSYS_MESSAGING_MESSAGING

bool airssys_tell(const char *target, airssys_json *message) {
    airssys_core_types_delivery_error_t error;
    component_string_t address = text(target);
    airssys_core_types_payload_t payload;
    payload.ptr = airssys_to_payload(message, &payload.len);
    bool done = airssys_messaging_messaging_tell(&address, &payload, &error);
    free(payload.ptr);
    return done || undelivered(&error);
}

bool airssys_ask(const char *target, airssys_json *message, double seconds, airssys_value *answer) {
    static const char nothing[] = "null";
    airssys_core_types_delivery_error_t error;
    airssys_messaging_messaging_option_payload_t given;
    component_string_t address = text(target);
    airssys_core_types_payload_t payload;
    payload.ptr = airssys_to_payload(message, &payload.len);
    bool done = airssys_messaging_messaging_ask(&address, &payload, (uint64_t)(seconds * 1e9), &given, &error);
    free(payload.ptr);
    if (!done) return undelivered(&error);
    *answer = (airssys_value){nothing, nothing + 4};
    if (!given.is_some) return true;
    if (given.val.len) airssys_adopt(given.val.ptr); // what is empty was not allocated
    return airssys_from_payload(given.val.ptr, given.val.len, answer);
}

#endif

#ifdef WORLD_IMPORTS_AIRSSYS_MESSAGING_TOPICS

bool airssys_publish(const char *topic, airssys_json *message, uint64_t *reached) {
    airssys_core_types_delivery_error_t error;
    airssys_messaging_topics_reach_t reach;
    component_string_t name = text(topic);
    airssys_core_types_payload_t payload;
    payload.ptr = airssys_to_payload(message, &payload.len);
    bool done = airssys_messaging_topics_publish(&name, &payload, &reach, &error);
    free(payload.ptr);
    if (!done) return undelivered(&error);
    if (reached) *reached = reach.accepted;
    return true;
}

bool airssys_subscribe(const char *pattern) {
    airssys_core_types_delivery_error_t error;
    component_string_t name = text(pattern);
    return airssys_messaging_topics_subscribe(&name, &error) || undelivered(&error);
}

bool airssys_unsubscribe(const char *pattern) {
    component_string_t name = text(pattern);
    return airssys_messaging_topics_unsubscribe(&name);
}

#endif
