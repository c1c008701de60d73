// Command heddle-cni is the CNI plugin of Heddle. Container runtimes start it, as CNI_COMMAND and the environment say; it
// has nothing to do for a user but to tell its version.
package main

import (
	"fmt"
	"os"

	"github.com/heddle-net/heddle/cni"
	"github.com/heddle-net/heddle/version"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		fmt.Println("heddle-cni", version.String())
		return
	}
	cni.Main("Heddle CNI plugin " + version.String())
}
