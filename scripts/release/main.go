// Command release makes those parts of a release that a shell can't make well: manual pages and completions, the SBOM and
// the OCI image. scripts/release.sh calls it.
//
//	release docs DIR                                     man/man1/*.gz and completions/ below DIR
//	release sbom BINARY VERSION OUT                      what the binary is made of, as CycloneDX 1.6
//	release oci  BINARY ARCH VERSION CERTIFICATES OUT    an image as a tar file of the OCI layout
//
// The invariant: the same input gives the same bytes. Times come from SOURCE_DATE_EPOCH (seconds since 1970; see
// https://reproducible-builds.org/specs/source-date-epoch/), and nothing is asked of the machine.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := release(os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH")); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		os.Exit(1)
	}
}

// release runs the command that args name.
func release(args []string, epoch string) error {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return fmt.Errorf("read SOURCE_DATE_EPOCH %q: %w; set it to the commit's time: git log -1 --format=%%ct", epoch, err)
	}
	at := time.Unix(seconds, 0).UTC()
	if len(args) == 0 {
		return errUsage
	}
	switch command, args := args[0], args[1:]; {
	case command == "docs" && len(args) == 1:
		return writeDocs(args[0], at)
	case command == "sbom" && len(args) == 3:
		return writeSBOM(args[0], args[1], args[2], at)
	case command == "oci" && len(args) == 5:
		return writeImage(image{binary: args[0], arch: args[1], version: args[2], certificates: args[3], at: at}, args[4])
	}
	return errUsage
}

var errUsage = errors.New("want docs DIR, sbom BINARY VERSION OUT, or oci BINARY ARCH VERSION CERTIFICATES OUT")
