// Package e2e tests the images as they are shipped, in containers on networks of
// their own, against stand-ins for Telegram and the model providers:
//
//	test ─ lines ─▶ a sensor's file ─▶ shippers ─┐             ┌─▶ notifier ─▶ fake-telegram ─▶ test
//	test ─ requests ───▶ proxy ─▶ fake-llm       ├─▶ NATS ─────┼─▶ auditor ─▶ secbus audit verify
//	                       └─────────────────────┘             └─▶ test, as operator and tail
//
// Each test makes its own networks, volumes and keys, and removes them. While
// lines and requests go on, containers are killed, stopped or cut off; in the
// end every line must be stored once, every alert sent, every answered request
// recorded. The tests of compose.yaml and cluster.yaml start the shipped files
// under names of their own; where the image of Suricata is, with the real one.
//
// `make test-docker` runs all of it in about eight minutes, and the images are
// built before. Without an engine the tests are skipped. The module is one of its
// own, so that the product does not depend on what talks to Docker.
package e2e
