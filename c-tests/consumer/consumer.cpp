// Starts an etcd, sets a key and reads it back.
#include <iostream>
#include <rdzv.hpp>

int main() try {
    rdzv::Server server;
    rdzv::Params params("etcd", server.endpoint(), "run", 1, 1);
    auto [backend, store] = rdzv::create_backend(params);
    store.set("key", "value");
    const rdzv::Bytes value = store.get("key");
    return std::string(value.begin(), value.end()) == "value" ? 0 : 1;
} catch (const rdzv::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
