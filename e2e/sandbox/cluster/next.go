package cluster

import (
	"fmt"
	"path/filepath"
	"strings"
)

// WhatNext tells a person how to go on.
func (c *Cluster) WhatNext() string {
	sandbox, down := "go run ./e2e/sandbox", "make sandbox-down"
	if c.Name != DefaultName {
		sandbox += " --name " + c.Name
		down = sandbox + " down"
	}
	lines := [][2]string{
		{fmt.Sprintf(`eval "$(%s kubectl-env)"`, sandbox), "kubectl for this cluster"},
		{"kubectl get subnets,ips,pods -A -o wide", "what is there"},
		{sandbox + " shell " + nodePrefix + "1", "a shell on a node"},
		{sandbox + " status", "nodes, outside hosts, their addresses and logs"},
		{"kubectl -n kube-system exec deploy/heddle-ovn-central -c nb -- ovn-nbctl show", "OVN's view"},
		{down, "remove everything"},
	}
	out := "\nGo on with:\n\n"
	for _, l := range lines {
		out += fmt.Sprintf("  %s\n      %s\n", l[0], l[1])
	}
	kubeconfig, err := filepath.Rel(c.Repository, c.Kubeconfig())
	if err != nil {
		kubeconfig = c.Kubeconfig()
	}
	return out + "\nThe administrator's kubeconfig is " + strings.TrimSpace(kubeconfig) + ".\n"
}
