//go:build container

package main

type embeddedCommands struct{}
