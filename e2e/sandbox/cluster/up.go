package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/heddle-net/heddle/e2e/sandbox/build"
	"github.com/heddle-net/heddle/e2e/sandbox/image"
	"github.com/heddle-net/heddle/e2e/sandbox/progress"
)

// Options of a sandbox.
type Options struct {
	Name        string // default DefaultName
	Nodes       int    // default 2
	Heddle      bool   // install Heddle, and wait for the nodes to be Ready
	HeddleImage string // archive of Heddle's image; default dist/heddle-image.tar of the repository
	HelmArgs    []string
	Program     string // executable of the sandbox command, to be the machines' init
	Root        string // the repository
}

// timeLimit is for each step that waits for something to happen in the cluster.
const timeLimit = 3 * time.Minute

// limited is ctx with the time limit of a step.
func limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeLimit, fmt.Errorf("not after %v", timeLimit))
}

// Up makes the sandbox, or what is missing of it.
func Up(ctx context.Context, o Options, p *progress.Printer) (*Cluster, error) {
	c, err := locate(o.Name)
	if err != nil {
		return nil, err
	}
	unlock, err := c.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	u := &up{Cluster: c, options: o, printer: p}
	for _, step := range u.steps() {
		if err := p.Step(step.name, func(note func(string)) error { return step.run(ctx, note) }); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// up is one run of Up.
type up struct {
	*Cluster
	options Options
	printer *progress.Printer

	archives []string // of images to load on each node
	helm     string   // the program
	dns      string   // the program
}

type step struct {
	name string
	run  func(ctx context.Context, note func(string)) error
}

func (u *up) steps() []step {
	steps := []step{
		{"programs from Debian", u.debian},
		{"programs from Go modules", u.programs},
		{"images", u.images},
		{"control plane", u.control},
		{fmt.Sprintf("%d nodes with their images", u.options.Nodes), u.nodes},
	}
	if u.options.Heddle {
		steps = append(steps, step{"helm install heddle", u.install}, step{"nodes Ready", u.ready}, step{"DNS", u.startDNS})
	}
	return steps
}

func (u *up) debian(ctx context.Context, note func(string)) error {
	return build.Debian(ctx, u.options.Root, note)
}

func (u *up) programs(ctx context.Context, note func(string)) (err error) {
	if err := build.Kubernetes(ctx, u.options.Root, note); err != nil {
		return err
	}
	if _, err := build.Plugins(ctx, u.options.Root, note); err != nil {
		return err
	}
	if !u.options.Heddle {
		return nil
	}
	if u.dns, err = build.CoreDNS(ctx, u.options.Root, note); err != nil {
		return err
	}
	u.helm, err = build.Helm(ctx, u.options.Root, note)
	return err
}

func (u *up) images(ctx context.Context, note func(string)) error {
	pause, err := image.Pause(ctx, u.options.Root)
	if err != nil {
		return err
	}
	agnhost, err := image.Agnhost(ctx, note)
	if err != nil {
		return err
	}
	u.archives = []string{pause, agnhost}
	if !u.options.Heddle {
		return nil
	}
	if _, err := os.Stat(u.options.HeddleImage); err != nil {
		return fmt.Errorf("the image of Heddle is missing, `make image` makes it: %w", err)
	}
	dns, err := image.CoreDNS(u.dns)
	u.archives = append(u.archives, u.options.HeddleImage, dns)
	return err
}

// control starts router, control plane and one outside host, unless they run.
func (u *up) control(ctx context.Context, _ func(string)) error {
	if u.complete() {
		return u.WaitAPIServer(ctx)
	}
	if err := u.clear(); err != nil {
		return err
	}
	u.facts = facts{Repository: u.options.Root, Images: u.archives}
	if err := u.writeFacts(); err != nil {
		return err
	}
	if err := copyProgram(u.options.Program, u.program()); err != nil {
		return err
	}
	if err := u.startRouter(); err != nil {
		return err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	if err := u.startControl(ctx); err != nil {
		return err
	}
	_, err := u.AddOutsideHost()
	return err
}

// complete says whether all of the sandbox's machines run.
func (u *up) complete() bool {
	if err := u.readFacts(); err != nil {
		return false
	}
	for _, name := range append(u.machineNames(), router, control) {
		if m, err := u.Machine(name); err != nil || !m.Alive() {
			return false
		}
	}
	return true
}

func copyProgram(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// nodes starts the nodes that are missing, all at once.
func (u *up) nodes(ctx context.Context, _ func(string)) error {
	u.Images = u.archives // another run may have had another image
	if err := u.writeFacts(); err != nil {
		return err
	}
	ctx, cancel := limited(ctx)
	defer cancel()
	group, ctx := errgroup.WithContext(ctx)
	for n := 1; n <= u.options.Nodes; n++ {
		name := fmt.Sprint(nodePrefix, n)
		if _, err := u.Machine(name); err == nil {
			// A second run brings an image that was made anew.
			group.Go(func() error { return u.LoadImages(ctx, name, u.Images...) })
			continue
		}
		group.Go(func() error { return u.addNode(ctx, name) })
	}
	return group.Wait()
}

func (u *up) ready(ctx context.Context, note func(string)) error {
	ctx, cancel := limited(ctx)
	defer cancel()
	if err := u.WaitReady(ctx, note); err != nil {
		return errors.Join(err, u.whyPods("kube-system"))
	}
	return nil
}

// lock keeps a second up or down of the same sandbox out.
func (c *Cluster) lock() (unlock func(), err error) {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Open(c.dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("another command is making or removing the sandbox %s just now", c.Name)
		}
		return nil, fmt.Errorf("lock %s: %w", c.dir, err)
	}
	return func() { _ = f.Close() }, nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
