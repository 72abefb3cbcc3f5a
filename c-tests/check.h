/*
 * What the tests check with. A check that fails tells what was found and ends the program with 1;
 * unlike assert() it stays in release builds.
 */
#ifndef RDZV_TESTS_CHECK_H
#define RDZV_TESTS_CHECK_H

#include <inttypes.h>
#include <rdzv.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The condition holds. */
#define CHECK(condition) check_that((condition), __FILE__, __LINE__, #condition)

/* The integers are equal. */
#define CHECK_INT(actual, expected) \
    check_int((intmax_t)(actual), (intmax_t)(expected), __FILE__, __LINE__, #actual)

/* The C strings are equal. */
#define CHECK_STR(actual, expected) check_str((actual), (expected), __FILE__, __LINE__, #actual)

/* The C string contains the other one. */
#define CHECK_CONTAINS(actual, part) check_contains((actual), (part), __FILE__, __LINE__, #actual)

/* The rdzv_bytes hold exactly these bytes. */
#define CHECK_BYTES(actual, data, len) \
    check_bytes(&(actual), (data), (len), __FILE__, __LINE__, #actual)

/* The call returns this status. */
#define CHECK_STATUS(call, expected) \
    check_status((int32_t)(call), (int32_t)(expected), __FILE__, __LINE__, #call)

/* The call returns RDZV_STATUS_OK. */
#define CHECK_OK(call) CHECK_STATUS(call, RDZV_STATUS_OK)

static inline void check_failed(const char* file, int line, const char* what) {
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

static inline void check_that(bool holds, const char* file, int line, const char* what) {
    if (!holds) {
        check_failed(file, line, what);
        exit(1);
    }
}

static inline void check_int(intmax_t actual, intmax_t expected, const char* file, int line,
                             const char* what) {
    if (actual != expected) {
        check_failed(file, line, what);
        fprintf(stderr, "  is %" PRIdMAX ", not %" PRIdMAX "\n", actual, expected);
        exit(1);
    }
}

static inline void check_str(const char* actual, const char* expected, const char* file, int line,
                             const char* what) {
    if (actual == NULL || strcmp(actual, expected) != 0) {
        check_failed(file, line, what);
        fprintf(stderr, "  is  \"%s\"\n  not \"%s\"\n", actual == NULL ? "(NULL)" : actual,
                expected);
        exit(1);
    }
}

static inline void check_contains(const char* actual, const char* part, const char* file, int line,
                                  const char* what) {
    if (actual == NULL || strstr(actual, part) == NULL) {
        check_failed(file, line, what);
        fprintf(stderr, "  is \"%s\"\n  without \"%s\"\n", actual == NULL ? "(NULL)" : actual,
                part);
        exit(1);
    }
}

static inline void check_bytes(const rdzv_bytes* actual, const void* data, size_t len,
                               const char* file, int line, const char* what) {
    if (actual->data == NULL || actual->len != len ||
        (len > 0 && memcmp(actual->data, data, len) != 0)) {
        check_failed(file, line, what);
        fprintf(stderr, "  is %zu bytes: \"%.*s\"\n  not %zu bytes: \"%.*s\"\n", actual->len,
                actual->data == NULL ? 0 : (int)actual->len, (const char*)actual->data, len,
                (int)len, (const char*)data);
        exit(1);
    }
    check_that(actual->data[len] == 0, file, line, "the bytes are followed by a NUL");
}

static inline void check_status(int32_t actual, int32_t expected, const char* file, int line,
                                const char* what) {
    if (actual != expected) {
        check_failed(file, line, what);
        fprintf(stderr, "  is %s, not %s\n", rdzv_status_name(actual), rdzv_status_name(expected));
        if (actual != RDZV_STATUS_OK && actual != RDZV_STATUS_NOT_FOUND) {
            fprintf(stderr, "  %s\n  %s\n", rdzv_last_error_message(), rdzv_last_error_cause());
        }
        exit(1);
    }
}

#endif
