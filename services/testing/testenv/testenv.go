// Package testenv reads what the environment asks of tests that can do more than
// a test run has time for:
//
//	TEST_DURATION=10m   how long a test goes on that has no end of its own
//	TEST_SEED=7         repeats a run's random choices; it is logged in each run
//	TEST_KILLS=40       how often processes are killed; in the same way TEST_RECORDS,
//	                    TEST_ALERTS and TEST_EXCHANGES
//	TEST_RECORDINGS=DIR the folder whose recordings of model traffic are replayed
//	                    (package llmreplay) in place of the project's own
//
// What is not set has the test's own default.
package testenv

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// Duration is TEST_DURATION.
func Duration(t testing.TB, unset time.Duration) time.Duration {
	t.Helper()
	return parse(t, "TEST_DURATION", unset, time.ParseDuration)
}

// Seed is TEST_SEED, or else a random one. It logs which.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed := parse(t, "TEST_SEED", rand.Uint64(), func(text string) (uint64, error) { return strconv.ParseUint(text, 10, 64) })
	t.Logf("TEST_SEED=%d", seed)
	return seed
}

// Count is a number that the variable key holds.
func Count(t testing.TB, key string, unset int) int {
	t.Helper()
	return parse(t, key, unset, strconv.Atoi)
}

func parse[T any](t testing.TB, key string, unset T, parse func(string) (T, error)) T {
	t.Helper()
	text := os.Getenv(key)
	if text == "" {
		return unset
	}
	value, err := parse(text)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	return value
}
