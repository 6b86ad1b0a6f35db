package secrets

import (
	"os"
	"testing"

	"mayfly/test/process"
)

// together is how many lives go on at once, where -parallel doesn't say it.
const together = 8

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		child(role)
	}
	os.Exit(process.Main(m, together))
}
