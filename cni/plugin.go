package cni

import (
	"errors"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/heddle-net/heddle/cni/api"
)

// Main does what CNI_COMMAND says, prints the result or the error, and exits. about is printed when there is no command.
func Main(about string) {
	skel.PluginMainFuncs(skel.CNIFuncs{
		Add: add,
		Del: command(api.Del), Check: command(api.Check), GC: command(api.GC), Status: command(api.Status),
	}, version.PluginSupports("0.3.1", "0.4.0", "1.0.0", "1.1.0"), about)
}

func add(args *skel.CmdArgs) error {
	c, result, err := do(api.Add, args)
	if err != nil {
		return typed(err)
	}
	if result == nil {
		return typed(api.Errorf(api.CodeInternal, "the daemon answered ADD without a result"))
	}
	return types.PrintResult(cniResult(result, args, c.DNS), c.CNIVersion)
}

// command is for the verbs that print nothing.
func command(name string) func(*skel.CmdArgs) error {
	return func(args *skel.CmdArgs) error {
		_, _, err := do(name, args)
		return typed(err)
	}
}

func do(name string, args *skel.CmdArgs) (*config, *api.Result, error) {
	c, err := parse(args.StdinData)
	if err != nil {
		return nil, nil, err
	}
	r, err := request(name, args, c)
	if err != nil {
		return nil, nil, err
	}
	result, err := call(c.ServerSocket, r)
	return c, result, err
}

// typed makes an error one that the CNI library prints with its code.
func typed(err error) error {
	if err == nil {
		return nil
	}
	if e := new(types.Error); errors.As(err, &e) {
		return e
	}
	e := api.AsError(err)
	return types.NewError(e.Code, e.Msg, "")
}
