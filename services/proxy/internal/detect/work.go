package detect

import "github.com/openclaw-security/bus/services/proxy/internal/detect/seen"

// maxScratch bounds the buffers that are kept between texts.
const maxScratch = 1 << 20

// work is what looking at one request, call or part of an answer needs. It is
// used again for the next one.
type work struct {
	hash    *seen.Hash
	sweep   sweep
	plain   [maxRounds][]byte
	text    []byte
	shell   []byte
	defined map[seen.Key]seen.Key // of the tools in a request: name to definition
}

func newWork(h *seen.Hash) *work {
	return &work{hash: h, defined: make(map[seen.Key]seen.Key)}
}

func (d *Detector) borrow() *work { return d.work.Get().(*work) }

func (d *Detector) giveBack(w *work) {
	for _, b := range []*[]byte{&w.text, &w.shell, &w.plain[0], &w.plain[1]} {
		if cap(*b) > maxScratch {
			*b = nil
		}
	}
	clear(w.defined)
	d.work.Put(w)
}

// look adds to s.hits what b finds in text, as it is and without its escapes.
func (w *work) look(b *battery, s *sweep, text []byte) {
	b.look(s, text)
	for round := range w.plain {
		var changed bool
		if w.plain[round], changed = plain(w.plain[round], text); !changed {
			return
		}
		text = w.plain[round]
		b.look(s, text)
	}
}
