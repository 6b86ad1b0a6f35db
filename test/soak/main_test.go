//go:build soak

package soak

import (
	"os"
	"testing"

	"mayfly/test/process"
)

func TestMain(m *testing.M) { os.Exit(process.Main(m, 0)) }
