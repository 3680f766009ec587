//go:build race

package attack

// raceDetector says that the processes are built with the race detector, which takes
// several times the memory.
const raceDetector = true
