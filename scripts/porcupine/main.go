// Checks recorded histories for linearizability with porcupine.
//
// Each file named on the command line is one history: a JSON object a line, one for each call. Exits with 0 if all are
// linearizable, with 1 if one is not, with 2 if one could not be decided in time or not be read.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/anishathalye/porcupine"
)

const patience = 60 * time.Second

// call is one call of the library. Unknown ones have no outcome: they may be done at any time after their start.
type call struct {
	Client int    `json:"client"`
	Op     string `json:"op"`
	Key    string `json:"key"`
	// What the call was given: the condition (for state the token, for compare_set the value) and what to write.
	Expect string `json:"expect"`
	Write  string `json:"write"`
	Amount int64  `json:"amount"`
	// What it returned: the value, its token, the sum, and whether it was set.
	Value   string `json:"value"`
	Token   string `json:"token"`
	Sum     int64  `json:"sum"`
	Set     bool   `json:"set"`
	Unknown bool   `json:"unknown"`
	Start   int64  `json:"start"`
	End     int64  `json:"end"`
}

// state is what a key holds. The token of a state is what the library said it is; "?" where no answer told.
type state struct {
	value string
	token string
	sum   int64
}

func step(before, input, output interface{}) (bool, interface{}) {
	s, c := before.(state), output.(call)
	_ = input
	switch c.Op {
	case "get_state":
		ok := c.Value == s.value && (s.token == "?" || c.Token == s.token)
		return ok, state{value: s.value, token: c.Token}
	case "set_state":
		current := s.token == c.Expect
		if s.token == "?" {
			// A write whose token nobody was told yet: no caller can name it.
			current = false
		}
		switch {
		case c.Unknown && current:
			return true, state{value: c.Write, token: "?"}
		case c.Unknown:
			return true, s
		case c.Set:
			return current, state{value: c.Write, token: c.Token}
		default:
			ok := !current && c.Value == s.value && (s.token == "?" || c.Token == s.token)
			return ok, state{value: s.value, token: c.Token}
		}
	case "add":
		after := state{sum: s.sum + c.Amount}
		return c.Unknown || c.Sum == after.sum, after
	case "compare_set":
		if s.value == c.Expect {
			return c.Unknown || c.Value == c.Write, state{value: c.Write}
		}
		said := s.value
		if said == "" {
			// What TCPStore says of a key that is not there.
			said = c.Expect
		}
		return c.Unknown || c.Value == said, s
	}
	return false, s
}

var model = porcupine.Model{
	Init: func() interface{} { return state{} },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[string][]porcupine.Operation{}
		for _, operation := range history {
			key := operation.Input.(string)
			parts[key] = append(parts[key], operation)
		}
		var all [][]porcupine.Operation
		for _, part := range parts {
			all = append(all, part)
		}
		return all
	},
	Step: step,
	DescribeOperation: func(_, output interface{}) string {
		return fmt.Sprintf("%+v", output)
	},
}

func read(path string) ([]porcupine.Operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var history []porcupine.Operation
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return nil, err
		}
		if c.Unknown {
			c.End = math.MaxInt64
		}
		history = append(history, porcupine.Operation{
			ClientId: c.Client, Input: c.Key, Call: c.Start, Output: c, Return: c.End,
		})
	}
	return history, lines.Err()
}

func main() {
	illegal, undecided, calls := 0, 0, 0
	for _, path := range os.Args[1:] {
		history, err := read(path)
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(2)
		}
		calls += len(history)
		switch porcupine.CheckOperationsTimeout(model, history, patience) {
		case porcupine.Illegal:
			illegal++
			fmt.Printf("%s: ILLEGAL\n", path)
		case porcupine.Unknown:
			undecided++
			fmt.Printf("%s: undecided after %v\n", path, patience)
		}
	}
	fmt.Printf("%d histories of %d calls: %d illegal, %d undecided\n", len(os.Args)-1, calls, illegal, undecided)
	switch {
	case illegal > 0:
		os.Exit(1)
	case undecided > 0:
		os.Exit(2)
	}
}
