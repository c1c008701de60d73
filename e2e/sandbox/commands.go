package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/cluster"
	"github.com/heddle-net/heddle/e2e/sandbox/image"
	"github.com/heddle-net/heddle/e2e/sandbox/machine"
	"github.com/heddle-net/heddle/e2e/sandbox/progress"
)

const defaultName = cluster.DefaultName

func upCommand(name *string) *cobra.Command {
	var o cluster.Options
	var bare, ipv4Only bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make the sandbox, or what is missing of it",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cluster.Preflight(); err != nil {
				return err
			}
			o.Name, o.Heddle = *name, !bare
			if ipv4Only {
				o.HelmArgs = append(cluster.IPv4Only(), o.HelmArgs...)
			}
			return up(cmd, o)
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&o.Nodes, "nodes", 2, "number of nodes")
	flags.BoolVar(&bare, "no-heddle", false, "leave the cluster without a network")
	flags.BoolVar(&ipv4Only, "ipv4-only", false, "no IPv6 for nodes and the default Subnet of Pods")
	flags.StringVar(&o.HeddleImage, "image", "", "archive of Heddle's image (default dist/heddle-image.tar)")
	flags.StringArrayVar(&o.HelmArgs, "helm-arg", nil, "further argument for helm, as --helm-arg=--set=controller.logLevel=4; repeatable")
	return cmd
}

func up(cmd *cobra.Command, o cluster.Options) (err error) {
	if o.Root, err = build.Root(); err != nil {
		return err
	}
	if o.Program, err = os.Executable(); err != nil {
		return err
	}
	if o.HeddleImage == "" {
		o.HeddleImage = filepath.Join(o.Root, "dist", "heddle-image.tar")
	}
	p := progress.New(os.Stdout)
	c, err := cluster.Up(cmd.Context(), o, p)
	if err != nil {
		return err
	}
	if o.Heddle {
		if err := c.Demo(cmd.Context(), p); err != nil {
			return err
		}
	}
	p.Print("%s", c.WhatNext())
	return nil
}

func downCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Remove the sandbox and everything it made",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := cluster.Preflight(); err != nil {
				return err
			}
			return cluster.Down(*name, progress.New(os.Stdout))
		},
	}
}

func statusCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the sandbox's machines",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster.Open(*name)
			if err != nil {
				return err
			}
			return c.PrintStatus(cmd.OutOrStdout())
		},
	}
}

func shellCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "shell MACHINE [-- COMMAND...]",
		Short: "A shell, or a command, on a node, the control plane, the router or an outside host",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := cluster.Open(*name)
			if err != nil {
				return err
			}
			m, err := c.Machine(args[0])
			if err != nil {
				return err
			}
			command := args[1:]
			if len(command) == 0 {
				command = []string{"bash", "-l"}
			}
			run := m.Enter(cmd.Context(), command...)
			run.Stdin, run.Stdout, run.Stderr = os.Stdin, os.Stdout, os.Stderr
			err = run.Run()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return spoken{exit}
			}
			return err
		},
	}
}

func kubectlEnvCommand(name *string) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl-env",
		Short: `Lines for a shell that set up kubectl: eval "$(go run ./e2e/sandbox kubectl-env)"`,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := cluster.Open(*name)
			if err != nil {
				return err
			}
			programs, err := build.KubernetesDir()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "export KUBECONFIG=%q\nexport PATH=%q:\"$PATH\"\n", c.Kubeconfig(), programs)
			return err
		},
	}
}

func buildCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "build",
		Short: "Build the sandbox's programs and images into the cache, and nothing else",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			root, err := build.Root()
			if err != nil {
				return err
			}
			p, dns := progress.New(os.Stdout), ""
			err = p.Step("programs from Go modules", func(note func(string)) error {
				if _, err := build.Plugins(cmd.Context(), root, note); err != nil {
					return err
				}
				if _, err := build.Helm(cmd.Context(), root, note); err != nil {
					return err
				}
				if dns, err = build.CoreDNS(cmd.Context(), root, note); err != nil {
					return err
				}
				return build.Kubernetes(cmd.Context(), root, note)
			})
			if err != nil {
				return err
			}
			return p.Step("images", func(note func(string)) error {
				if _, err := image.Pause(cmd.Context(), root); err != nil {
					return err
				}
				if _, err := image.CoreDNS(dns); err != nil {
					return err
				}
				_, err := image.Agnhost(cmd.Context(), note)
				return err
			})
		},
	}
}

// machineCommand is not for people: it is the init of every machine.
func machineCommand() *cobra.Command {
	return &cobra.Command{
		Use: "machine DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return machine.Main(args[0]) },
	}
}
