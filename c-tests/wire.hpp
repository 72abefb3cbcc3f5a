// What is in etcd, by an HTTP client that shares nothing with the library.
#ifndef RDZV_TESTS_WIRE_HPP
#define RDZV_TESTS_WIRE_HPP

#include <optional>
#include <string>

#include "raw_http.h"

namespace wire {

// RFC 4648, with padding: Python's b64encode.
inline std::string base64(const std::string &bytes) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t at = 0; at < bytes.size(); at += 3) {
        uint32_t bits = 0;
        const size_t some = bytes.size() - at < 3 ? bytes.size() - at : 3;
        for (size_t index = 0; index < 3; index++) {
            bits = bits << 8 | (index < some ? static_cast<unsigned char>(bytes[at + index]) : 0u);
        }
        for (size_t index = 0; index < 4; index++) {
            text += index <= some ? digits[bits >> (18 - 6 * index) & 63] : '=';
        }
    }
    return text;
}

// Percent-encodes all that is not a letter or digit.
inline std::string form(const std::string &text) {
    std::string encoded;
    for (const unsigned char byte : text) {
        char escaped[4];
        std::snprintf(escaped, sizeof escaped, "%%%02X", byte);
        encoded += (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                           (byte >= 'a' && byte <= 'z')
                       ? std::string(1, static_cast<char>(byte))
                       : std::string(escaped);
    }
    return encoded;
}

struct Reply {
    int status;
    std::string body;
};

inline Reply send(const std::string &endpoint, const char *method, const std::string &target,
                  const std::string &body = "",
                  const char *type = "application/x-www-form-urlencoded") {
    raw_reply raw = raw_http(endpoint.c_str(), method, target.c_str(), type, body.c_str());
    Reply reply{raw.status, raw.body};
    free(raw.text);
    return reply;
}

// The member `name` of a JSON object, a text without escapes or a number, wherever it comes first.
inline std::optional<std::string> member(const std::string &json, const std::string &name) {
    size_t at = json.find('"' + name + '"');
    if (at == std::string::npos) {
        return std::nullopt;
    }
    at = json.find_first_not_of(": \t\n", at + name.size() + 2);
    CHECK(at != std::string::npos);
    if (json[at] == '"') {
        const size_t end = json.find('"', at + 1);
        CHECK(end != std::string::npos);
        return json.substr(at + 1, end - at - 1);
    }
    return json.substr(at, json.find_first_of(",} \n", at) - at);
}

inline long number(const std::string &json, const std::string &name) {
    const std::optional<std::string> text = member(json, name);
    CHECK(text.has_value());
    return std::strtol(text->c_str(), nullptr, 10);
}

// A key and its value as base64: under v2 that is the very text in etcd, under v3 how the gateway
// shows raw bytes.
struct Node {
    std::string base64;
    long ttl;  // seconds, 0 where it lives for ever
};

// The node at `path`, which needs no escapes.
inline std::optional<Node> get(const std::string &endpoint, bool v2, const std::string &path) {
    if (v2) {
        const Reply reply = send(endpoint, "GET", "/v2/keys" + path + "?quorum=true");
        if (reply.status == 404) {
            return std::nullopt;
        }
        CHECK_INT(reply.status, 200);
        const std::optional<std::string> value = member(reply.body, "value");
        CHECK(value.has_value());
        return Node{*value, member(reply.body, "ttl") ? number(reply.body, "ttl") : 0};
    }
    const Reply reply = send(endpoint, "POST", "/v3/kv/range", "{\"key\":\"" + base64(path) + "\"}",
                             "application/json");
    CHECK_INT(reply.status, 200);
    if (!member(reply.body, "create_revision")) {
        return std::nullopt;
    }
    const std::optional<std::string> lease = member(reply.body, "lease");
    long ttl = 0;
    if (lease) {
        const Reply life = send(endpoint, "POST", "/v3/lease/timetolive",
                                "{\"ID\":\"" + *lease + "\"}", "application/json");
        CHECK_INT(life.status, 200);
        ttl = number(life.body, "TTL");
    }
    return Node{member(reply.body, "value").value_or(""), ttl};
}

// Writes the very text `value` at `path`, v2 only. `more` is further fields of the form.
inline Reply put_v2(const std::string &endpoint, const std::string &path, const std::string &value,
                    const std::string &more = "") {
    return send(endpoint, "PUT", "/v2/keys" + path, "value=" + form(value) + more);
}

// Deletes the key at `path`, and on v2 the directory.
inline void remove(const std::string &endpoint, bool v2, const std::string &path) {
    if (v2) {
        const int status =
            send(endpoint, "DELETE", "/v2/keys" + path + "?recursive=true&dir=true").status;
        CHECK(status == 200 || status == 404);
    } else {
        const std::string body = "{\"key\":\"" + base64(path) + "\"}";
        CHECK_INT(send(endpoint, "POST", "/v3/kv/deleterange", body, "application/json").status,
                  200);
    }
}

}  // namespace wire

#endif
