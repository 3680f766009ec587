// Package vigil watches the sensor that a shipper follows: a sensor that has died,
// hangs or sees nothing must not look like a quiet night.
//
//	lines read, idle times ─▶ silent                    ┐
//	Suricata's stats       ─▶ no-packets, drops, no-rules├─▶ alarms
//	Tracee's metrics       ─▶ lost-events               ┘
//
//	condition     raised when                                      severity  over when
//	silent        no line came for the silence period              high      a line comes
//	no-packets    no packet was decoded for the silence period     high      one is
//	no-rules      two stats records in a row tell of no rule       high      one tells of some
//	drops         of the at least 1000 packets between two stats   medium    an hour passed
//	              records more than 1 % were dropped                         without
//	lost-events   Tracee's counter of lost events has grown        medium    10 minutes
//	                                                                         passed without
//
// An alarm is raised once and ends once. While drops or lost events go on it is
// raised again, at most once an hour and once in 10 minutes.
//
// The end of an alarm is of severity medium whatever the alarm was: low is not
// delivered by default, and whoever was woken by the alarm wants to hear that it
// is over.
//
// The package does no I/O and has no clock. Silence and lost events are judged by
// the shipper's clock, what Suricata's records tell by their own times, so that a
// backlog is judged as it would have been while it was written.
package vigil
