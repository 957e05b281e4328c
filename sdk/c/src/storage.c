// Durable values by key.

#include "library.h"

#ifdef WORLD_IMPORTS_AIRSSYS_STORAGE_STORE

/// Keep why an operation was refused as the problem. Returns false.
static bool refused(airssys_storage_types_storage_error_t *error) {
    const airssys_storage_types_exceeded_t *exceeded = &error->val.exceeded;
    const component_string_t *why = &error->val.invalid;
    if (error->tag == AIRSSYS_STORAGE_TYPES_STORAGE_ERROR_EXCEEDED) {
        airssys_refuse("%.*s is bounded by %llu, and this came to %llu", (int)exceeded->limit.len,
                       (char *)exceeded->limit.ptr, (unsigned long long)exceeded->configured,
                       (unsigned long long)exceeded->needed);
    } else {
        airssys_refuse("storage: %.*s", (int)why->len, (char *)why->ptr);
    }
    airssys_storage_types_storage_error_free(error);
    return false;
}

static component_string_t text(const char *of) { return (component_string_t){(uint8_t *)of, strlen(of)}; }

bool airssys_storage_set(const char *key, const void *bytes, size_t size) {
    airssys_storage_types_storage_error_t error;
    component_string_t name = text(key);
    component_list_u8_t value = {(uint8_t *)bytes, size};
    uint64_t version;
    return airssys_storage_store_set(&name, &value, NULL, &version, &error) || refused(&error);
}

bool airssys_storage_get(const char *key, const char **bytes, size_t *size) {
    airssys_storage_types_storage_error_t error;
    component_string_t name = text(key);
    component_option_list_u8_t found;
    if (!airssys_storage_store_get(&name, &found, &error)) return refused(&error);
    *bytes = NULL;
    *size = 0;
    if (found.is_some) {
        *size = found.val.len;
        *bytes = airssys_kept((char *)found.val.ptr, found.val.len);
    }
    component_option_list_u8_free(&found);
    return true;
}

bool airssys_storage_delete(const char *key, bool *was_there) {
    airssys_storage_types_storage_error_t error;
    component_string_t name = text(key);
    bool found;
    if (!airssys_storage_store_delete(&name, &found, &error)) return refused(&error);
    if (was_there) *was_there = found;
    return true;
}

#endif
