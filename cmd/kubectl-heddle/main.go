// Command kubectl-heddle is a plugin of kubectl: put it on the PATH and call it as `kubectl heddle`. It looks at the traffic of Pods from
// wherever there is a kubeconfig, with the rights of who calls it (docs/kubectl-heddle.md). It keeps nothing: whatever has to end with it on a
// node ends with the connection.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/exec"

	"github.com/heddle-net/heddle/version"
)

// interrupted is how shells tell of a program that Ctrl-C has ended.
const interrupted = 128 + int(syscall.SIGINT)

// answerLimit is for questions to the API server.
const answerLimit = 30 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second Ctrl-C does not ask
	c := command()
	// kubectl runs a program of this name for what may stand next on the command line.
	if filepath.Base(os.Args[0]) == "kubectl_complete-heddle" {
		c.SetArgs(append([]string{cobra.ShellCompRequestCmd}, os.Args[1:]...))
	}
	err := c.ExecuteContext(ctx)
	var status exec.CodeExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		os.Exit(interrupted)
	case errors.As(err, &status):
		os.Exit(status.Code) // the program has said why
	default:
		fmt.Fprintln(os.Stderr, "kubectl heddle:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	rules, overrides := clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}
	c := &cobra.Command{
		Use: "kubectl-heddle", Short: "Look at the traffic of Pods in a cluster with Heddle", Version: version.String(),
		Annotations:  map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl heddle"},
		SilenceUsage: true, SilenceErrors: true, CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	flags := c.PersistentFlags()
	flags.StringVar(&rules.ExplicitPath, clientcmd.RecommendedConfigPathFlag, "", "path of the kubeconfig")
	clientcmd.BindOverrideFlags(overrides, flags, clientcmd.RecommendedConfigOverrideFlags(""))
	flags.Lookup(clientcmd.FlagNamespace).Usage = "namespace of the Pod"
	short(flags)
	system := flags.String("heddle-namespace", "kube-system", "namespace that Heddle is installed in")
	cl := &cluster{config: clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides), system: system}
	c.AddCommand(mirror(cl), tcpdump(cl))
	return c
}

// short leaves flags out of the help that are about the connection and the same for all of kubectl.
func short(flags *pflag.FlagSet) {
	shown := []string{clientcmd.RecommendedConfigPathFlag, clientcmd.FlagContext, clientcmd.FlagNamespace}
	flags.VisitAll(func(f *pflag.Flag) { f.Hidden = !slices.Contains(shown, f.Name) })
}

// cluster is what the flags say.
type cluster struct {
	config clientcmd.ClientConfig
	system *string
}

// connect returns a client and the namespace that is asked about.
func (c *cluster) connect() (*rest.Config, kubernetes.Interface, string, error) {
	namespace, _, err := c.config.Namespace()
	if err != nil {
		return nil, nil, "", err
	}
	config, err := c.config.ClientConfig()
	if err != nil {
		return nil, nil, "", err
	}
	client, err := kubernetes.NewForConfig(config)
	return config, client, namespace, err
}
