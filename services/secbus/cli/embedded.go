//go:build !container

package cli

// embeddedCommands are those that run a NATS server in their own process. The
// build tag container leaves them out, and with them two thirds of the program's
// size: in a container the server has a process of its own.
type embeddedCommands struct {
	Up upCommand `cmd:"" help:"Run everything in one process on an embedded NATS server."`
}
