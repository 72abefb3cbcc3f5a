// Etcd 3.6 as its own module starts it. scripts/etcd.sh builds it for the tests.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
