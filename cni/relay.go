package cni

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/skel"

	"github.com/heddle-net/heddle/cni/api"
)

// grace is what the daemon may take beyond the operation's timeout to take back a failed ADD.
const grace = 15 * time.Second

// request builds the daemon's request from what the runtime gave.
func request(command string, args *skel.CmdArgs, c *config) (*api.Request, error) {
	r := &api.Request{
		Version: api.Version, Command: command,
		Network: c.Name, ContainerID: args.ContainerID, NetNS: args.Netns, IfName: args.IfName,
		Provider: c.Provider, Routes: c.Routes, TimeoutMillis: c.Timeout * 1000,
	}
	for pair := range strings.SplitSeq(args.Args, ";") {
		key, value, _ := strings.Cut(pair, "=")
		switch key {
		case "K8S_POD_NAME":
			r.PodName = value
		case "K8S_POD_NAMESPACE":
			r.PodNamespace = value
		case "K8S_POD_UID":
			r.PodUID = value
		}
	}
	for _, a := range c.ValidAttachments {
		r.Valid = append(r.Valid, api.Attachment{ContainerID: a.ContainerID, IfName: a.IfName})
	}
	if command == api.Check {
		prev, err := previous(c.PrevResult, args)
		if err != nil {
			return nil, err
		}
		r.Prev = prev
	}
	return r, r.Validate()
}

// call sends the request and waits for the response.
func call(socket string, r *api.Request) (*api.Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), r.Timeout()+grace)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, api.Errorf(unavailable(r), "cannot reach the heddle-daemon of this node: %v", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, api.Errorf(api.CodeIO, "%s: %v", socket, err)
	}
	sent := api.Write(conn, r)
	// A daemon that refuses may have answered and gone before the request was sent: its answer is there to be read.
	var response api.Response
	if err := api.Read(conn, &response); err != nil {
		if sent != nil {
			return nil, api.Errorf(unavailable(r), "the heddle-daemon of this node did not take the request: %v", sent)
		}
		return nil, api.Errorf(unavailable(r), "the heddle-daemon of this node went away before it answered: %v", err)
	}
	if response.Error != nil {
		return nil, response.Error
	}
	return response.Result, nil
}

// unavailable is the code for a daemon that does not answer.
func unavailable(r *api.Request) uint {
	if r.Command == api.Status {
		return api.CodeNotAvailable
	}
	return api.CodeTryAgain
}
