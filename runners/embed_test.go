package runners

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEveryFileOfCommonIsInTheBinary keeps `mayfly image build` from running older or fewer scripts than Packer does.
func TestEveryFileOfCommonIsInTheBinary(t *testing.T) {
	files := 0
	err := filepath.WalkDir("common", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		on, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		in, err := Common.ReadFile(path)
		if err != nil {
			t.Errorf("%s isn't in the binary: %v; see embed.go", path, err)
		} else if string(in) != string(on) {
			t.Errorf("%s is another in the binary", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 8 {
		t.Errorf("%d files in common, want 8 at least", files)
	}
}
