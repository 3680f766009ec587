//go:build container

package cli

type embeddedCommands struct{}
