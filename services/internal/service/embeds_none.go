//go:build container

package service

// Embeds is explained where it is true.
const Embeds = false
