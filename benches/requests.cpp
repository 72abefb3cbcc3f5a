#include "requests.hpp"

#include <charconv>

#include "floor.hpp"

namespace {

size_t digits_of(uint64_t number) {
    size_t digits = 1;
    for (; number >= 10; number /= 10) ++digits;
    return digits;
}

const char kLease[] = "4242424242424242424";
const char kSlot[] = "/torch/elastic/store_slots/0123456789abcdef0123456789abcdef";
const char kStore[] = "/torch/elastic/store/";
const char kStates[] = "/torch/elastic/rendezvous/";

std::string quoted(std::string_view bytes) {
    return "\"" + base64(bytes) + "\"";
}

std::string form_field(std::string_view value) {
    std::string field;
    for (const char c : base64(value)) field += c == '+' ? "%2B" : std::string(1, c);
    return field;
}

}  // namespace

std::string base64(std::string_view bytes) {
    static const char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    for (size_t at = 0; at < bytes.size(); at += 3) {
        const size_t count = bytes.size() - at < 3 ? bytes.size() - at : 3;
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; ++i) {
            bits = bits << 8 | (i < count ? static_cast<unsigned char>(bytes[at + i]) : 0u);
        }
        for (size_t i = 0; i < 4; ++i) {
            text += i <= count ? kDigits[bits >> (18 - 6 * i) & 63] : '=';
        }
    }
    return text;
}

Place Requests::store(std::string_view key) const {
    return {kStore + (v2_ ? base64(key) : std::string(key)), false};
}

Place Requests::state(std::string_view run_id) const {
    return {kStates + std::string(run_id), true};
}

std::string Requests::post(std::string_view target, std::string_view body) const {
    return "POST " + std::string(target) + " HTTP/1.1\r\nhost: " + endpoint_ +
           "\r\ncontent-length: " + std::to_string(body.size()) +
           "\r\ncontent-type: application/json\r\n\r\n" + std::string(body);
}

std::string Requests::put(const Place& place, std::string_view value,
                          const std::string& condition) const {
    const std::string ttl = place.state ? "&ttl=7200" : "";
    const std::string form =
        "value=" + form_field(value) + ttl + condition + "&noValueOnSuccess=true";
    return "PUT /v2/keys" + place.path + " HTTP/1.1\r\nhost: " + endpoint_ +
           "\r\ncontent-length: " + std::to_string(form.size()) +
           "\r\ncontent-type: application/x-www-form-urlencoded\r\n\r\n" + form;
}

std::string Requests::get(const Place& place, bool presence) const {
    if (v2_) {
        return "GET /v2/keys" + place.path + "?quorum=true HTTP/1.1\r\nhost: " + endpoint_ +
               "\r\n\r\n";
    }
    const std::string only = presence ? ",\"keys_only\":true" : "";
    return post("/v3/kv/range", "{\"key\":" + quoted(place.path) + only + "}");
}

std::string Requests::remove(const Place& place) const {
    if (v2_) {
        return "DELETE /v2/keys" + place.path + " HTTP/1.1\r\nhost: " + endpoint_ + "\r\n\r\n";
    }
    return post("/v3/kv/deleterange", "{\"key\":" + quoted(place.path) + "}");
}

std::string Requests::request_put(const std::string& key, std::string_view value,
                                  bool lease) const {
    const std::string under = lease ? ",\"lease\":\"" + std::string(kLease) + "\"" : "";
    return "{\"key\":" + quoted(key) + ",\"value\":" + quoted(value) + under + "}";
}

std::string Requests::set(const Place& place, std::string_view value) const {
    if (v2_) return put(place, value, "");
    return post("/v3/kv/put", request_put(place.path, value, place.state));
}

std::string Requests::compare_revision(const std::string& key, uint64_t revision) const {
    return "{\"key\":" + quoted(key) +
           ",\"target\":\"MOD\",\"result\":\"EQUAL\",\"mod_revision\":\"" +
           std::to_string(revision) + "\"}";
}

std::string Requests::txn(const Place& place, const std::string& compare, std::string_view value,
                          bool slot, uint64_t slot_revision) const {
    std::string compares = compare;
    std::string success = "{\"request_put\":" + request_put(place.path, value, place.state) + "}";
    std::string failure = "{\"request_range\":{\"key\":" + quoted(place.path) + "}}";
    if (slot) {
        compares += "," + compare_revision(kSlot, slot_revision);
        success += ",{\"request_put\":" + request_put(kSlot, "", true) + "}";
        failure += ",{\"request_range\":{\"key\":" + quoted(kSlot) + "}}";
    }
    return post("/v3/kv/txn", "{\"compare\":[" + compares + "],\"success\":[" + success +
                                  "],\"failure\":[" + failure + "]}");
}

std::string Requests::swap(const Place& place, uint64_t revision, std::string_view value) const {
    if (v2_) {
        return put(place, value,
                   revision == 0 ? "&prevExist=false" : "&prevIndex=" + std::to_string(revision));
    }
    return txn(place, compare_revision(place.path, revision), value, false, 0);
}

std::string Requests::swap_slot(const Place& place, uint64_t revision, std::string_view value,
                                uint64_t slot_revision) const {
    return txn(place, compare_revision(place.path, revision), value, true, slot_revision);
}

std::string Requests::swap_value(const Place& place, std::string_view expected,
                                 std::string_view value) const {
    if (v2_) return put(place, value, "&prevValue=" + form_field(expected));
    const std::string compare =
        "{\"key\":" + quoted(place.path) +
        ",\"target\":\"VALUE\",\"result\":\"EQUAL\",\"value\":" + quoted(expected) + "}";
    return txn(place, compare, value, false, 0);
}

std::string Requests::swap_value_slot(const Place& place, std::string_view expected,
                                      std::string_view value, uint64_t slot_revision) const {
    const std::string compare =
        "{\"key\":" + quoted(place.path) +
        ",\"target\":\"VALUE\",\"result\":\"EQUAL\",\"value\":" + quoted(expected) + "}";
    return txn(place, compare, value, true, slot_revision);
}

std::string Requests::get_many(const std::vector<Place>& places, bool presence) const {
    std::string ops;
    for (const Place& place : places) {
        ops += (ops.empty() ? "" : ",") + std::string("{\"request_range\":{\"key\":") +
               quoted(place.path) + (presence ? ",\"keys_only\":true" : "") + "}}";
    }
    return post("/v3/kv/txn", "{\"compare\":[],\"success\":[" + ops + "],\"failure\":[]}");
}

std::string Requests::set_many(const std::vector<Place>& places, std::string_view value) const {
    std::string ops;
    for (const Place& place : places) {
        ops += (ops.empty() ? "" : ",") + std::string("{\"request_put\":") +
               request_put(place.path, value, false) + "}";
    }
    return post("/v3/kv/txn", "{\"compare\":[],\"success\":[" + ops + "],\"failure\":[]}");
}

std::string Requests::watch(const Place& place, uint64_t index) const {
    if (v2_) {
        return "GET /v2/keys" + place.path + "?wait=true&waitIndex=" + std::to_string(index + 1) +
               " HTTP/1.1\r\nhost: " + endpoint_ + "\r\n\r\n";
    }
    return post("/v3/watch", "{\"create_request\":{\"key\":" + quoted(place.path) +
                                 ",\"filters\":[\"NODELETE\"]}}");
}

std::string Requests::lease() const {
    return post("/v3/lease/grant", std::string("{\"ID\":\"") + kLease + "\",\"TTL\":\"7200\"}");
}

uint64_t Requests::revision(std::string_view head, std::string_view body) {
    const uint64_t index = number_after(head, "X-Etcd-Index");
    return index != 0 ? index : number_after(body, "\"revision\"");
}

const std::string& Swap::with(uint64_t revision, uint64_t slot_revision) {
    if (digits_ != digits_of(revision) || slot_digits_ != digits_of(slot_revision)) {
        digits_ = digits_of(revision);
        slot_digits_ = digits_of(slot_revision);
        request_ = build_(revision, slot_revision);
        places_.clear();
        for (const std::string_view name : {"prevIndex=", "\"mod_revision\":\""}) {
            for (size_t at = 0; (at = request_.find(name, at)) != std::string::npos;) {
                at += name.size();
                places_.push_back(at);
            }
        }
        return request_;
    }
    for (size_t i = 0; i < places_.size(); ++i) {
        /* A comparison of values comes without a revision of its own. */
        const bool slot = i == 1 || (revision == 0 && i == 0);
        const uint64_t number = slot ? slot_revision : revision;
        char* place = request_.data() + places_[i];
        std::to_chars(place, place + digits_of(number), number);
    }
    return request_;
}
