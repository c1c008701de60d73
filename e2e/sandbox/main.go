package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(execute()) }

func execute() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := root().ExecuteContext(ctx); err != nil {
		return report(err)
	}
	return 0
}

// report prints an error, but not that of a command which the user ran in a shell and which has spoken itself.
func report(err error) int {
	var said spoken
	if errors.As(err, &said) {
		return said.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	return 1
}

// spoken is the end of such a command.
type spoken struct{ *exec.ExitError }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "sandbox",
		Short:         "A real Kubernetes cluster with Heddle on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	name := cmd.PersistentFlags().String("name", defaultName, "name of the sandbox; several can run side by side")
	cmd.AddCommand(upCommand(name), downCommand(name), statusCommand(name), shellCommand(name), kubectlEnvCommand(name), buildCommand(), machineCommand())
	return cmd
}
