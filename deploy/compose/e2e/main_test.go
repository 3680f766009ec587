package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/log"
)

// docker is the engine's client. It is nil if no engine answers, which skips
// every test that asks for it.
var docker *testcontainers.DockerClient

func TestMain(m *testing.M) {
	flag.Parse()
	log.SetDefault(log.NewNoopLogger())
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// prepare finds the engine and builds the images. Without an engine there is
// nothing to prepare.
func prepare() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	engine := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}")
	if engine.Run() != nil || exec.CommandContext(ctx, "docker", "compose", "version").Run() != nil {
		return nil
	}
	client, err := testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return fmt.Errorf("connecting to the engine: %w", err)
	}
	fmt.Fprintln(os.Stderr, "building the images")
	build := exec.CommandContext(ctx, "docker", "compose", "--progress", "plain", "-f", "images.yaml", "build", "--quiet")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("building the images: %w", err)
	}
	docker = client
	return nil
}

// needDocker skips the test if there is no engine.
func needDocker(t *testing.T) {
	t.Helper()
	if docker == nil {
		t.Skip("no Docker engine with compose answers: the tests in containers are left out")
	}
}
