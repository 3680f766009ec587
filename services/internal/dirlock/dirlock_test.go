package dirlock_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openclaw-security/bus/services/internal/dirlock"
)

func TestTake(t *testing.T) {
	dir := t.TempDir()
	inUse := errors.New("in use by another test")
	first, err := dirlock.Take(dir, inUse)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%s is in use by another test, process %d", dir, os.Getpid())
	if _, err := dirlock.Take(dir, inUse); !errors.Is(err, inUse) || !strings.Contains(err.Error(), want) {
		t.Errorf("a second one: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := dirlock.Take(dir, inUse)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
	if _, err := dirlock.Take(dir+"/none", inUse); err == nil || errors.Is(err, inUse) {
		t.Errorf("of no directory: %v", err)
	}
}
