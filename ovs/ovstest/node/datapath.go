package node

import (
	"os"
	"strings"
)

// datapathEnv chooses the datapath_type of the bridges of tests: "system", the kernel's module, as make e2e-kernel does, or else "netdev".
const datapathEnv = "HEDDLE_TEST_DATAPATH"

// Kernel says that tests run on the kernel's datapath.
func Kernel() bool { return os.Getenv(datapathEnv) == "system" }

// Datapath is the datapath_type of the bridges that a test makes.
func Datapath() string {
	if Kernel() {
		return "system"
	}
	return "netdev"
}

// wantKernel fails the test unless the packets of br-int pass the kernel's datapath.
func (n *Node) wantKernel() {
	n.tb.Helper()
	if shown := n.AppCtl("dpif/show"); !strings.Contains(shown, "system@ovs-system:") || !strings.Contains(shown, "br-int:") {
		n.tb.Fatalf("br-int is not on system@ovs-system:\n%s", shown)
	}
}

// unwantUserSpace fails the test when it has had a bridge in user space after all.
func (n *Node) unwantUserSpace() {
	n.tb.Helper()
	if shown := n.AppCtl("dpif/show"); strings.Contains(shown, "netdev@") {
		n.tb.Errorf("a bridge is in user space:\n%s", shown)
	}
}

// FinishChecksums makes a link finish the checksums of what it sends, without which user space passes packets on with checksums that
// are wrong. In the kernel the packets carry the note that they are unfinished.
func (n *Node) FinishChecksums(netns, link string) {
	n.tb.Helper()
	if !Kernel() {
		n.MustExec(netns, "ethtool", "-K", link, "tx", "off")
	}
}
