/*
 * An HTTP client that shares nothing with the library: one request on one connection. It shows what is in etcd as
 * others see it.
 */
#ifndef RDZV_TESTS_RAW_HTTP_H
#define RDZV_TESTS_RAW_HTTP_H

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

/* What came back; free `text`. The body is NUL-terminated and points into `text`. */
typedef struct raw_reply {
    int status;
    char *text;
    const char *body;
} raw_reply;

/* A socket connected to "host:port". */
static inline int raw_connect(const char *endpoint) {
    struct addrinfo hints, *found = NULL;
    char host[256];
    const char *colon = strrchr(endpoint, ':');
    CHECK(colon != NULL && (size_t)(colon - endpoint) < sizeof host);
    memcpy(host, endpoint, (size_t)(colon - endpoint));
    host[colon - endpoint] = '\0';
    memset(&hints, 0, sizeof hints);
    hints.ai_socktype = SOCK_STREAM;
    CHECK(getaddrinfo(host, colon + 1, &hints, &found) == 0);
    int connection = -1;
    for (struct addrinfo *next = found; next != NULL && connection < 0; next = next->ai_next) {
        connection = socket(next->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection >= 0 && connect(connection, next->ai_addr, next->ai_addrlen) != 0) {
            close(connection);
            connection = -1;
        }
    }
    freeaddrinfo(found);
    CHECK(connection >= 0);
    return connection;
}

/* HTTP/1.0, so that the answer is not chunked and ends with the connection. */
static inline raw_reply raw_http(const char *endpoint, const char *method, const char *target, const char *type,
                                 const char *body) {
    raw_reply reply = {0, NULL, NULL};
    const char *format = "%s %s HTTP/1.0\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n%s";
    int len = snprintf(NULL, 0, format, method, target, endpoint, type, strlen(body), body);
    char *request = (char *)malloc((size_t)len + 1);
    CHECK(request != NULL);
    snprintf(request, (size_t)len + 1, format, method, target, endpoint, type, strlen(body), body);
    int connection = raw_connect(endpoint);
    for (int sent = 0; sent < len;) {
        ssize_t part = send(connection, request + sent, (size_t)(len - sent), MSG_NOSIGNAL);
        CHECK(part > 0);
        sent += (int)part;
    }
    free(request);
    size_t have = 0, room = 65536;
    reply.text = (char *)malloc(room);
    for (;;) {
        CHECK(reply.text != NULL);
        ssize_t part = recv(connection, reply.text + have, room - have - 1, 0);
        CHECK(part >= 0);
        if (part == 0) {
            break;
        }
        have += (size_t)part;
        if (have + 1 == room) {
            reply.text = (char *)realloc(reply.text, room *= 2);
        }
    }
    close(connection);
    reply.text[have] = '\0';
    CHECK(sscanf(reply.text, "HTTP/1.%*d %d", &reply.status) == 1);
    reply.body = strstr(reply.text, "\r\n\r\n");
    CHECK(reply.body != NULL);
    reply.body += 4;
    return reply;
}

#endif
