// Package image makes the container images of the sandbox without a container engine and without a registry.
//
// Two images are made, under upstream's names: pause, which holds a Pod's namespaces, and agnhost, upstream's
// test program on a Debian root with the tools that its own image has. Each is a docker-archive in the cache
// (manifest.json, config.json and one tar per layer), which `ctr images import` and every other tool reads.
//
// It owns the folder images of the cache, and imports package build. Pause's source is in pause/. Heddle's own
// image is not made here but by `make image`.
//
// Restart: an archive is made once for its recipe.
package image
