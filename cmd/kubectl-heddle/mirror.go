package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/heddle-net/heddle/crds/v1"
)

func mirror(c *cluster) *cobra.Command {
	off := false
	cmd := &cobra.Command{
		Use:   "mirror POD...",
		Short: "Copy the packets of Pods to a link of their node, or end that",
		Long: `Copy the packets that Pods send and are sent to a link of the Pod's node, mirror0 if the chart's value mirror.interface says nothing else. It
goes on until it is switched off, or the Pod ends. It is the annotation ` + v1.AnnotationMirror + ` of the Pod.`,
		Example: `  kubectl heddle mirror web -n shop
  kubectl heddle mirror web -n shop --off`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: c.podNames(false),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, client, namespace, err := c.connect()
			if err != nil {
				return err
			}
			for _, name := range args {
				err = errors.Join(err, switchMirror(cmd.Context(), client, namespace, name, !off, cmd.OutOrStdout()))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&off, "off", false, "end it")
	return cmd
}

// switchMirror sets or removes a Pod's annotation and says what is the case now.
func switchMirror(ctx context.Context, client kubernetes.Interface, namespace, name string, on bool, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	pod, err := podOf(ctx, client, namespace, name)
	if err != nil {
		return err
	}
	where, already := "its node, once it has one", " already"
	if pod.Spec.NodeName != "" {
		where = "node " + pod.Spec.NodeName
	}
	value, marked := pod.Annotations[v1.AnnotationMirror]
	if on && value != v1.AnnotationTrue || !on && marked {
		already = ""
		patch := types.MergePatchType
		if _, err := client.CoreV1().Pods(namespace).Patch(ctx, name, patch, mirrorPatch(on), metav1.PatchOptions{FieldManager: "kubectl-heddle"}); err != nil {
			return fmt.Errorf("pod %s/%s: %w", namespace, name, err)
		}
	}
	said := fmt.Sprintf("pod/%s: mirror is off%s\n", name, already)
	if on {
		said = fmt.Sprintf("pod/%s: mirror is on%s: copies of its packets come to link mirror0, or that of mirror.interface, on %s\n", name, already, where)
	}
	_, err = io.WriteString(out, said)
	return err
}

// mirrorPatch is a JSON merge patch (RFC 7386), in which null removes.
func mirrorPatch(on bool) []byte {
	var value any
	if on {
		value = v1.AnnotationTrue
	}
	patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1.AnnotationMirror: value}}}) // of strings
	return patch
}
