package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// startSwitch runs a node's database and ovs-vswitchd in a network namespace of their own.
func startSwitch(t *testing.T, datapath string) (sock string, vswitchd *process) {
	t.Helper()
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	dir := t.TempDir()
	env := []string{"OVS_DBDIR=" + dir, "OVS_RUNDIR=" + dir, "DATAPATH=" + datapath}
	sock = "unix:" + filepath.Join(dir, "db.sock")
	start(t, env, "ovs-db")
	vswitchd = prepare(env, "again", "./entrypoint/ovs-vswitchd")
	vswitchd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET
	vswitchd.begin(t)
	return sock, vswitchd
}

// haveKernelDatapath asks the kernel in the same way as the script, after it ran.
func haveKernelDatapath() bool {
	return exec.Command("genl", "ctrl", "get", "name", "ovs_datapath").Run() == nil
}

// TestSwitchOffersTheDatapathItHas: heddle-daemon reads datapath_types to choose the bridges' datapath.
func TestSwitchOffersTheDatapathItHas(t *testing.T) {
	for _, mode := range []string{"auto", "netdev"} {
		t.Run(mode, func(t *testing.T) {
			sock, _ := startSwitch(t, mode)
			// A change returns when ovs-vswitchd has taken it.
			command(t, "ovs-vsctl", "--db="+sock, "--timeout=20", "--retry", "set", "Open_vSwitch", ".", "external_ids:test=here")
			got := command(t, "ovs-vsctl", "--db="+sock, "get", "Open_vSwitch", ".", "datapath_types")
			if want := mode == "auto" && haveKernelDatapath(); strings.Contains(got, "system") != want || !strings.Contains(got, "netdev") {
				t.Errorf("datapath_types is %s, want netdev in it, and system: %v", got, want)
			}
			if got := command(t, "ovs-vsctl", "--db="+sock, "get", "Open_vSwitch", ".", "other_config"); strings.Contains(got, "flow-restore-wait") {
				t.Errorf("a first start waits for flows: %s", got)
			}
		})
	}
}

// TestSwitchStartsAgainInItsContainer: what is in the database is in the new process, too.
func TestSwitchStartsAgainInItsContainer(t *testing.T) {
	sock, _ := startSwitch(t, "netdev")
	command(t, "ovs-vsctl", "--db="+sock, "--timeout=20", "--retry", "add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev")
	dir := filepath.Dir(strings.TrimPrefix(sock, "unix:"))
	first := pidOf(t, dir, "ovs-vswitchd")
	must(t, syscall.Kill(first, syscall.SIGKILL))
	// A change returns when ovs-vswitchd has taken it.
	command(t, "ovs-vsctl", "--db="+sock, "--timeout=20", "set", "Open_vSwitch", ".", "external_ids:test=again")
	if second := pidOf(t, dir, "ovs-vswitchd"); second == first {
		t.Error("it was not killed")
	}
	command(t, "ovs-appctl", "--timeout=20", "--target="+filepath.Join(dir, "ovs-vswitchd."+strconv.Itoa(pidOf(t, dir, "ovs-vswitchd"))+".ctl"), "fdb/show", "br-int")
}

func TestSwitchRefuses(t *testing.T) {
	for mode, want := range map[string]string{
		"system": "this kernel has no openvswitch module and none can be loaded",
		"dpdk":   "DATAPATH is 'dpdk', want auto, system or netdev",
	} {
		t.Run(mode, func(t *testing.T) {
			if mode == "system" && haveKernelDatapath() {
				t.Skip("this kernel has the openvswitch module")
			}
			_, p := startSwitch(t, mode)
			<-p.done
			if p.ProcessState.Success() || !strings.Contains(p.log.String(), want) {
				t.Errorf("%s: %s, want %q", p.ProcessState, p.log, want)
			}
		})
	}
}
