//go:build crash

package crash

import (
	"os"
	"testing"
	"time"

	"mayfly/test/process"
)

// patience ends what hangs in a window. It is far above what is usual.
const patience = 4 * time.Minute

// together is how many kills are tried at once, where -parallel doesn't say it.
const together = 32

func TestMain(m *testing.M) { os.Exit(process.Main(m, together)) }
