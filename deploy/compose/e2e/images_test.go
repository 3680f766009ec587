package e2e

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// maxImageBytes is the most that an image may take on a disk.
const maxImageBytes = 25_000_000

// programs are what each image has in it that can be run.
var programs = map[string][]string{
	"shipper":    {"shipper"},
	"proxy":      {"proxy"},
	"notifier":   {"notifier"},
	"auditor":    {"auditor"},
	"guard-stub": {"guard-stub"},
	"secbus":     {"secbus"},
	"nats":       {"nats-server", "natsprobe"},
}

// An image holds its program and nothing that helps an intruder: no shell, no
// second program, no root.
func TestImagesHoldNothingElse(t *testing.T) {
	needDocker(t)
	for name, want := range programs {
		t.Run(name, func(t *testing.T) {
			image := "openclaw-security/" + name + ":e2e"
			about := inspect(t, image)
			if about.Config.User != "65532:65532" {
				t.Errorf("runs as %q", about.Config.User)
			}
			if about.Size > maxImageBytes {
				t.Errorf("takes %d bytes, more than %d", about.Size, int64(maxImageBytes))
			}
			for label, value := range map[string]string{
				"version": "e2e", "title": "openclaw-security " + name, "licenses": "Apache-2.0",
			} {
				if got := about.Config.Labels["org.opencontainers.image."+label]; got != value {
					t.Errorf("label %s is %q, want %q", label, got, value)
				}
			}
			if (about.Config.Healthcheck == nil) != (name == "secbus") {
				t.Errorf("health check: %v", about.Config.Healthcheck)
			}
			if got := executables(t, image); !slices.Equal(got, want) {
				t.Errorf("can run %q, want %q", got, want)
			}
			t.Logf("%d bytes, %q", about.Size, want)
		})
	}
}

func TestImagesTellTheirVersion(t *testing.T) {
	needDocker(t)
	for name := range programs {
		if name == "nats" { // which has NATS's own
			continue
		}
		out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--network", "none", "openclaw-security/"+name+":e2e", versionFlag(name)).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != name+" e2e" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func versionFlag(name string) string {
	if name == "secbus" {
		return "version"
	}
	return "--version"
}

// about is what the engine says of an image.
type about struct {
	Size   int64
	Config struct {
		User        string
		Labels      map[string]string
		Healthcheck any
	}
}

func inspect(t *testing.T, image string) about {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "image", "inspect", image).Output()
	if err != nil {
		t.Fatalf("inspecting %s: %v", image, err)
	}
	var all []about
	if err := json.Unmarshal(out, &all); err != nil || len(all) != 1 {
		t.Fatalf("inspecting %s: %d answers, %v", image, len(all), err)
	}
	return all[0]
}

// executables lists the regular files of an image that may be run.
func executables(t *testing.T, image string) []string {
	t.Helper()
	id, err := exec.CommandContext(t.Context(), "docker", "create", "--network", "none", image).Output()
	if err != nil {
		t.Fatalf("creating a container of %s: %v", image, err)
	}
	container := strings.TrimSpace(string(id))
	defer func() {
		if out, err := exec.Command("docker", "rm", container).CombinedOutput(); err != nil {
			t.Errorf("removing the container: %s", out)
		}
	}()
	// What nobody reads any more would never end.
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	export := exec.CommandContext(ctx, "docker", "export", container)
	files, err := export.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := export.Start(); err != nil {
		t.Fatal(err)
	}
	found, err := executablesIn(files)
	if err != nil {
		stop()
	}
	if err := errors.Join(err, export.Wait()); err != nil {
		t.Fatalf("exporting %s: %v", image, err)
	}
	slices.Sort(found)
	return found
}

func executablesIn(files io.Reader) ([]string, error) {
	var found []string
	for archive := tar.NewReader(files); ; {
		header, err := archive.Next()
		if err == io.EOF {
			_, err := io.Copy(io.Discard, files)
			return found, err
		}
		if err != nil {
			return nil, fmt.Errorf("reading the file system: %w", err)
		}
		// What the engine puts into every container is empty.
		if header.Typeflag != tar.TypeReg || header.Size == 0 {
			continue
		}
		if header.Mode&0o111 != 0 {
			found = append(found, header.Name)
		}
	}
}
