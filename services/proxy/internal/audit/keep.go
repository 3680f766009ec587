package audit

import "time"

// syncInterval bounds what the end of the machine can take.
const syncInterval = 100 * time.Millisecond

// keep does until Close what needs no NATS: it syncs the spools, removes what is
// done with, and reports what was lost.
func (l *Log) keep() {
	ticker := time.NewTicker(syncInterval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ticker.C:
		case <-l.stop:
			l.reportLosses(true)
			return
		}
		l.reportLosses(false)
		failing = l.tend(failing)
	}
}

// tend syncs and tidies the spools, and logs when syncing begins to fail and when
// it works again.
func (l *Log) tend(failing bool) bool {
	var err error
	for _, lane := range []*lane{l.audits, l.alerts} {
		if e := lane.spool.Sync(); e != nil {
			err = e
		}
		lane.spool.Tidy()
	}
	switch {
	case err != nil && !failing:
		l.log.Error("the audit spool cannot be made durable; the end of the machine would take what waits in it", "err", err)
	case err == nil && failing:
		l.log.Info("the audit spool is durable again")
	}
	return err != nil
}
