// A C++ node of a run, driven by lines on its standard input; node.py is the same in Python.
//
//   torch_handler_node API ENDPOINT RUN_ID MIN MAX ADDRESS    a node; its groups listen at ADDRESS
//   torch_handler_node API serve                              an etcd until the input ends
//
// The second prints the etcd's endpoint. The first says "ready" and answers each line with one:
//   join      "joined RANK WORLD_SIZE ROUND MILLISECONDS", or "closed"
//   reduce    makes a Gloo group over the round's store and all-reduces rank + 1: "sum SUM"
//   waiting   "waiting NUMBER"
//   closed    "is_closed 0" or "is_closed 1"
//   close     closes the run: "has_closed"
//   status    rdzv_handler_status_json()'s
// A failure is answered with "error" and what it says.
#include <torch/types.h>

#include <cstdlib>
#include <iostream>
#include <optional>
#include <rdzv/c10d_store.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

namespace {

using Gloo = c10d::ProcessGroupGloo;
using Clock = std::chrono::steady_clock;

// What PyTorch's nodes are given too; see node.py.
constexpr const char* kOptions =
    "last_call_timeout=3,join_timeout=60,close_timeout=10,keep_alive_interval=1,"
    "keep_alive_max_attempt=3,store_timeout=60,local_addr=localhost";

void say(const std::string& line) {
    std::cout << line << std::endl;
}

class Node {
  public:
    Node(const rdzv::Params& params, std::string address)
        : handler_(params), address_(std::move(address)) {}

    std::string answer(const std::string& line) {
        if (line == "join") {
            return join();
        } else if (line == "reduce") {
            return reduce();
        } else if (line == "waiting") {
            return "waiting " + std::to_string(handler_.num_nodes_waiting());
        } else if (line == "closed") {
            return std::string("is_closed ") + (handler_.is_closed() ? "1" : "0");
        } else if (line == "close") {
            handler_.set_closed();
            return "has_closed";
        } else if (line == "status") {
            return handler_.status_json();
        }
        return "error: what is '" + line + "'?";
    }

  private:
    std::string join() {
        const Clock::time_point start = Clock::now();
        try {
            place_.emplace(handler_.next_rendezvous());
        } catch (const rdzv::Error& error) {
            if (error.status() == RDZV_STATUS_CLOSED) {
                return "closed";
            }
            throw;
        }
        const std::chrono::duration<double, std::milli> took = Clock::now() - start;
        if (place_->rank == 0) {
            // PyTorch's nodes wait for these, since 2.4 in next_rendezvous itself.
            place_->store.set("MASTER_ADDR", address_);
            place_->store.set("MASTER_PORT", "29500");
        }
        return "joined " + std::to_string(place_->rank) + " " + std::to_string(place_->world_size) +
               " " + std::to_string(place_->round) + " " + std::to_string(took.count());
    }

    std::string reduce() {
        auto options = Gloo::Options::create(std::chrono::seconds(60));
        options->devices.push_back(Gloo::createDeviceForHostname(address_));
        auto store = c10::make_intrusive<rdzv::C10dStore>(place_->store.with_prefix("gloo"));
        Gloo group(store, static_cast<int>(place_->rank), static_cast<int>(place_->world_size),
                   options);
        std::vector<torch::Tensor> tensors = {
            torch::full({4}, static_cast<float>(place_->rank + 1))};
        group.allreduce(tensors)->wait();
        // Nobody leaves before all have what they need of the others.
        group.barrier()->wait();
        return "sum " + std::to_string(static_cast<int>(tensors[0][3].item<float>()));
    }

    rdzv::Handler handler_;
    std::string address_;
    std::optional<rdzv::Rendezvous> place_;
};

int serve(const std::string& api) {
    rdzv::ServerOptions options;
    options.set("enable_v2", api == "v2" ? "true" : "false");
    try {
        const rdzv::Server server(options);
        say(server.endpoint());
        std::string line;
        while (std::getline(std::cin, line)) {
        }
        return 0;
    } catch (const rdzv::Error& error) {
        std::cerr << error.what() << std::endl;
        return error.status() == RDZV_STATUS_UNSUPPORTED ? 77 : 1;
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3) {
        return serve(argv[1]);
    }
    if (argc != 7) {
        return 2;
    }
    rdzv::Params params("etcd", argv[2], argv[3], std::stoi(argv[4]), std::stoi(argv[5]));
    params.set("api", argv[1]).set_config(kOptions);
    const char* dialect = std::getenv("RDZV_TEST_DIALECT");
    params.set("state_dialect", dialect == nullptr ? "1.13" : dialect);
    Node node(params, argv[6]);
    say("ready");
    std::string line;
    while (std::getline(std::cin, line)) {
        try {
            say(node.answer(line));
        } catch (const std::exception& error) {
            say(std::string("error ") + error.what());
        }
    }
}
