// Package torture holds the tests that try to make the shipper lose, double or
// swap lines, with real processes that are really killed. It has no code but
// tests.
//
//	writer process ──▶ files ──▶ shipper process ──▶ NATS server process
//	 writes, rotates,             SIGKILL              SIGKILL, sync always,
//	 truncates, deletes           at random            one directory and port
//	        │                                                  │
//	        └── numbered lines ──▶ judge ◀── all that is stored┘
//
// Every process is the test binary in another role, so nothing is built twice.
// The seed of a run is printed; TORTURE_SEED repeats it. What a seed decides is
// where lines are split, when files are rotated and at how many lines written
// or stored a process is killed, but not how the kernel schedules them.
//
//	go test ./services/shipper/internal/torture                   all, briefly
//	TORTURE_TIME=10m go test -run TestTorture -timeout 30m ...    for longer
//	SOAK_TIME=1h go test -run TestSoak -timeout 90m ...           one long life
//	TORTURE_BASELINE=1 go test -run TestBaseline -v ...           with hpcloud/tail
//
// Some bytes no reader can know of, and the modes of this package say so: lines
// written between a copy and its truncation, and what a file held that was
// deleted while nobody had it open. There the tests ask for no loss but of such
// lines.
package torture
