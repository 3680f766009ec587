package checkup

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/openclaw-security/bus/proto"
	"github.com/openclaw-security/bus/services/internal/bus"
)

// source is what a sensor has brought to the bus last. Each message is nil if
// there is none.
type source struct {
	host, name string
	line       *bus.Stored // that the sensor wrote
	alert      *bus.Stored // of those lines
	stats      *bus.Stored // of Suricata
	newest     *bus.Stored // of any publisher
	alarmed    bool        // the shipper has had to say something of the sensor
}

// lookups bounds how many questions are open at a time.
const lookups = 16

// readSources finds the sensors that have messages in streams, by the last message
// under each subject. Services publish too, under names that are no sensor's.
func readSources(ctx context.Context, conn *bus.Conn, streams, not []string) ([]*source, error) {
	subjects := make(map[string]proto.Subject)
	for _, stream := range streams {
		found, err := conn.Subjects(ctx, stream, proto.StoredPrefix+".>")
		if err != nil {
			return nil, err
		}
		for subject := range found {
			if s, err := proto.ParseSubject(subject); err == nil && !slices.Contains(not, s.Source) {
				subjects[subject] = s
			}
		}
	}
	var mu sync.Mutex
	var sources []*source
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookups)
	for subject, s := range subjects {
		group.Go(func() error {
			m, err := conn.LastIn(ctx, streams, subject)
			if err != nil || m == nil { // gone since
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			i := slices.IndexFunc(sources, func(other *source) bool { return other.host == s.Host && other.name == s.Source })
			if i < 0 {
				i = len(sources)
				sources = append(sources, &source{host: s.Host, name: s.Source})
			}
			sources[i].take(s, m)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(sources, func(a, b *source) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.host, b.host))
	})
	return sources, nil
}

// take notes the last message under subject s.
func (src *source) take(s proto.Subject, m *bus.Stored) {
	src.newest = newer(src.newest, m)
	switch s.Kind {
	case proto.KindSensor:
		src.alarmed = true
		return
	case proto.KindGap: // the shipper's word, too
		return
	case "stats":
		src.stats = newer(src.stats, m)
	}
	src.line = newer(src.line, m)
	if s.Class == proto.ClassAlert {
		src.alert = newer(src.alert, m)
	}
}

// newer is the later of two messages, of which a may be nil.
func newer(a, b *bus.Stored) *bus.Stored {
	if a == nil || b.Time.After(a.Time) || b.Stream == a.Stream && b.Sequence > a.Sequence {
		return b
	}
	return a
}
