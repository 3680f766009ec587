// Command natsprobe is the health check of the container in which nats-server
// runs, where there is no shell and no other program: it asks the server's
// monitoring address, on loopback, whether JetStream works and whether each stream
// can be written, and looks whether its disk has room, because the server calls itself
// healthy on a full one. The exit code is 0 if all is so.
//
// A stream that has met a full disk cannot be written until the server is started
// again. If such a one is found and the disk has room, natsprobe ends the server, which
// is process 1 of the container, so that the engine restarts it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	// address is natsconf.MonitorAddr. It is written out because this program
	// stays small by importing nothing.
	address = "http://127.0.0.1:8222"

	patience = 4 * time.Second
	maxBytes = 1 << 20

	store = "/data"
	// minFree is far less than what a stream's next file of messages takes, and
	// restartFree about as much.
	minFree     = 1 << 20
	restartFree = 8 << 20
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := probe(ctx, address, store, func() error { return syscall.Kill(1, syscall.SIGTERM) })
	if err != nil {
		fmt.Fprintln(os.Stderr, "natsprobe:", err)
		os.Exit(1)
	}
}

// errFull reports streams that have met a full disk.
var errFull = errors.New("a stream has met a full disk, and cannot be written until the server is started again")

// probe returns why the server at a base URL cannot work. If that is because its disk
// was full, and there is room in dir again, it calls end.
func probe(ctx context.Context, base, dir string, end func() error) error {
	err := ask(ctx, base)
	if !errors.Is(err, errFull) {
		return errors.Join(err, checkRoom(dir, minFree))
	}
	if noRoom := checkRoom(dir, restartFree); noRoom != nil {
		return errors.Join(err, noRoom)
	}
	if endErr := end(); endErr != nil {
		return errors.Join(err, fmt.Errorf("ending the server: %w", endErr))
	}
	return fmt.Errorf("%w: there is room, the server is told to end", err)
}

// ask returns an error if JetStream does not work or a stream cannot be written. That a
// stream or a consumer is being recovered or caught up with, which the server also calls
// ill, is none.
func ask(ctx context.Context, base string) error {
	status, body, err := get(ctx, base+"/healthz?js-enabled-only=true")
	if err != nil {
		return err
	}
	os.Stdout.Write(body)
	if status != http.StatusOK {
		return fmt.Errorf("the server answers %s", http.StatusText(status))
	}
	if _, body, err = get(ctx, base+"/healthz?details=true"); err != nil {
		return err
	}
	var health struct {
		Errors []struct {
			Error string `json:"error"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(body, &health); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	var errs []error
	for _, e := range health.Errors {
		switch {
		case !strings.Contains(e.Error, "write error"):
		case strings.Contains(e.Error, syscall.ENOSPC.Error()), strings.Contains(e.Error, syscall.EDQUOT.Error()):
			errs = append(errs, fmt.Errorf("%w: %s", errFull, e.Error))
		default:
			errs = append(errs, errors.New(e.Error))
		}
	}
	return errors.Join(errs...)
}

func get(ctx context.Context, url string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("preparing the question: %w", err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return 0, nil, fmt.Errorf("asking the server: %w", err)
	}
	defer response.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(response.Body, maxBytes)); err != nil {
		return 0, nil, fmt.Errorf("reading the answer: %w", err)
	}
	return response.StatusCode, body, nil
}

// checkRoom returns an error if the file system of path has fewer than need bytes for
// a user without privileges.
func checkRoom(path string, need uint64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(path, &fs); err != nil {
		return fmt.Errorf("looking for room in %s: %w", path, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < need { //nolint:unconvert // Bsize is an int64 on Linux only.
		return fmt.Errorf("the disk is full: %d bytes are free in %s", free, path)
	}
	return nil
}
