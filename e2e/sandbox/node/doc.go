// Package node says what a Kubernetes node is: a machine with containerd, kubelet and the CNI plugins that
// every network needs.
//
// It owns the folder etc/ of the machine's folder, /etc/kubernetes inside: certificates, kubeconfig and the
// configuration of both programs. Everything else on the node's disk is the programs' own: /var/lib/containerd
// and others (see folders) are folders of the machine, /run and /tmp are in memory, other paths are the
// machine's overlay.
//
// It imports packages build, controlplane, fabric and machine. The files themselves are in files/, as
// templates. Package cluster starts the machine.
//
// Restart: kubelet and containerd are restarted by the machine's init when they die; containers go on.
package node
