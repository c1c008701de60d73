// Command image writes Heddle's container image as an OCI archive, without a container engine.
//
// The image is a Debian base with its OVN and Open vSwitch, plus Heddle's own files: two layers, so that a new build of
// Heddle replaces the small one only. The same content comes out of the Dockerfile beside this program, which is for users
// who have an engine; packages.txt is the one list of Debian packages for both, and a test holds the rest equal.
//
//	base.go    the Debian layer: mmdebstrap, with signatures verified, kept in the user's cache folder by what it is made of
//	layer.go   the Heddle layer: the list of files and the tar of them
//	oci.go     the archive: blobs, manifest, index
//	entrypoint the scripts that start OVN and Open vSwitch in a container; they are tested against the real daemons
//
// The output depends on the base, the files and the version alone: no clock, no host name. It imports the standard library only
// and keeps no state but the cached base, which may be deleted at any time.
package main
