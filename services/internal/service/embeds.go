//go:build !container

package service

// Embeds says whether this program can run services in its own process. The build
// tag container leaves that out of secbus, and with it the code of all services:
// in a container each has a process of its own. A Spec sets Embed only if it can.
const Embeds = true
