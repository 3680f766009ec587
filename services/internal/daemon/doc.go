// Package daemon is what every service process has around its service:
// settings, log, signals, health and metrics, and a bounded end.
//
//	environment ──▶ settings ──▶ Service.Run(ctx, settings, Runtime)
//	SIGINT, SIGTERM ─────────────▶ ctx   │ Log      ──▶ stderr
//	                                     │ Metrics  ──▶ /metrics ┐
//	                                     │ Ready    ──▶ /readyz  ├─ ADMIN_ADDR
//	                                     └            /healthz   ┘
//
// A command is one [Program]; a program that runs several services in one
// process does it with [Runtime.RunAll].
package daemon
