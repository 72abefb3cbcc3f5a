/*
 * What the calls of librdzv cost, against the floor: a hand-written loop over a socket that sends
 * the same requests to the same etcd, turn by turn with the library's.
 *
 *   rdzv_bench [--api v2|v3] [--etcd BINARY] [--data FOLDER] [--disk NAME] [--rounds N]
 *              [--json FILE] [--run COMMAND] [GROUP...]
 *
 * It starts its own etcds, with their data below FOLDER. The API is v3, or what RDZV_TEST_API says.
 * The groups are single, many, keys, wake, waiters, contention and weight; without any, all are
 * run. FILE gets one line of JSON for each result; NAME says in it what FOLDER is on. With --run it
 * measures nothing: it starts an etcd and runs COMMAND by the shell, with RDZV_ENDPOINT set.
 */
#include <cstdlib>
#include <cstring>
#include <vector>

#include "bench.hpp"

namespace {

struct Group {
    const char* name;
    void (*run)(const Bench&);
};

constexpr Group kGroups[] = {
    {"weight", bench_weight}, {"single", bench_single},         {"many", bench_many},
    {"wake", bench_wake},     {"contention", bench_contention}, {"waiters", bench_waiters},
    {"keys", bench_keys},
};

struct Options {
    std::string api = "v3", binary, folder, disk = "unnamed", json, run;
    size_t rounds = 1000;
    std::vector<std::string> groups;
};

[[noreturn]] void usage(const char* text) {
    std::fprintf(stderr, "rdzv_bench: %s; see the head of rdzv_bench.cpp\n", text);
    std::exit(2);
}

Options parse(int argc, char** argv) {
    Options options;
    const char* api = std::getenv("RDZV_TEST_API");
    if (api != nullptr && std::strcmp(api, "v2") == 0) options.api = api;
    for (int i = 1; i < argc; ++i) {
        const std::string name = argv[i];
        if (name.rfind("--", 0) != 0) {
            options.groups.push_back(name);
            continue;
        }
        if (++i == argc) usage("a value is missing");
        const std::string value = argv[i];
        if (name == "--api" && (value == "v2" || value == "v3")) {
            options.api = value;
        } else if (name == "--etcd") {
            options.binary = value;
        } else if (name == "--data") {
            options.folder = value;
        } else if (name == "--disk") {
            options.disk = value;
        } else if (name == "--json") {
            options.json = value;
        } else if (name == "--run") {
            options.run = value;
        } else if (name == "--rounds") {
            options.rounds = std::stoul(value);
        } else {
            usage(name.c_str());
        }
    }
    return options;
}

bool wanted(const Options& options, const char* group) {
    for (const std::string& name : options.groups) {
        if (name == group) return true;
    }
    return options.groups.empty();
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = parse(argc, argv);
    for (const std::string& name : options.groups) {
        bool known = false;
        for (const Group& group : kGroups) known = known || name == group.name;
        if (!known) usage(name.c_str());
    }
    const bool v2 = options.api == "v2";
    const Etcd etcd(options.binary, options.folder, v2);
    if (!options.run.empty()) {
        setenv("RDZV_ENDPOINT", etcd.endpoint().c_str(), 1);
        return std::system(options.run.c_str()) == 0 ? 0 : 1;
    }
    const Requests requests(v2, etcd.endpoint());
    Report report(options.json,
                  format("\"api\":\"%s\",\"etcd\":\"%s\",\"disk\":\"%s\"", options.api.c_str(),
                         etcd.version().c_str(), options.disk.c_str()));
    std::printf("# %s, etcd %s, data on %s\n", options.api.c_str(), etcd.version().c_str(),
                options.disk.c_str());
    const Bench bench = {options.binary, options.folder, v2,    options.rounds,
                         etcd,           requests,       report};
    for (const Group& group : kGroups) {
        if (wanted(options, group.name)) group.run(bench);
    }
    return 0;
}
