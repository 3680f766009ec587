package torture

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// renameDated gives the file a name with a date and begins a new one at once.
func renameDated(p *pen) error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := os.Rename(p.path, fmt.Sprintf("%s.%d", p.path, epoch+p.rotation)); err != nil {
		return err
	}
	return p.open(p.path, os.O_APPEND)
}

// renameAndReopenLater renames the file in the middle of a line. The writer,
// whom nobody tells, writes on to it for a while.
func renameAndReopenLater(p *pen) error {
	if err := p.shift(""); err != nil {
		return err
	}
	if err := os.Rename(p.path, p.path+".1"); err != nil {
		return err
	}
	if err := p.write(p.segment() / 2); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.open(p.path, os.O_APPEND)
}

// renameChain is what logrotate does with "create".
func renameChain(p *pen) error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.shift(""); err != nil {
		return err
	}
	if err := os.Rename(p.path, p.path+".1"); err != nil {
		return err
	}
	return p.open(p.path, os.O_APPEND)
}

// renameAndCompress is what logrotate does with "create" and "compress".
func renameAndCompress(p *pen) error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.shift(".gz"); err != nil {
		return err
	}
	if err := os.Rename(p.path, p.path+".1"); err != nil {
		return err
	}
	if err := p.open(p.path, os.O_APPEND); err != nil {
		return err
	}
	return compress(p.path + ".1")
}

// copyTruncate is what logrotate does with "copytruncate", while the writer is
// silent.
func copyTruncate(p *pen) error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.copyAside(); err != nil {
		return err
	}
	p.begun = p.next
	return p.file.Truncate(0)
}

// windowLines is how many lines at most are written between a copy and its
// truncation.
const windowLines = 60

// copyWriteTruncate is copyTruncate with a writer that is not silent.
func copyWriteTruncate(p *pen) error {
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.copyAside(); err != nil {
		return err
	}
	from := p.next
	// A line stays for after the truncation: without any, nothing would ever show
	// of the window.
	if err := p.write(min(1+p.random.IntN(windowLines), p.Lines-p.next-1)); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.report.window(p.id, from, p.next); err != nil {
		return err
	}
	p.begun = p.next
	return p.file.Truncate(0)
}

// shift renames path.1 to path.2 and so on, and deletes what would be beyond
// Keep. The names end with suffix.
func (p *pen) shift(suffix string) error {
	name := func(n int) string { return fmt.Sprintf("%s.%d%s", p.path, n, suffix) }
	last := 1
	for exists(name(last)) {
		last++
	}
	for n := last - 1; n >= 1; n-- {
		var err error
		if n >= p.Keep {
			err = os.Remove(name(n))
		} else {
			err = os.Rename(name(n), name(n+1))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// copyAside copies the file to path.1.
func (p *pen) copyAside() error {
	if err := p.shift(""); err != nil {
		return err
	}
	from, err := os.Open(p.path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(p.path + ".1")
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close())
}

// compress makes path.gz of path, with its time, as gzip does.
func compress(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	to, err := os.Create(path + ".gz")
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(to)
	_, err = io.Copy(zip, from)
	if err := errors.Join(err, zip.Close(), to.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(path+".gz", info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	return os.Remove(path)
}
