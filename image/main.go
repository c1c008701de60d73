package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
)

// Config is what one run builds.
type Config struct {
	Root    string // the repository
	Output  string // the archive to write
	Name    string // the image's name without tag
	Version string // the tag
	Commit  string // kept in a label
	Arch    string // Debian's and Go's names agree for amd64 and arm64
	Refresh bool   // make a new base although one is cached: it carries Debian's latest fixes
}

func main() {
	c := Config{}
	flag.StringVar(&c.Root, "root", ".", "the repository to take binaries and entrypoints from")
	flag.StringVar(&c.Output, "output", "dist/heddle-image.tar", "OCI archive to write")
	flag.StringVar(&c.Name, "name", "docker.io/heddle-net/heddle", "image name")
	flag.StringVar(&c.Version, "version", "dev", "image tag")
	flag.StringVar(&c.Commit, "commit", "unknown", "commit that the binaries were built from")
	flag.StringVar(&c.Arch, "arch", runtime.GOARCH, "architecture")
	flag.BoolVar(&c.Refresh, "refresh", false, "make the Debian base anew")
	flag.Parse()
	if err := run(c); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(c Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	base, err := baseLayer(ctx, c.Arch, c.Refresh)
	if err != nil {
		return fmt.Errorf("debian base: %w", err)
	}
	own, err := heddleLayer(c.Root)
	if err != nil {
		return fmt.Errorf("heddle layer: %w", err)
	}
	if err := writeArchive(c, base, own); err != nil {
		return fmt.Errorf("write %s: %w", c.Output, err)
	}
	fmt.Printf("%s is %s:%s\n", c.Output, c.Name, c.Version)
	return nil
}
